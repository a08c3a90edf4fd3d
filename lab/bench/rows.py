"""What is measured: one row a kind of traffic, each driven the same way through every proxy that can carry it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from lab.bench.h2load import Load, drive
from lab.bench.measure import Reading, cpu_seconds, tree, wrk
from lab.bench.proxies import GRPC, HTTP, STREAMS, TCP, Proxy

GRPC_HEADERS = ("content-type: application/grpc", "te: trailers")
EMPTY_MESSAGE = bytes(5)
CONNECTIONS, H2_CONNECTIONS, H2_STREAMS, TALKS = 16, 4, 16, 16


@dataclass(frozen=True, slots=True)
class Row:
    """``unit`` is what a reading's ``requests`` counts. ``at_rate`` drives the same at so many requests a second, for its latency."""

    name: str
    title: str
    unit: str
    measure: Callable[[Proxy, float], Reading]
    at_rate: Callable[[Proxy, float, float], Reading] | None = None
    only_mesh: bool = True


def pids(proxy: Proxy) -> list[int]:
    return [pid for root in (proxy.pid, *proxy.more_pids) for pid in tree(root)]


def _http1(path: str) -> Callable[[Proxy, float], Reading]:
    return lambda proxy, seconds: wrk(f"http://{proxy.address}:{HTTP}{path}", CONNECTIONS, seconds, pids(proxy))


def _http1_at(proxy: Proxy, seconds: float, rate: float) -> Reading:
    load = Load(f"http://{proxy.address}:{HTTP}/ratings/1", CONNECTIONS, 1, http1=True, rate=rate)
    return drive(load, seconds, pids(proxy))


def _h2(proxy: Proxy, *, grpc: bool, rate: float = 0) -> Load:
    post, headers = (EMPTY_MESSAGE, GRPC_HEADERS) if grpc else (b"", ())
    return Load(f"http://{proxy.address}:{GRPC}/echo.v1.Echo/Say", H2_CONNECTIONS, H2_STREAMS, post=post, headers=headers, rate=rate)


def _two_hops(proxy: Proxy, seconds: float) -> Reading:
    return wrk(f"http://{proxy.caller}/ratings/1", CONNECTIONS, seconds, pids(proxy), host=proxy.service)


def _streams(proxy: Proxy, seconds: float) -> Reading:
    before = cpu_seconds(pids(proxy))
    command = [sys.executable, "-m", "lab.bench.streams", f"{proxy.address}:{STREAMS}", str(TALKS), str(seconds)]
    count = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    spent = cpu_seconds(pids(proxy)) - before
    return Reading(count, count / seconds, 0, 0, spent / max(1, count) * 1e6)


def _tcp(proxy: Proxy, seconds: float) -> Reading:
    """A request is a mebibyte."""
    before = cpu_seconds(pids(proxy))
    command = ["iperf3", "-c", proxy.address, "-p", str(TCP), "-t", f"{max(1, round(seconds))}", "-J"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    end = json.loads(re.sub(r"^[^{]*", "", said)).get("end", {})
    if "sum_received" not in end:
        raise SystemExit(f"iperf3 through {proxy.name}: {said[-500:]}")
    mebibytes = end["sum_received"]["bytes"] / 2**20
    spent = cpu_seconds(pids(proxy)) - before
    return Reading(round(mebibytes), mebibytes / end["sum_received"]["seconds"], 0, 0, spent / max(1, mebibytes) * 1e6)


ROWS = (
    Row("http1", "HTTP/1.1, small answers", "request", _http1("/ratings/1"), _http1_at, only_mesh=False),
    Row("body", "HTTP/1.1, 1 MiB answers", "MiB", _http1("/big")),
    Row(
        "http2",
        "HTTP/2, small answers",
        "request",
        lambda proxy, seconds: drive(_h2(proxy, grpc=False), seconds, pids(proxy)),
        lambda proxy, seconds, rate: drive(_h2(proxy, grpc=False, rate=rate), seconds, pids(proxy)),
    ),
    Row(
        "grpc",
        "gRPC, unary",
        "request",
        lambda proxy, seconds: drive(_h2(proxy, grpc=True), seconds, pids(proxy)),
        lambda proxy, seconds, rate: drive(_h2(proxy, grpc=True, rate=rate), seconds, pids(proxy)),
    ),
    Row("grpc_stream", "gRPC, two-way streams", "message", _streams),
    Row("tcp", "TCP, one connection", "MiB", _tcp),
    Row("two_hops", "HTTP/1.1, caller's and callee's proxy", "request", _two_hops),
)
