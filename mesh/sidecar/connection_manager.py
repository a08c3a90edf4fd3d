"""What a listener does with requests, compiled from its HttpConnectionManager, and the worker that all connections share.

Envoy: Http::ConnectionManagerConfig and ConnectionManagerUtility (which headers a proxy removes, sets and trusts).
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mesh.model.listener import Direction, HttpConnectionManager
from mesh.model.world import Clock
from mesh.sidecar.filter import Field, Observer, Request, Response, local_reply
from mesh.sidecar.filter import field as header_field
from mesh.sidecar.filters.request_id import RequestIds
from mesh.sidecar.paths import needs_normalizing, normalize
from mesh.sidecar.wall import WallClock
from mesh.sidecar.wire.heads import HOP_BY_HOP, INTERNAL, HeadReader, MalformedMessage, tokens
from mesh.sidecar.wire.http2 import HeadMemory, Http2Settings
from mesh.sidecar.wire.writing import response_head

if TYPE_CHECKING:
    from mesh.sidecar.downstream import HttpConnection
    from mesh.sidecar.http2_downstream import Http2Downstream
    from mesh.sidecar.tcp import TcpConnection

_FORWARDED_PROTO: Final = header_field("x-forwarded-proto", "http")
ENDED_AT_A_TIME: Final = 32
MAX_CONCURRENT_STREAMS: Final = 1024  # Envoy's default
_TRAILERS: Final = header_field("te", "trailers")
_CLOSE: Final = b"connection: close\r\n"
EDGE_REMOVED: Final = (
    "x-forwarded-proto",
    "x-request-id",
    "x-envoy-decorator-operation",
    "x-envoy-original-path",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
)
_TRUSTED: Final = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto")


@dataclass(slots=True)
class HttpStats:
    """Envoy's counters under ``http.<stat_prefix>.``."""

    downstream_cx_total: int = 0
    downstream_cx_http2_total: int = 0
    downstream_cx_drain_close: int = 0
    downstream_cx_idle_timeout: int = 0
    downstream_cx_active: int = 0
    downstream_cx_destroy_remote_active_rq: int = 0
    downstream_cx_protocol_error: int = 0
    downstream_rq_total: int = 0
    downstream_rq_http2_total: int = 0
    downstream_rq_rx_reset: int = 0
    downstream_rq_tx_reset: int = 0
    downstream_rq_1xx: int = 0
    downstream_rq_2xx: int = 0
    downstream_rq_3xx: int = 0
    downstream_rq_4xx: int = 0
    downstream_rq_5xx: int = 0


@dataclass(slots=True)
class Http2Stats:
    """Envoy's counters of the downstream codec, under ``http2.``."""

    streams_active: int = 0
    rx_reset: int = 0
    tx_reset: int = 0
    goaway_sent: int = 0
    header_overflow: int = 0


@dataclass(slots=True)
class Worker:
    """What the connections of a proxy share: the loop, the time, the reader of heads, and who is connected."""

    loop: asyncio.AbstractEventLoop
    clock: Clock
    wall: WallClock
    reader: HeadReader
    background: Callable[[Coroutine[Any, Any, object]], None]
    connections: "set[HttpConnection | Http2Downstream]" = field(default_factory=set)
    tcp_connections: "set[TcpConnection]" = field(default_factory=set)
    draining: bool = False
    http2: Http2Stats = field(default_factory=Http2Stats)
    memories: dict[Http2Settings, HeadMemory] = field(default_factory=dict)
    ended: "list[tuple[ConnectionManager, Request, Response | None]]" = field(default_factory=list)

    def memory(self, settings: Http2Settings) -> HeadMemory:
        """Of HTTP/2 heads: one for all connections with these settings."""
        return self.memories.setdefault(settings, HeadMemory())

    def settle(self) -> None:
        """Tell the observers of the streams that have ended. Some at a time: that is half the work of each by itself."""
        ended, self.ended = self.ended, []
        for manager, request, response in ended:
            manager.observe(request, response)


class ConnectionManager:
    """One filter chain's HTTP side. ``forward`` finds the route and runs its chain; it is replaced as configuration changes."""

    def __init__(
        self,
        config: HttpConnectionManager,
        direction: Direction,
        forward: Callable[[Request], Awaitable[Response]],
        observers: Sequence[Observer],
        stats: HttpStats,
        request_ids: RequestIds,
    ) -> None:
        self.config = config
        self.inbound = direction is Direction.INBOUND
        self.forward = forward
        self.observers = tuple(observers)
        self.stats = stats
        self.draining = False  # its listener is gone: connections end with their next answer
        self.max_head_bytes = config.max_request_headers_kb * 1024
        self.max_header_count = config.max_request_header_count
        self.headers_seconds = config.request_headers_timeout_seconds
        self.request_seconds = config.request_timeout_seconds
        self.idle_seconds = config.stream_idle_timeout_seconds
        self.http2_settings = Http2Settings(
            max_concurrent_streams=config.http2_max_concurrent_streams or MAX_CONCURRENT_STREAMS,
            max_header_list_bytes=self.max_head_bytes,
            max_header_count=self.max_header_count,
        )
        self._request_ids = request_ids if config.generate_request_id else None
        self._normalize = config.normalize_path
        self._server = header_field("server", config.server_name)
        self._edge = config.use_remote_address
        self._keep_server = config.pass_through_server_header
        self._upgrades = frozenset(name.lower() for name in config.upgrades)

    # --- the request

    def sanitize(self, request: Request, minor: int) -> tuple[bool, bool]:
        """The long way, for requests with fields that are for this hop or for the proxy itself.

        Answers whether the client wants the connection closed afterwards, and whether it waits for ``100 Continue``.
        """
        fields = request.headers.fields
        connection = tokens(fields["connection"][0]) if "connection" in fields else []
        if minor == 0:
            request.stream.protocol = "HTTP/1.0"
        expects = "expect" in fields and fields["expect"][0].lower() == "100-continue"
        if expects:
            del fields["expect"]
        if "proxy-connection" in fields:
            connection += [name for name in tokens(fields["proxy-connection"][0]) if name == "close"]
        if "upgrade" in connection and "upgrade" in fields:
            self._upgrade(request, fields["upgrade"][0].lower())
        self._strip_hop(request, connection)
        for name in INTERNAL:
            fields.pop(name, None)
        return "close" in connection or request.method == "CONNECT" or (minor == 0 and "keep-alive" not in connection), expects

    def _strip_hop(self, request: Request, nominated: list[str]) -> None:
        """Take out what is for this hop only. Envoy: Utility::sanitizeConnectionHeader."""
        fields = request.headers.fields
        trailers = "te" in fields and "trailers" in tokens(fields["te"][0])
        for name in nominated:
            if name in _TRUSTED or name.startswith(":"):
                raise MalformedMessage("http1.connection_header_rejected")
            if name == "host":
                raise MalformedMessage("missing_host_header", request=(request.method, request.path, ""))
            fields.pop(name, None)
        for name in HOP_BY_HOP:
            fields.pop(name, None)
        if trailers:
            fields["te"] = _TRAILERS

    def extended_connect(self, request: Request, protocol: str) -> Response | None:
        """RFC 8441: what is an upgrade in HTTP/1. The answer where it is not allowed."""
        if protocol not in self._upgrades:
            return local_reply(403, details="upgrade_failed")
        request.method, request.upgrade = "GET", protocol
        return None

    def _upgrade(self, request: Request, protocol: str) -> None:
        if protocol in self._upgrades:
            request.upgrade = protocol
        elif protocol != "h2c":  # an invitation that may be declined
            raise MalformedMessage("upgrade_failed", 403, (request.method, request.path, request.authority))

    def prepare(self, request: Request) -> Response | None:
        """What every request goes through; the answer where the path is none. Envoy: ConnectionManagerUtility::mutateRequestHeaders."""
        fields = request.headers.fields
        if self._edge:
            self._meet(request)
        if "x-forwarded-proto" not in fields:
            fields["x-forwarded-proto"] = _FORWARDED_PROTO
        elif fields["x-forwarded-proto"][0] == "https":
            request.scheme = "https"
        if self._request_ids is not None and "x-request-id" not in fields:
            fields["x-request-id"] = self._request_ids()
        if self.inbound:
            peer = fields.get("x-envoy-peer-metadata")
            if peer is not None:
                request.stream.peer_header = peer[0]
        return self._check_path(request)

    def _check_path(self, request: Request) -> Response | None:
        path = request.path
        if path[:1] == "/" and "#" not in path and not (self._normalize and needs_normalizing(path)):
            return None
        return self._odd_path(request, path)

    def _odd_path(self, request: Request, path: str) -> Response | None:
        if request.method != "CONNECT" and path[:1] != "/":
            return local_reply(404, details="absolute_path_rejected")
        if "#" not in path:
            if not self._normalize or not needs_normalizing(path):
                return None
            normal = normalize(path)
            if normal is not None:
                request.path = normal
                return None
        return local_reply(400, details="path_normalization_failed")

    def _meet(self, request: Request) -> None:
        """At the edge nobody is trusted: who the client is, is what his connection says. Envoy: use_remote_address, no trusted hops."""
        headers = request.headers
        address = request.stream.downstream_remote.rpartition(":")[0].strip("[]")
        before = headers.get("x-forwarded-for")
        headers.set("x-forwarded-for", f"{before},{address}" if before else address)
        headers.set("x-envoy-external-address", address)
        for name in EDGE_REMOVED:
            headers.remove(name)

    # --- the response

    def response_head(self, response: Response, more: bytes, now: float, wall: WallClock, *, close: bool) -> bytes:
        fields = response.headers.fields
        if not self._keep_server:
            fields["server"] = self._server
        if "date" not in fields:
            more = wall.date_line(now) + more
        return response_head(response.status, fields, more + _CLOSE if close else more)

    def complete_fields(self, fields: dict[str, Field], now: float, wall: WallClock) -> None:
        """What every answer has."""
        if not self._keep_server:
            fields["server"] = self._server
        if "date" not in fields:
            fields["date"] = wall.date(now)

    def observe(self, request: Request, response: Response | None) -> None:
        """A stream has ended: count it, and tell the access log and the metrics."""
        stats, status = self.stats, request.stream.status
        if 200 <= status < 300:
            stats.downstream_rq_2xx += 1
        elif status >= 500:
            stats.downstream_rq_5xx += 1
        elif status >= 400:
            stats.downstream_rq_4xx += 1
        elif status >= 300:
            stats.downstream_rq_3xx += 1
        elif status:
            stats.downstream_rq_1xx += 1
        for observer in self.observers:
            observer(request, response)
