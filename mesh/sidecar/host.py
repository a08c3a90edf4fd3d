"""One endpoint as the balancer sees it: its open connections, how busy it is, and Envoy's counters about it.

Envoy: Upstream::HostImpl with its connection pool. A host lives as long as some configuration names its address in its cluster;
connections of a host that was removed finish what they do and are then closed.
"""

import asyncio
import contextlib
import os
from dataclasses import dataclass
from typing import Final

from mesh.model.cluster import Cluster
from mesh.model.endpoint import Endpoint
from mesh.model.world import Clock
from mesh.policy.outlier_detection import Record
from mesh.sidecar.filter import Reset
from mesh.sidecar.http2_pool import Http2Pool
from mesh.sidecar.limits import Pool, Queue, keep_alive
from mesh.sidecar.upstream_connection import UpstreamConnection
from mesh.sidecar.wire.heads import HeadReader

DEFAULT_IDLE_SECONDS: Final = 3600.0  # Envoy's
SUSPECT_AFTER_SECONDS: Final = 0.2  # idle for longer: look whether the peer has closed before trusting the connection


@dataclass(slots=True)
class HostStats:
    """Envoy's per-host counters, by their names on /clusters."""

    cx_active: int = 0
    cx_connect_fail: int = 0
    cx_total: int = 0
    rq_active: int = 0
    rq_error: int = 0
    rq_success: int = 0
    rq_timeout: int = 0
    rq_total: int = 0


@dataclass(frozen=True, slots=True)
class ConnectFailure:
    reset: Reset
    reason: str


class Host:
    """``endpoint`` and ``cluster`` change with the configuration; connections and counters stay."""

    def __init__(self, cluster: Cluster, endpoint: Endpoint, pool: Pool, reader: HeadReader, clock: Clock) -> None:
        self.cluster = cluster
        self.endpoint = endpoint
        self.pool = pool
        self.address = f"[{endpoint.address}]:{endpoint.port}" if ":" in endpoint.address else f"{endpoint.address}:{endpoint.port}"
        self.stats = HostStats()
        self.removed = False
        self.record = Record()
        self._streams: Http2Pool | None = None
        self._idle: list[UpstreamConnection] = []
        self._busy: set[UpstreamConnection] = set()
        self._connecting = 0
        self._queue = Queue()
        self._reader = reader
        self._clock = clock

    @property
    def ejected(self) -> bool:
        return self.record.ejected_at_seconds is not None

    def take_idle(self, *, wary: bool) -> UpstreamConnection | None:
        """The connection that was used last, if it still stands. ``wary``, after a failed try: look first, however fresh it is."""
        while self._idle:
            connection = self._idle.pop()
            if connection.lost:
                continue
            self._busy.add(connection)
            suspect = wary or self._clock() - connection.idle_since_seconds > SUSPECT_AFTER_SECONDS
            if suspect and connection.has_news():
                connection.close()  # the peer has closed it (or speaks unasked): the loop has not told us yet
                continue
            return connection
        return None

    async def acquire(self) -> UpstreamConnection | ConnectFailure:
        """A new connection, or, where the circuit breaker allows no more, the next one that comes free."""
        while not self.pool.may_connect(len(self._idle) + len(self._busy) + self._connecting):
            connection = await self._queue.wait()
            if connection is not None and not connection.lost:
                return connection
        self.pool.opening()
        self._connecting += 1
        connection = UpstreamConnection(self, self._reader)
        try:
            return await self.connect(connection) or connection
        finally:
            self._connecting -= 1
            if connection.opened_seconds is None:  # else it is told when the connection is lost
                self.pool.closed()
                self._queue.offer(None)

    def streams(self) -> Http2Pool:
        """Where HTTP/2 is spoken."""
        if self._streams is None:
            self._streams = Http2Pool(self, self._clock, self.pool.memory)
        return self._streams

    async def connect(self, connection: asyncio.Protocol) -> ConnectFailure | None:
        loop = asyncio.get_running_loop()
        bind = (self.cluster.bind_address, 0) if self.cluster.bind_address else None
        self.stats.cx_total += 1
        try:
            async with asyncio.timeout(self.cluster.connect_timeout_seconds):
                await loop.create_connection(lambda: connection, self.endpoint.address, self.endpoint.port, local_addr=bind)
        except TimeoutError:
            self.stats.cx_connect_fail += 1
            return ConnectFailure(Reset.CONNECTION_TIMEOUT, "")
        except OSError as error:
            self.stats.cx_connect_fail += 1
            return ConnectFailure(
                Reset.CONNECTION_FAILURE, os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or ""
            )
        return None

    def opened(self, connection: UpstreamConnection) -> None:
        self.stats.cx_active += 1
        self._busy.add(connection)
        connection.opened_seconds = self._clock()
        if self.cluster.keepalive is not None:
            keep_alive(connection.socket(), self.cluster.keepalive)

    def release(self, connection: UpstreamConnection) -> None:
        """The connection has answered and can take the next request."""
        limit = self.cluster.max_requests_per_connection
        if limit and connection.requests >= limit:
            self.pool.stats.upstream_cx_max_requests += 1
            connection.close()
            return
        if self.removed or self._too_old(connection):
            connection.close()
            return
        if self._queue and self._queue.offer(connection):
            if self._queue:
                self.pool.may_connect(1)  # Envoy looks again, and counts, each time
            return
        connection.idle_since_seconds = self._clock()
        self._busy.discard(connection)
        self._idle.append(connection)

    def _too_old(self, connection: UpstreamConnection) -> bool:
        limit = self.cluster.max_connection_seconds
        if not limit or connection.opened_seconds is None or self._clock() - connection.opened_seconds < limit:
            return False
        self.pool.stats.upstream_cx_max_duration_reached += 1
        return True

    def lost(self, connection: UpstreamConnection) -> None:
        self._busy.discard(connection)
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)
        self.stats.cx_active -= 1
        self.pool.closed()
        if self._queue:
            self._queue.offer(None)

    def close_idle(self, now_seconds: float) -> None:
        limit = DEFAULT_IDLE_SECONDS if self.cluster.idle_timeout_seconds is None else self.cluster.idle_timeout_seconds
        if limit > 0:
            for connection in [c for c in self._idle if now_seconds - c.idle_since_seconds >= limit]:
                self.pool.stats.upstream_cx_idle_timeout += 1
                connection.close()
        if self._streams is not None:
            self._streams.close_idle(now_seconds, limit)
        if self.cluster.max_connection_seconds:
            for connection in [c for c in self._idle if self._too_old(c)]:
                connection.close()

    @property
    def unused(self) -> bool:
        return not (self._idle or self._busy or self.stats.rq_active) and (self._streams is None or self._streams.unused)

    def retire(self) -> None:
        """No configuration names this host any more: requests on their way may finish."""
        self.removed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        if self._streams is not None:
            self._streams.retire()

    def abort(self) -> None:
        self.retire()
        for connection in list(self._busy):
            connection.abort()
        if self._streams is not None:
            self._streams.abort()
