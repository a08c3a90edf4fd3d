"""Envoy and the sidecar with all cases of a module, each on its own addresses; asks both at once and compares."""

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, Self

from lab.until import until
from mesh.model.cluster import Cluster, Discovery, LbPolicy
from mesh.model.endpoint import Endpoint, Health, LoadAssignment, LocalityEndpoints
from mesh.model.listener import AccessLogFile, FilterChain, Listener
from mesh.model.route import RouteConfiguration, VirtualHost
from side_by_side import http2
from side_by_side.asking import Ask, Outcome, exchange
from side_by_side.cases import Case
from side_by_side.envoy import Envoy, bootstrap, free_port
from side_by_side.sidecar import LoopThread, Sidecar
from side_by_side.upstreams import LOCALHOST, Upstreams

MoreClusters = Callable[[dict[str, int]], Sequence[Cluster]]

UPSTREAMS = ("red", "green", "blue")
PATIENCE_SECONDS = 5.0
EARLY_SECONDS = 0.01  # Envoy's timers count from the turn of its loop

LOGGED = {
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "cluster": "%UPSTREAM_CLUSTER_RAW%",
    "host": "%UPSTREAM_HOST%",
    "route": "%ROUTE_NAME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(:PATH)%",
    "original path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "authority": "%REQ(:AUTHORITY)%",
    "protocol": "%PROTOCOL%",
    "grpc status": "%GRPC_STATUS%",
    "grpc number": "%GRPC_STATUS_NUMBER%",
    "received": "%BYTES_RECEIVED%",
    "sent": "%BYTES_SENT%",
    "termination": "%CONNECTION_TERMINATION_DETAILS%",
    "client": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
}


def clusters(ports: dict[str, int]) -> list[Cluster]:
    """One a name, ``both`` of red and green, and some that fail each in its way."""
    groups: dict[str, list[Endpoint]] = {name: [Endpoint(LOCALHOST, port)] for name, port in ports.items()}
    groups["both"] = [Endpoint(LOCALHOST, ports["red"]), Endpoint(LOCALHOST, ports["green"])]
    groups["refusing"] = [Endpoint(LOCALHOST, free_port())]
    groups["half"] = [*groups["red"], *groups["refusing"]]
    groups["empty"] = []
    groups["sick"] = [replace(groups["red"][0], health=Health.UNHEALTHY)]
    made = [_cluster(name, endpoints) for name, endpoints in groups.items()]
    return [*made, replace(made[0], name="renamed", alt_stat_name="another name")]


def _cluster(name: str, endpoints: list[Endpoint]) -> Cluster:
    assignment = LoadAssignment(name, (LocalityEndpoints(tuple(endpoints)),) if endpoints else ())
    return Cluster(name, Discovery.STATIC, LbPolicy.ROUND_ROBIN, load_assignment=assignment)


def one_of(name: str, *ports: int) -> Cluster:
    """A cluster of some of the upstreams."""
    return _cluster(name, [Endpoint(LOCALHOST, port) for port in ports])


def listeners(cases: Sequence[Case], log: Path) -> Iterator[Listener]:
    """One for all cases that agree about what is outside of a virtual host; named by the first of them."""
    groups: dict[Any, list[Case]] = {}
    for case in cases:
        groups.setdefault((case.manager, case.outer, case.ignore_port), []).append(case)
    access_log = AccessLogFile(str(log), json_format=tuple(sorted(LOGGED.items())))
    for (manager, outer, ignore_port), members in groups.items():
        hosts = tuple(_virtual_host(case) for case in members)
        routes = RouteConfiguration("routes", hosts, outer, ignore_port)
        manager = replace(manager, route_config=routes, access_logs=(access_log,))
        yield Listener(members[0].name, LOCALHOST, 0, (FilterChain(manager),))


def _virtual_host(case: Case) -> VirtualHost:
    domains = tuple(domain.replace("{host}", case.domain) for domain in case.domains)
    return VirtualHost(case.name, domains, case.routes, case.policies, case.counts_attempts)


class Listening(Protocol):
    listeners: dict[str, tuple[str, int]]

    def stats(self) -> dict[str, int]: ...


class Side:
    """One of the two, with its access log."""

    def __init__(self, name: str, proxy: Listening, log: Path, upstreams: Upstreams) -> None:
        self.name = name
        self._proxy = proxy
        self._log = log
        self._upstreams = upstreams
        self._keys = itertools.count()
        self._reading = threading.Lock()
        self._read = 0
        self._lines: dict[str, list[dict[str, Any]]] = {}

    def address(self, listener: str) -> tuple[str, int]:
        return self._proxy.listeners[listener]

    def ask(self, listener: str, domain: str, ask: Ask) -> Outcome:
        key = f"{self.name}-{next(self._keys)}"
        answer, own, seconds = (
            http2.exchange(self.address(listener), ask, domain, key)
            if ask.http2
            else exchange(self.address(listener), ask.wire(domain, key), ask)
        )
        lines = until(lambda: self._logged(own, ask.answers), PATIENCE_SECONDS, f"{self.name} has logged {ask}")
        if ask.mirrored:
            until(lambda: self._upstreams.count(key) > ask.mirrored, PATIENCE_SECONDS, f"{self.name} has sent its copies")
        return Outcome(answer, seconds, self._upstreams.take(key), lines)

    def stats(self, cluster: str, *names: str) -> dict[str, int]:
        """Counters and gauges of a cluster."""
        found = self._proxy.stats()
        return {name: found.get(f"cluster.{cluster}.{name}", 0) for name in names}  # Envoy makes some only when they count

    def _logged(self, own: str, count: int) -> list[dict[str, Any]] | None:
        with self._reading, self._log.open("rb") as file:
            file.seek(self._read)
            for line in file.read().splitlines(keepends=True):
                if line.endswith(b"\n"):
                    self._read += len(line)
                    entry = json.loads(line)
                    self._lines.setdefault(entry.pop("client"), []).append(entry)
            return self._lines.pop(own) if len(self._lines.get(own, ())) >= count else None


class Bench:
    """``more_clusters``: of the module's own, from the upstreams' ports."""

    def __init__(self, binary: Path, folder: Path, cases: Sequence[Case], more_clusters: MoreClusters = lambda _: []) -> None:
        self._binary = binary
        self._folder = folder
        self._cases = cases
        self._more_clusters = more_clusters

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            thread = stack.enter_context(LoopThread())
            self.upstreams = Upstreams(UPSTREAMS)
            thread.call(self.upstreams.start())
            thread_stop = thread.loop.call_soon_threadsafe
            stack.callback(lambda: thread_stop(self.upstreams.stop))
            logs = {name: self._folder / f"{name}.log" for name in ("envoy", "sidecar")}
            for log in logs.values():
                log.touch()
            groups = [*clusters(self.upstreams.ports), *self._more_clusters(self.upstreams.ports)]
            configured = list(listeners(self._cases, logs["envoy"]))
            envoy = stack.enter_context(Envoy(self._binary, self._folder, bootstrap(configured, groups)))
            ours = list(listeners(self._cases, logs["sidecar"]))
            sidecar = stack.enter_context(Sidecar(thread, logs["sidecar"], ours, groups))
            self.envoy = Side("envoy", envoy, logs["envoy"], self.upstreams)
            self.sidecar = Side("sidecar", sidecar, logs["sidecar"], self.upstreams)
            self._pool = stack.enter_context(ThreadPoolExecutor(2))
            self.pool = stack.enter_context(ThreadPoolExecutor(32))
            self._listener_of = {}
            for listener in configured:
                for host in listener.filter_chains[0].network_filter.route_config.virtual_hosts:
                    self._listener_of[host.name] = listener.name
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def listener_of(self, case: Case) -> str:
        return self._listener_of[case.name]

    def ask(self, case: Case, ask: Ask) -> tuple[Outcome, Outcome]:
        """Envoy's, ours: asked at the same time."""
        listener = self.listener_of(case)
        envoy = self._pool.submit(self.envoy.ask, listener, case.domain, ask)
        sidecar = self._pool.submit(self.sidecar.ask, listener, case.domain, ask)
        return envoy.result(), sidecar.result()

    def compare(self, case: Case) -> None:
        """Every request of a case gets the same answer from both, with the same traces upstream and in the access log."""
        found = []
        for ask in case.asks:
            envoy, sidecar = self.ask(case, ask)
            these = differences(envoy.comparable(), sidecar.comparable())
            for outcome, who in ((envoy, "envoy"), (sidecar, "sidecar")):
                if not ask.takes[0] - EARLY_SECONDS <= outcome.seconds <= ask.takes[1]:
                    these.append(f"{who} took {outcome.seconds:.3f} s, not {ask.takes}")
            found += [str(ask), *these] if these else []
        assert not found, "\n".join(found)


def differences(envoy: Any, sidecar: Any, where: str = "") -> list[str]:
    """The places where two outcomes differ, one a line."""
    if envoy == sidecar:
        return []
    if isinstance(envoy, dict) and isinstance(sidecar, dict):
        names = [*envoy, *(name for name in sidecar if name not in envoy)]
        return [line for name in names for line in differences(envoy.get(name), sidecar.get(name), f"{where}/{name}")]
    if _is_headers(envoy) and _is_headers(sidecar):
        only = [f"{where}: only Envoy {pair}" for pair in envoy if pair not in sidecar]
        return [*only, *(f"{where}: only the sidecar {pair}" for pair in sidecar if pair not in envoy)] or [f"{where}: other numbers"]
    if isinstance(envoy, list | tuple) and isinstance(sidecar, list | tuple) and len(envoy) == len(sidecar):
        return [line for number, pair in enumerate(zip(envoy, sidecar, strict=True)) for line in differences(*pair, f"{where}/{number}")]
    return [f"{where}: envoy {envoy!r}, sidecar {sidecar!r}"]


def _is_headers(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value)
