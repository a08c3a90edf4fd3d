"""Connections passed on byte by byte: whatever is not HTTP, and destinations that the mesh does not know.

Envoy: filters.network.tcp_proxy. Either side may end its direction first; the other goes on. A side that does not take its bytes holds
the other one back.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from mesh.model.listener import TcpProxy
from mesh.sidecar.filter import Flag, Observer, Request, StreamInfo

if TYPE_CHECKING:
    from mesh.sidecar.connection_manager import Worker
    from mesh.sidecar.filters.router import Clusters
    from mesh.sidecar.host import Host

HIGH_WATER_BYTES: Final = 64 * 1024


@dataclass(slots=True)
class TcpStats:
    """Envoy's counters under ``tcp.<stat_prefix>.``."""

    downstream_cx_total: int = 0
    downstream_cx_no_route: int = 0
    downstream_cx_rx_bytes_total: int = 0
    downstream_cx_tx_bytes_total: int = 0


class TcpChain:
    """One filter chain's TCP side."""

    def __init__(self, config: TcpProxy, clusters: "Clusters", observers: Sequence[Observer], stats: TcpStats) -> None:
        self.config = config
        self.clusters = clusters
        self.observers = tuple(observers)
        self.stats = stats


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
        if self._held and other.transport is not None and not other.transport.is_closing():
            other.transport.write(self._held)
            self._held = b""
        if self.transport is not None and not other._full and not self.transport.is_closing():
            self.transport.resume_reading()
        if self.ended:
            self._pass_end_on()

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        if self.other is not None and self.other.transport is not None:
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
        self._chain = chain
        self._worker = worker
        self._upstream = _Side()
        now = worker.clock()
        self._request = Request("", "", stream=StreamInfo(now, worker.wall.epoch(now)))
        self._request.stream.protocol = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        worker, stream = self._worker, self._request.stream
        self._chain.stats.downstream_cx_total += 1
        worker.tcp_connections.add(self)
        stream.downstream_local = _text(transport.get_extra_info("sockname"))
        stream.downstream_remote = _text(transport.get_extra_info("peername"))
        stream.upstream_cluster = self._chain.config.cluster
        self._request.original_dst = self.original_dst
        cluster = self._chain.clusters.by_name.get(self._chain.config.cluster)
        host = cluster.pick(self._request) if cluster is not None else None
        if host is None:
            self._chain.stats.downstream_cx_no_route += cluster is None
            stream.flags |= Flag.NC if cluster is None else Flag.UH
            self.abort()
            return
        assert cluster is not None
        stream.cluster, stream.endpoint, stream.upstream_host = cluster.cluster, host.endpoint, host.address
        worker.background(self._connect(host))

    async def _connect(self, host: "Host") -> None:
        cluster, loop = host.cluster, self._worker.loop
        bind = (cluster.bind_address, 0) if cluster.bind_address else None
        host.stats.cx_total += 1
        try:
            async with asyncio.timeout(cluster.connect_timeout_seconds):
                await loop.create_connection(lambda: self._upstream, host.endpoint.address, host.endpoint.port, local_addr=bind)
        except OSError:  # TimeoutError is one
            host.stats.cx_connect_fail += 1
            self._request.stream.flags |= Flag.UF
            self.abort()
            return
        assert self._upstream.transport is not None
        self._request.stream.upstream_local = _text(self._upstream.transport.get_extra_info("sockname"))
        if self.transport is None or self.transport.is_closing():
            self._upstream.abort()
            return
        self._upstream.join(self)
        self.join(self._upstream)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._worker.tcp_connections.discard(self)
        stream, stats = self._request.stream, self._chain.stats
        stream.end_seconds = self._worker.clock()
        stream.bytes_received, stream.bytes_sent = self.received_bytes, self._upstream.received_bytes
        stats.downstream_cx_rx_bytes_total += self.received_bytes
        stats.downstream_cx_tx_bytes_total += self._upstream.received_bytes
        for observer in self._chain.observers:
            observer(self._request, None)


def _text(name: object) -> str:
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) and len(name) > 1 else ""
