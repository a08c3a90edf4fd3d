"""`python -m lab.bench`: the table, the JSON, the chart and the line of figures."""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lab.bench import bookshop, proxies
from lab.bench.measure import Reading, memory_mb, tree
from lab.bench.rows import ROWS, Row
from lab.envoy_binary import find as find_envoy

FIELDS = ("rps", "cpu_us_per_request", "p50_us", "p99_us")
Figures = dict[str, dict[str, dict[str, float]]]
"""By row, by proxy, by field."""


def median(readings: list[Reading]) -> dict[str, float]:
    return {field: statistics.median(getattr(reading, field) for reading in readings) for field in FIELDS}


def start_all(stack: ExitStack, folder: Path, rows: list[Row]) -> list[proxies.Proxy]:
    base = "127.63.0."
    addresses = {name: f"{base}{number}" for number, name in enumerate(("sidecar", "envoy", "nginx", "haproxy"), start=10)}
    proxies.upstreams(stack, folder, list(addresses.values()))
    if {row.name for row in rows} & {"tcp", "grpc_stream"}:
        proxies.streaming_upstreams(stack, folder, [addresses["sidecar"], addresses["envoy"]])
    names = [proxies.service_name(name) for name in ("sidecar", "envoy")]
    xds = proxies.control_plane(stack, folder, f"{base}1", names)
    running = [proxies.start_sidecar(stack, folder, addresses["sidecar"], f"{base}20", xds, "python")]
    envoy = find_envoy()
    if envoy is None:
        say("no Envoy binary here: its column is missing")
    else:
        running.append(proxies.start_sidecar(stack, folder, addresses["envoy"], f"{base}21", xds, "envoy", str(envoy)))
    if any(not row.only_mesh for row in rows):
        running.append(proxies.start_nginx(stack, folder, addresses["nginx"]))
        if shutil.which("haproxy"):
            running.append(proxies.start_haproxy(stack, folder, addresses["haproxy"]))
    return running


def measure(rows: list[Row], rounds: int, seconds: float) -> tuple[Figures, dict[str, tuple[float, float]]]:
    """Interleaved rounds over all proxies; the median of each figure, and (RSS, PSS) of each proxy after load."""
    with tempfile.TemporaryDirectory(prefix="seatrial-bench-") as name, ExitStack() as stack:
        running = start_all(stack, Path(name), rows)
        figures = {row.name: _measure_row(row, [p for p in running if p.service or not row.only_mesh], rounds, seconds) for row in rows}
        memory = {proxy.name: memory_mb(tree(proxy.pid)[-1]) for proxy in running}
    return figures, memory


def _measure_row(row: Row, running: list[proxies.Proxy], rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    for proxy in running:  # fill caches and pools first
        row.measure(proxy, 1)
    figures = {
        name: median(readings) for name, readings in _rounds(row, running, rounds, lambda proxy: row.measure(proxy, seconds)).items()
    }
    at_rate = row.at_rate
    if at_rate is not None:  # the latency that matters: all at half of what the slowest of the mesh's own proxies can do
        rate = min(figures[proxy.name]["rps"] for proxy in running if proxy.service) / 2
        for name, readings in _rounds(row, running, rounds, lambda proxy: at_rate(proxy, seconds, rate)).items():
            half = median(readings)
            figures[name] |= {"half_rps": half["rps"], "half_p50_us": half["p50_us"], "half_p99_us": half["p99_us"]}
    return figures


def _rounds(row: Row, running: list[proxies.Proxy], rounds: int, run: Any) -> dict[str, list[Reading]]:
    readings: dict[str, list[Reading]] = {proxy.name: [] for proxy in running}
    for turn in range(rounds):
        for proxy in running:
            reading = run(proxy)
            readings[proxy.name].append(reading)
            say(
                f"{row.name:12} round {turn + 1}/{rounds} {proxy.name:8} {reading.rps:9.0f} {row.unit}s/s"
                f" {reading.cpu_us_per_request:7.1f} µs CPU/{row.unit}" + (f"  {reading.errors} ERRORS" if reading.errors else "")
            )
            if reading.errors:
                raise SystemExit(f"{proxy.name} answered {reading.errors} requests wrongly: no figures from a broken run")
    return readings


def say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description="CPU and latency of the data plane, beside Envoy, nginx and HAProxy")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rows", default="http1,body,tcp,two_hops", help="which of: %(default)s")
    parser.add_argument("--json", type=Path, default=Path("reports/bench.json"))
    parser.add_argument("--docker", action="store_true", help="also bring the bookshop up in Docker and time it")
    parser.add_argument("--hop-only", action="store_true", help="leave out the bookshop's figures")
    options = parser.parse_args()
    rows = [row for row in ROWS if row.name in options.rows.split(",")]
    missing = [tool for tool in ("wrk", "nginx", "h2load", "iperf3") if shutil.which(tool) is None]
    if missing:
        raise SystemExit(f"bench needs {' and '.join(missing)}: e.g. apt-get install wrk nginx-light haproxy nghttp2-client iperf3")

    measured, memory = measure(rows, options.rounds, options.seconds)
    figures = _ratios(measured)
    figures["sidecar_rss_mb"], figures["sidecar_pss_mb"] = (f"{megabytes:.0f}" for megabytes in memory["sidecar"])
    if not options.hop_only:
        for runtime in ("local", "docker") if options.docker else ("local",):
            figures.update(bookshop.figures(runtime))
    print(table(rows, measured, memory))  # noqa: T201
    options.json.parent.mkdir(parents=True, exist_ok=True)
    said = {"options": {**vars(options), "json": str(options.json)}, "rows": measured, "memory_mb": memory, "figures": figures}
    options.json.write_text(json.dumps(said, indent=1), encoding="utf-8")
    print(" ".join(f"{key}={value}" for key, value in figures.items()))  # noqa: T201


def _ratios(measured: Figures) -> dict[str, str]:
    """``http1_cpu_vs_envoy=0.84`` …: ours over theirs, so that less is better (throughput: the other way round, theirs over ours)."""
    figures = {}
    for row, proxied in measured.items():
        ours = proxied["sidecar"]
        for other, theirs in proxied.items():
            if other == "sidecar":
                continue
            figures[f"{row}_cpu_vs_{other}"] = f"{ours['cpu_us_per_request'] / theirs['cpu_us_per_request']:.2f}"
            figures[f"{row}_rate_vs_{other}"] = f"{ours['rps'] / theirs['rps']:.2f}"
            if "half_p99_us" in ours:
                figures[f"{row}_p50_vs_{other}"] = f"{ours['half_p50_us'] / theirs['half_p50_us']:.2f}"
                figures[f"{row}_p99_vs_{other}"] = f"{ours['half_p99_us'] / theirs['half_p99_us']:.2f}"
    return figures


def table(rows: list[Row], measured: Figures, memory: dict[str, tuple[float, float]]) -> str:
    lines = []
    for row in rows:
        lines.append(f"\n{row.title}\n{'':10}{row.unit + 's/s':>12}{'CPU µs/' + row.unit:>16}{'p50 µs at half':>16}{'p99 µs at half':>16}")
        best = max(figure["cpu_us_per_request"] for figure in measured[row.name].values())
        for name, figure in measured[row.name].items():
            line = f"{name:10}{figure['rps']:12.0f}{figure['cpu_us_per_request']:16.1f}"
            line += "".join(f"{figure[key]:16.0f}" if key in figure else f"{'':16}" for key in ("half_p50_us", "half_p99_us"))
            lines.append(f"{line}  {'█' * max(1, round(figure['cpu_us_per_request'] / best * 30))}")
    lines.append("\nRSS MiB   " + "   ".join(f"{name} {rss:.0f}" for name, (rss, _) in memory.items()))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
