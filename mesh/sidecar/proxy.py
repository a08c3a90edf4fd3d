"""A whole sidecar without its control plane: give it resources and it serves them.

Envoy: Server::InstanceImpl.

    async with Proxy(node, clock, dice, access_log_path) as proxy:
        await proxy.apply(listeners=[…], routes=[…], clusters=[…], load_assignments=[…])
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Any, Final, Self

from mesh.model.cluster import Cluster
from mesh.model.endpoint import Endpoint, LoadAssignment
from mesh.model.listener import HttpConnectionManager, Listener, TcpProxy
from mesh.model.node import Node
from mesh.model.route import RouteConfiguration
from mesh.model.world import Clock, Dice
from mesh.sidecar import exposition
from mesh.sidecar.clusters import Clusters
from mesh.sidecar.connection_manager import HttpStats, Worker
from mesh.sidecar.context import RunningContext
from mesh.sidecar.filter import Observer
from mesh.sidecar.filters.access_log import LogFiles
from mesh.sidecar.filters.metrics import Metrics
from mesh.sidecar.filters.request_id import RequestIds
from mesh.sidecar.filters.tcp_metrics import TcpMetrics
from mesh.sidecar.host import HostStats
from mesh.sidecar.original_dst import original_dst
from mesh.sidecar.server import OriginalDst, Server
from mesh.sidecar.state import Compiler, Refused, Resources, State, named
from mesh.sidecar.tcp import TcpStats
from mesh.sidecar.wall import WallClock
from mesh.sidecar.wire.heads import HeadReader

__all__ = ["HostView", "Proxy", "Refused"]

SWEEP_SECONDS: Final = 0.25
FLUSH_SECONDS: Final = 0.75  # of the access log: with the sweep, a line waits a second at most
QUIET_SECONDS: Final = 0.5  # a draining proxy that nobody has asked for anything for so long is done
STEP_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class HostView:
    """A line of Envoy's ``/clusters``."""

    cluster: str
    endpoint: Endpoint
    stats: HostStats
    ejected: bool = False


class Proxy:
    """``apply`` is all or nothing. Everything it opens is closed by ``__aexit__``; ``drain`` first, to lose nobody's request."""

    def __init__(
        self,
        node: Node,
        clock: Clock,
        dice: Dice,
        access_log_path: str = "/dev/stdout",
        *,
        time_of_day: Clock = time.time,  # noqa: TID251 - the one place where the real one comes in
        find_original_dst: OriginalDst = original_dst,
    ) -> None:
        self.node = node
        self.clock = clock
        self.dice = dice
        self.request_ids = RequestIds()
        self.state = State()
        self.metrics = Metrics()
        self.tcp_metrics = TcpMetrics()
        reader = HeadReader()
        self.clusters = Clusters(reader, clock, dice)
        self._reader = reader
        self._wall = WallClock(clock, time_of_day)
        self._logs = LogFiles(access_log_path)
        self._flush_at = 0.0
        self._find_original_dst = find_original_dst
        self._http_stats: dict[str, HttpStats] = {}
        self._tcp_stats: dict[str, TcpStats] = {}
        self._one_at_a_time = asyncio.Lock()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self.context = RunningContext(loop, self.clock, self.dice, self.clusters, self.node.ip)
        self._worker = Worker(loop, self.clock, self._wall, self._reader, self.context.background)
        self._server = Server(self._worker, self._find_original_dst)
        self._sweeping = loop.call_later(SWEEP_SECONDS, self._sweep)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._sweeping.cancel()
        self._server.close()
        for connection in list(self._worker.connections):
            connection.abort()
        for tunnel in list(self._worker.tcp_connections):
            tunnel.abort()
        self.clusters.abort()
        await self.context.close()
        await asyncio.sleep(0)  # transports tell their protocols that they are closed in the next turn
        self._worker.settle()
        self._logs.close()

    # --- configuration

    async def apply(
        self,
        *,
        listeners: Iterable[Listener] | None = None,
        routes: Iterable[RouteConfiguration] | None = None,
        clusters: Iterable[Cluster] | None = None,
        load_assignments: Iterable[LoadAssignment] | None = None,
    ) -> None:
        """Each is the whole set of its kind, None leaves it as it is. Raises Refused, and then nothing has changed."""
        async with self._one_at_a_time:
            before = self.state.resources
            resources = Resources(
                before.listeners if listeners is None else named("listener", listeners, lambda r: r.name),
                before.routes if routes is None else named("route", routes, lambda r: r.name),
                before.clusters if clusters is None else named("cluster", clusters, lambda r: r.name),
                before.load_assignments if load_assignments is None else named("load_assignment", load_assignments, lambda r: r.cluster),
            )
            state = Compiler(resources, self.state, self).compile()
            fresh = await self._server.prepare(state.listeners)
            self.clusters.replace(resources.clusters, resources.load_assignments)
            for active in state.listeners.values():
                for manager, router in active.routers:
                    manager.forward = router.forward
            self._server.commit(state.listeners, fresh)
            self.state = state

    def http_stats(self, prefix: str) -> HttpStats:
        return self._http_stats.setdefault(prefix, HttpStats())

    def tcp_stats(self, prefix: str) -> TcpStats:
        return self._tcp_stats.setdefault(prefix, TcpStats())

    def observers(self, config: HttpConnectionManager | TcpProxy) -> Sequence[Observer]:
        """Who is told of every stream: the access logs and the metrics. ValueError: a bad format."""
        logs = [self._logs.observer(log, self._wall) for log in config.access_logs]
        if config.metrics is None:
            return logs
        if isinstance(config, TcpProxy):
            return [*logs, self.tcp_metrics.closed(config.metrics)]
        return [*logs, self.metrics.observer(config.metrics)]

    def told_of_opening(self, config: TcpProxy) -> Sequence[Observer]:
        return [] if config.metrics is None else [self.tcp_metrics.opened(config.metrics)]

    # --- the end

    async def drain(self, seconds: float) -> None:
        """Answer what comes, but with ``connection: close``, until nobody asks any more or the time is over; then stop listening.

        Connections that a client keeps in its pool are closed last: closed at once, they might just carry its next request.
        """
        worker = self._worker
        worker.draining = True
        end = self.clock() + seconds
        asked, quiet_since = -1, self.clock()
        while (now := self.clock()) < end and now - quiet_since < QUIET_SECONDS:
            total = sum(stats.downstream_rq_total + stats.downstream_cx_total for stats in self._http_stats.values())
            if total != asked or self._busy():
                asked, quiet_since = total, now
            await asyncio.sleep(STEP_SECONDS)
        self._server.close()
        while self._busy() and self.clock() < end:  # noqa: ASYNC110 - an event would cost every request something
            await asyncio.sleep(STEP_SECONDS)
        for connection in list(worker.connections):
            if connection.idle:
                connection.close()

    def _busy(self) -> bool:
        return bool(self._worker.tcp_connections) or any(not connection.idle for connection in self._worker.connections)

    def _sweep(self) -> None:
        worker, now = self._worker, self.clock()
        self._sweeping = worker.loop.call_later(SWEEP_SECONDS, self._sweep)
        if now >= self._flush_at:
            self._flush_at = now + FLUSH_SECONDS
            self._wall.tick()
            self.flush()
        for connection in [c for c in worker.connections if c.deadline_seconds <= now]:
            connection.check_deadline(now)
        for tunnel in [c for c in worker.tcp_connections if c.deadline_seconds <= now]:
            tunnel.check_deadline(now)
        self.clusters.sweep(now)

    def flush(self) -> None:
        """Write the access log up to now."""
        self._worker.settle()
        self._logs.flush()

    # --- what it tells about itself

    def listener_addresses(self) -> dict[str, tuple[str, int]]:
        return self._server.addresses()

    def hosts(self) -> list[HostView]:
        return [HostView(cluster.name, host.endpoint, host.stats, host.ejected) for cluster, host in self.clusters.hosts()]

    def stats(self) -> dict[str, int]:
        """Envoy's counters and gauges by their names."""
        self._worker.settle()
        server = self._server
        result = {
            "listener.no_filter_chain_match": server.no_filter_chain_match,
            "listener.downstream_pre_cx_timeout": server.inspection_timeouts,
        }
        result |= {f"http2.{item.name}": getattr(self._worker.http2, item.name) for item in fields(self._worker.http2)}
        groups: list[tuple[str, dict[str, Any]]] = [("http", dict(self._http_stats)), ("tcp", dict(self._tcp_stats))]
        groups.append(("cluster", dict(self.clusters.stats)))
        groups.append(("cluster", self.clusters.outlier_stats()))
        for group, members in groups:
            for name, values in members.items():
                for item in fields(values):
                    value = getattr(values, item.name)
                    if isinstance(value, int):
                        result[f"{group}.{name}.{item.name}"] = value
        return result

    def prometheus(self) -> str:
        """Everything that was counted, in Prometheus' text format."""
        self._worker.settle()
        istio = [*exposition.istio(self.metrics.series.values()), *exposition.istio_tcp(self.tcp_metrics.series.values())]
        return "".join([*istio, *exposition.envoy(self.stats())])
