"""Reading the meters: CPU time of a process tree, memory, and what wrk says."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

UNITS_US = {"us": 1.0, "ms": 1e3, "s": 1e6}


@dataclass(frozen=True, slots=True)
class Reading:
    """One run of the client against one proxy."""

    requests: int
    rps: float
    p50_us: float
    p99_us: float
    cpu_us_per_request: float
    errors: int = 0


def tree(pid: int) -> list[int]:
    """The process and its descendants (an agent and its Envoy, a master and its workers)."""
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]


def cpu_seconds(pids: list[int]) -> float:
    """Time on a CPU of all threads of these processes, from /proc/*/task/*/schedstat (nanoseconds); whole ticks where there is none."""
    total = 0.0
    for pid in pids:
        try:
            total += sum(int(stat.read_text().split()[0]) for stat in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9
        except (OSError, ValueError, IndexError):
            times = psutil.Process(pid).cpu_times()
            total += times.user + times.system
    return total


def memory_mb(pid: int) -> tuple[float, float]:
    """(RSS, PSS) of one process in MiB; PSS counts a shared page once over all that share it. PSS is 0 where the system does not say."""
    info = psutil.Process(pid).memory_full_info()
    return info.rss / 2**20, getattr(info, "pss", 0) / 2**20


def _microseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * UNITS_US[unit]


def wrk(url: str, connections: int, seconds: float, pids: list[int], host: str = "") -> Reading:
    """Drive ``url`` with wrk and charge the CPU time that ``pids`` used meanwhile to its requests."""
    before = cpu_seconds(pids)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency", *(["-H", f"Host: {host}"] if host else []), url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    spent = cpu_seconds(pids) - before
    requests = int(re.search(r"(\d+) requests in", said).group(1))  # type: ignore[union-attr]
    percentile = dict(re.findall(r"^\s+(50|99)%\s+(\S+)$", said, re.MULTILINE))
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    errors = (int(failed.group(1)) if failed else 0) + (sum(map(int, sockets.groups())) if sockets else 0)
    return Reading(
        requests=requests,
        rps=float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1)),  # type: ignore[union-attr]
        p50_us=_microseconds(percentile["50"]),
        p99_us=_microseconds(percentile["99"]),
        cpu_us_per_request=spent / max(1, requests) * 1e6,
        errors=errors,
    )
