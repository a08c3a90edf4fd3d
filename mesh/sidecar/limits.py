"""What a cluster's hosts share: its limits, what is on its way, and the requests that wait for a connection.

Envoy: Upstream::ResourceManagerImpl and ConnectionPool::ConnPoolImplBase. A ``Pool`` lives as long as its cluster's name: what is open
when the limits change is counted against the new ones.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mesh.model.cluster import Cluster, TcpKeepalive
from mesh.policy import circuit_breaker
from mesh.policy.circuit_breaker import Limits
from mesh.sidecar.cluster_stats import ClusterStats, OutlierStats
from mesh.sidecar.filter import Request
from mesh.sidecar.wire.http2 import HeadMemory

if TYPE_CHECKING:
    from mesh.sidecar.upstream_connection import UpstreamConnection


class Pool:
    def __init__(self, stats: ClusterStats) -> None:
        self.stats = stats
        self.limits = Limits()
        self.memory = HeadMemory()
        self.retrying = 0
        self.outliers = OutlierStats()
        self.too_late: Callable[[Request], None] = _nothing  # a time-out has given up this request's attempt

    def configure(self, cluster: Cluster) -> None:
        self.limits = circuit_breaker.limits(cluster.circuit_breakers)

    def may_connect(self, own: int) -> bool:
        """Counted as an overflow if not."""
        if circuit_breaker.may_connect(self.limits, self.stats.upstream_cx_active, own):
            return True
        self.stats.upstream_cx_overflow += 1
        return False

    def opening(self) -> None:
        self.stats.upstream_cx_total += 1
        self.stats.upstream_cx_active += 1

    def closed(self) -> None:
        self.stats.upstream_cx_active -= 1

    def begin_wait(self) -> bool:
        """A request without a connection. True: ``end_wait`` must follow."""
        stats = self.stats
        if not circuit_breaker.may_wait(self.limits, stats.upstream_rq_pending_active):
            stats.upstream_rq_pending_overflow += 1
            return False
        stats.upstream_rq_pending_total += 1
        stats.upstream_rq_pending_active += 1
        return True

    def end_wait(self) -> None:
        self.stats.upstream_rq_pending_active -= 1

    def begin_retry(self) -> bool:
        """One more try of a request. True: ``end_retry`` must follow when that try is over."""
        if not circuit_breaker.may_retry(self.limits, self.retrying):
            self.stats.upstream_rq_retry_overflow += 1
            return False
        self.stats.upstream_rq_retry += 1
        self.retrying += 1
        return True

    def end_retry(self, *, success: bool) -> None:
        self.retrying -= 1
        if success:
            self.stats.upstream_rq_retry_success += 1


def _nothing(_request: Request) -> None:
    """No cluster is at work yet."""


class Queue:
    """Requests that wait for one host's connections, first come, first served."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[UpstreamConnection | None]] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    async def wait(self) -> "UpstreamConnection | None":
        """A connection that has come free; None: there is room for a new one."""
        news: asyncio.Future[UpstreamConnection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(news)
        try:
            return await news
        except asyncio.CancelledError:
            if news.done() and not news.cancelled():
                self._give_back(news.result())
            raise

    def _give_back(self, connection: "UpstreamConnection | None") -> None:
        if connection is None:
            self.offer(None)
        elif not connection.lost:
            connection.host.release(connection)

    def offer(self, connection: "UpstreamConnection | None") -> bool:
        """Whether somebody takes it."""
        while self._waiting:
            news = self._waiting.popleft()
            if not news.done():
                news.set_result(connection)
                return True
        return False


def keep_alive(sock: Any, settings: TcpKeepalive) -> None:
    """Have the kernel ask now and then whether the peer is still there."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = (
        (socket.TCP_KEEPCNT, settings.probes),
        (socket.TCP_KEEPIDLE, settings.time_seconds),
        (socket.TCP_KEEPINTVL, settings.interval_seconds),
    )
    for option, value in options:
        if value is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
