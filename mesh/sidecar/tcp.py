"""Connections passed on byte by byte: whatever is not HTTP, and destinations that the mesh does not know.

Envoy: filters.network.tcp_proxy. Either side may end its direction first; the other goes on. A side that does not take its bytes holds
the other one back.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from mesh.model.listener import TcpProxy
from mesh.model.world import Dice
from mesh.policy.load_balancing import pick_random, running_sums
from mesh.sidecar.filter import Flag, Observer, Request, StreamInfo

if TYPE_CHECKING:
    from mesh.sidecar.connection_manager import Worker
    from mesh.sidecar.filters.router import Clusters
    from mesh.sidecar.host import Host
    from mesh.sidecar.upstream import UpstreamCluster

HIGH_WATER_BYTES: Final = 64 * 1024
NEVER: Final = float("inf")


IDLE_SECONDS: Final = 3600.0  # Envoy's


@dataclass(slots=True)
class TcpStats:
    """Envoy's counters under ``tcp.<stat_prefix>.``."""

    downstream_cx_total: int = 0
    downstream_cx_no_route: int = 0
    downstream_cx_rx_bytes_total: int = 0
    downstream_cx_tx_bytes_total: int = 0
    idle_timeout: int = 0


class TcpChain:
    """One filter chain's TCP side."""

    def __init__(
        self,
        config: TcpProxy,
        clusters: "Clusters",
        observers: Sequence[Observer],
        opening: Sequence[Observer],
        stats: TcpStats,
        dice: Dice,
    ) -> None:
        self.config = config
        self.clusters = clusters
        self.observers = tuple(observers)
        self.opening = tuple(opening)
        self.stats = stats
        self.idle_seconds = IDLE_SECONDS if config.idle_timeout_seconds is None else config.idle_timeout_seconds
        self._dice = dice
        self._sums = running_sums([one.weight for one in config.weighted])

    def cluster(self) -> str:
        """Of this connection."""
        weighted = self.config.weighted
        return weighted[pick_random(self._sums, self._dice)].cluster if weighted else self.config.cluster


class _Side(asyncio.Protocol):
    """One of the two connections; what it reads the other one writes."""

    def __init__(self) -> None:
        self.other: _Side | None = None
        self.transport: asyncio.Transport | None = None
        self.received_bytes = 0
        self.ended = False  # nothing more will come from here
        self._held = b""
        self._full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are not its subclasses

    def join(self, other: "_Side") -> None:
        """From now on: what came before, then what comes."""
        self.other = other
        if self._held:
            held, self._held = self._held, b""
            self.data_received(held)
        if self.transport is not None and not other._full and not self.transport.is_closing():
            self.transport.resume_reading()
        if self.ended:
            self._pass_end_on()

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.received_bytes += len(data)
            if not self.other.transport.is_closing():
                self.other.transport.write(data)
            return
        self._held += data
        if len(self._held) > HIGH_WATER_BYTES and self.transport is not None:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self.ended = True
        if self.other is not None:
            self._pass_end_on()
        return True

    def _pass_end_on(self) -> None:
        other = self.other
        assert other is not None
        if other.ended:
            self.close()
            other.close()
        elif other.transport is not None and not other.transport.is_closing():
            other.transport.write_eof()

    def pause_writing(self) -> None:
        self._full = True
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        self._full = False
        if self.other is not None and self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        if self.other is not None:
            self.other.close()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class TcpConnection(_Side):
    """The client's side; it opens the other."""

    def __init__(self, chain: TcpChain, worker: "Worker") -> None:
        super().__init__()
        self.original_dst: tuple[str, int] | None = None
        self.requested_server_name = ""
        self.deadline_seconds = NEVER  # when the sweep has to look whether anything still moves
        self._chain = chain
        self._worker = worker
        self._upstream = _Side()
        self._seen_bytes = 0
        self._host: Host | None = None
        now = worker.clock()
        self._request = Request("", "", stream=StreamInfo(now, worker.wall.epoch(now)))
        self._request.stream.protocol = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        worker, stream, chain = self._worker, self._request.stream, self._chain
        chain.stats.downstream_cx_total += 1
        worker.tcp_connections.add(self)
        stream.downstream_local = _text(transport.get_extra_info("sockname"))
        stream.downstream_remote = _text(transport.get_extra_info("peername"))
        stream.requested_server_name = self.requested_server_name
        self._request.original_dst = self.original_dst
        name = chain.cluster()
        cluster = chain.clusters.by_name.get(name)
        if cluster is None:
            chain.stats.downstream_cx_no_route += 1
            stream.flags |= Flag.NC
            self.abort()
            return
        stream.cluster, stream.upstream_cluster = cluster.cluster, name
        cast(asyncio.Transport, transport).pause_reading()  # nobody is there yet to take it
        worker.background(self._open(cluster))

    async def _open(self, cluster: "UpstreamCluster") -> None:
        """Connect, as often as may be tried, each time to a host of the balancer's choice."""
        stream = self._request.stream
        for _ in range(self._chain.config.max_connect_attempts):
            host = cluster.pick(self._request)
            if host is None:
                cluster.stats.upstream_cx_none_healthy += 1
                stream.flags |= Flag.UH
                self.abort()
                return
            stream.endpoint, stream.upstream_host = host.endpoint, host.address
            stream.tried = (*stream.tried, host.endpoint)
            stream.attempts += 1
            if await self._connect(host):
                self._opened(host)
                return
            cluster.stats.upstream_cx_connect_fail += 1
        stream.flags |= Flag.UF | Flag.URX_TCP
        self.abort()

    async def _connect(self, host: "Host") -> bool:
        cluster, loop = host.cluster, self._worker.loop
        bind = (cluster.bind_address, 0) if cluster.bind_address else None
        host.stats.cx_total += 1
        try:
            async with asyncio.timeout(cluster.connect_timeout_seconds):
                await loop.create_connection(lambda: self._upstream, host.endpoint.address, host.endpoint.port, local_addr=bind)
        except OSError:  # TimeoutError is one
            host.stats.cx_connect_fail += 1
            return False
        return True

    def _opened(self, host: "Host") -> None:
        assert self._upstream.transport is not None
        self._request.stream.upstream_local = _text(self._upstream.transport.get_extra_info("sockname"))
        if self.transport is None or self.transport.is_closing():
            self._upstream.abort()
            return
        self._host = host
        host.stats.cx_active += 1
        for observer in self._chain.opening:
            observer(self._request, None)
        self._touch(self._worker.clock())
        self._upstream.join(self)
        self.join(self._upstream)

    def _touch(self, now_seconds: float) -> None:
        if self._chain.idle_seconds:
            self.deadline_seconds = now_seconds + self._chain.idle_seconds

    def check_deadline(self, now_seconds: float) -> None:
        """Bytes are not timed one by one: whoever moved some since the last look has moved."""
        moved = self.received_bytes + self._upstream.received_bytes
        if moved != self._seen_bytes:
            self._seen_bytes = moved
            self._touch(now_seconds)
            return
        self._chain.stats.idle_timeout += 1
        self.close()
        self._upstream.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._worker.tcp_connections.discard(self)
        if self._host is not None:
            self._host.stats.cx_active -= 1
        stream, stats = self._request.stream, self._chain.stats
        stream.end_seconds = self._worker.clock()
        stream.bytes_received, stream.bytes_sent = self.received_bytes, self._upstream.received_bytes
        stats.downstream_cx_rx_bytes_total += self.received_bytes
        stats.downstream_cx_tx_bytes_total += self._upstream.received_bytes
        for observer in self._chain.observers:
            observer(self._request, None)


def _text(name: object) -> str:
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) and len(name) > 1 else ""
