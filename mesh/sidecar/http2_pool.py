"""The HTTP/2 connections of one host: mostly one, another where the peer or the configuration allows no more streams on it.

Envoy: source/common/http/http2/conn_pool.cc over ConnPoolImplBase. Requests that find no connection wait for the one being made.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from mesh.model.world import Clock
from mesh.sidecar.http2_upstream import Http2Upstream
from mesh.sidecar.limits import keep_alive
from mesh.sidecar.upstream_stream import UpstreamStream
from mesh.sidecar.wire.http2 import HeadMemory

if TYPE_CHECKING:
    from mesh.sidecar.host import ConnectFailure, Host

DEFAULT_MAX_STREAMS = 1024  # Envoy's


class Http2Pool:
    def __init__(self, host: "Host", clock: Clock, memory: HeadMemory) -> None:
        self._host = host
        self._clock = clock
        self._memory = memory
        self._open: list[Http2Upstream] = []  # those that take requests
        self._all: set[Http2Upstream] = set()
        self._connecting = False
        self._waiting: deque[asyncio.Future[ConnectFailure | None]] = deque()

    def take(self) -> UpstreamStream | None:
        """A stream to be started at once, on a connection that stands."""
        most = self._host.cluster.max_concurrent_streams or DEFAULT_MAX_STREAMS
        for connection in self._open:
            if connection.can_take(most):
                return UpstreamStream(connection)
        return None

    async def acquire(self) -> "UpstreamStream | ConnectFailure":
        """On a new connection, or on the one that somebody is making already."""
        while True:
            stream = self.take()
            if stream is not None:
                return stream
            if not self._connecting and self._host.pool.may_connect(len(self._all)):
                failure = await self._connect()
            else:
                failure = await self._wait()
            if failure is not None:
                return failure

    async def _wait(self) -> "ConnectFailure | None":
        news: asyncio.Future[ConnectFailure | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(news)
        try:
            return await news
        except asyncio.CancelledError:
            if news.done() and not news.cancelled():
                self.freed()  # somebody else's turn
            raise

    async def _connect(self) -> "ConnectFailure | None":
        self._connecting = True
        self._host.pool.opening()
        connection = Http2Upstream(self, self._clock, self._memory)
        failure: ConnectFailure | None = None
        try:
            failure = await self._host.connect(connection)
        finally:
            self._connecting = False
            if connection.opened_seconds is None:  # else it is told when the connection is lost
                self._host.pool.closed()
            self._tell_all(failure)
        return failure

    def _tell_all(self, failure: "ConnectFailure | None") -> None:
        waiting, self._waiting = self._waiting, deque()
        for news in waiting:
            if not news.done():
                news.set_result(failure)

    def freed(self) -> None:
        """There is room for one more."""
        while self._waiting:
            news = self._waiting.popleft()
            if not news.done():
                news.set_result(None)
                return

    # --- what connections tell

    def opened(self, connection: Http2Upstream) -> None:
        self._host.stats.cx_active += 1
        self._open.append(connection)
        self._all.add(connection)
        connection.opened_seconds = connection.idle_since_seconds = self._clock()
        if self._host.cluster.keepalive is not None:
            keep_alive(connection.socket(), self._host.cluster.keepalive)

    def used(self, connection: Http2Upstream) -> None:
        """It has taken a request: perhaps its last."""
        cluster, stats = self._host.cluster, self._host.pool.stats
        if cluster.max_requests_per_connection and connection.requests >= cluster.max_requests_per_connection:
            stats.upstream_cx_max_requests += 1
            self.goes_away(connection)
        elif cluster.max_connection_seconds and self._clock() - (connection.opened_seconds or 0.0) >= cluster.max_connection_seconds:
            stats.upstream_cx_max_duration_reached += 1
            self.goes_away(connection)

    def goes_away(self, connection: Http2Upstream) -> None:
        connection.going_away = True
        if connection in self._open:
            self._open.remove(connection)

    def lost(self, connection: Http2Upstream) -> None:
        self.goes_away(connection)
        self._all.discard(connection)
        self._host.stats.cx_active -= 1
        self._host.pool.closed()
        self.freed()

    # --- for the host

    @property
    def unused(self) -> bool:
        return not self._all

    def close_idle(self, now_seconds: float, limit_seconds: float) -> None:
        for connection in [c for c in self._open if not c.busy and 0 < limit_seconds <= now_seconds - c.idle_since_seconds]:
            self._host.pool.stats.upstream_cx_idle_timeout += 1
            connection.retire()

    def retire(self) -> None:
        for connection in list(self._open):
            self.goes_away(connection)
            connection.retire()

    def abort(self) -> None:
        for connection in list(self._all):
            connection.abort()
