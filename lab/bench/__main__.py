"""`python -m lab.bench`: the table, the JSON and the line of figures."""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from lab.bench import bookshop, proxies
from lab.bench.measure import Reading, memory_mb, tree, wrk
from lab.envoy_binary import find as find_envoy

FIELDS = ("rps", "cpu_us_per_request", "p50_us", "p99_us")


def median(readings: list[Reading]) -> dict[str, float]:
    return {field: statistics.median(getattr(reading, field) for reading in readings) for field in FIELDS}


def start_all(stack: ExitStack, folder: Path) -> list[proxies.Proxy]:
    base = "127.63.0."
    addresses = {name: f"{base}{number}" for number, name in enumerate(("sidecar", "envoy", "nginx", "haproxy"), start=10)}
    proxies.upstream(stack, folder, list(addresses.values()))
    xds = proxies.control_plane(stack, folder, f"{base}1")
    running = [proxies.start_sidecar(stack, folder, addresses["sidecar"], xds, "python")]
    envoy = find_envoy()
    if envoy is None:
        print("no Envoy binary here: its column is missing", file=sys.stderr)  # noqa: T201
    else:
        running.append(proxies.start_sidecar(stack, folder, addresses["envoy"], xds, "envoy", str(envoy)))
    running.append(proxies.start_nginx(stack, folder, addresses["nginx"]))
    if shutil.which("haproxy"):
        running.append(proxies.start_haproxy(stack, folder, addresses["haproxy"]))
    return running


def measure_hop(rounds: int, seconds: float, connections: int) -> tuple[dict[str, dict[str, float]], dict[str, tuple[float, float]]]:
    """Interleaved rounds over all proxies; the median of each figure, and (RSS, PSS) of each proxy after load."""
    with tempfile.TemporaryDirectory(prefix="seatrial-bench-") as name, ExitStack() as stack:
        running = start_all(stack, Path(name))
        for proxy in running:  # fill caches and pools first
            wrk(proxy.url, connections, 1, tree(proxy.pid))
        readings: dict[str, list[Reading]] = {proxy.name: [] for proxy in running}
        for turn in range(rounds):
            for proxy in running:
                reading = wrk(proxy.url, connections, seconds, tree(proxy.pid))
                readings[proxy.name].append(reading)
                said = f"round {turn + 1}/{rounds} {proxy.name:8} {reading.rps:8.0f} req/s {reading.cpu_us_per_request:6.1f} µs CPU/request"
                print(said + (f"  {reading.errors} ERRORS" if reading.errors else ""), file=sys.stderr)  # noqa: T201
                if reading.errors:
                    raise SystemExit(f"{proxy.name} answered {reading.errors} requests wrongly: no figures from a broken run")
        memory = {proxy.name: memory_mb(tree(proxy.pid)[-1]) for proxy in running}
    return {name: median(values) for name, values in readings.items()}, memory


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description="CPU and latency of one hop, beside Envoy, nginx and HAProxy")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--json", type=Path, default=Path("reports/bench.json"))
    parser.add_argument("--docker", action="store_true", help="also bring the bookshop up in Docker and time it")
    parser.add_argument("--hop-only", action="store_true", help="leave out the bookshop's figures")
    options = parser.parse_args()
    missing = [tool for tool in ("wrk", "nginx") if shutil.which(tool) is None]
    if missing:
        raise SystemExit(f"bench needs {' and '.join(missing)}: e.g. apt-get install wrk nginx-light haproxy")

    hop, memory = measure_hop(options.rounds, options.seconds, options.connections)
    figures = {"http1_rps": f"{hop['sidecar']['rps']:.0f}", "http1_cpu_us": f"{hop['sidecar']['cpu_us_per_request']:.1f}"}
    for other in ("envoy", "nginx", "haproxy"):
        if other in hop:
            for key, field in (("cpu", "cpu_us_per_request"), ("p50", "p50_us"), ("p99", "p99_us")):
                figures[f"http1_{key}_vs_{other}"] = f"{hop['sidecar'][field] / hop[other][field]:.2f}"
    figures["sidecar_rss_mb"], figures["sidecar_pss_mb"] = (f"{megabytes:.0f}" for megabytes in memory["sidecar"])
    if not options.hop_only:
        for runtime in ("local", "docker") if options.docker else ("local",):
            figures.update(bookshop.figures(runtime))
    print(table(hop, memory))  # noqa: T201
    options.json.parent.mkdir(parents=True, exist_ok=True)
    said = {"options": {**vars(options), "json": str(options.json)}, "hop": hop, "memory_mb": memory, "figures": figures}
    options.json.write_text(json.dumps(said, indent=1), encoding="utf-8")
    print(" ".join(f"{key}={value}" for key, value in figures.items()))  # noqa: T201


def table(hop: dict[str, dict[str, float]], memory: dict[str, tuple[float, float]]) -> str:
    rows = [f"{'proxy':10}{'req/s':>10}{'CPU µs/req':>12}{'p50 µs':>10}{'p99 µs':>10}{'RSS MiB':>10}"]
    for name, figure in hop.items():
        row = f"{name:10}{figure['rps']:10.0f}{figure['cpu_us_per_request']:12.1f}{figure['p50_us']:10.0f}{figure['p99_us']:10.0f}"
        rows.append(row + f"{memory[name][0]:10.0f}")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
