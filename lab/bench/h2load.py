"""Driving HTTP/2 and gRPC with nghttp2's h2load, and any protocol at a fixed rate: its log has every request's time."""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab.bench.measure import Reading, cpu_seconds


@dataclass(frozen=True, slots=True)
class Load:
    """``rate`` is of all connections together, in requests a second; 0 is as fast as answers come."""

    url: str
    connections: int = 4
    streams: int = 16
    http1: bool = False
    post: bytes = b""
    headers: tuple[str, ...] = ()
    rate: float = 0.0


def drive(load: Load, seconds: float, pids: list[int]) -> Reading:
    """Run the load and charge the CPU time that ``pids`` used meanwhile to its requests."""
    with tempfile.TemporaryDirectory(prefix="seatrial-h2load-") as folder:
        log = Path(folder) / "log"
        command = ["h2load", "-t1", f"-c{load.connections}", f"-m{load.streams}", f"--log-file={log}"]
        if load.rate:
            total = max(load.connections, round(load.rate * seconds / load.connections) * load.connections)
            command += [f"--rps={max(1, load.rate / load.connections):.2f}", f"-n{total}"]
        else:
            command += [f"-D{max(1, round(seconds))}"]
        command += ["--h1"] if load.http1 else []
        if load.post:
            (Path(folder) / "body").write_bytes(load.post)
            command += ["-d", str(Path(folder) / "body")]
        for header in load.headers:
            command += ["-H", header]
        before = cpu_seconds(pids)
        said = subprocess.run([*command, load.url], capture_output=True, text=True, check=True).stdout
        spent = cpu_seconds(pids) - before
        lines = [line.split("\t") for line in log.read_text().splitlines()]
    return _reading(said, lines, spent)


def _reading(said: str, lines: list[list[str]], cpu: float) -> Reading:
    times = sorted(float(took) for _, status, took in lines if status == "200")
    took_seconds = re.search(r"finished in ([\d.]+)(us|ms|s)", said)
    if not times or took_seconds is None:
        raise SystemExit(f"h2load got no answers:\n{said}")
    seconds = float(took_seconds[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[took_seconds[2]]
    return Reading(
        requests=len(times),
        rps=len(times) / seconds,
        p50_us=times[len(times) // 2],
        p99_us=times[min(len(times) - 1, int(len(times) * 0.99))],
        cpu_us_per_request=cpu / len(times) * 1e6,
        errors=len(lines) - len(times),
    )
