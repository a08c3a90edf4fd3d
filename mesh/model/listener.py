"""Listeners: an address, filter chains picked by destination, and what each chain does. Envoy: config.listener.v3.Listener."""

from dataclasses import dataclass
from enum import Enum

from mesh.model.route import RouteConfiguration, WeightedCluster


class Direction(Enum):
    UNSPECIFIED = "UNSPECIFIED"
    INBOUND = "INBOUND"
    OUTBOUND = "OUTBOUND"


@dataclass(frozen=True, slots=True)
class AccessLogFile:
    """A line per request to ``path``; ``text_format`` or ``json_format`` in Envoy's command operators, as Istio's default has them."""

    path: str = "/dev/stdout"
    text_format: str = ""
    json_format: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class IstioMetrics:
    """Istio's standard metrics. On the wire a stock Envoy gets ``envoy.access_loggers.stats`` with the same counters and tags."""

    reporter: str  # "source" (outbound) or "destination" (inbound)
    labels: tuple[tuple[str, str], ...] = ()  # this proxy's own side, fixed: ("source_workload", "productpage-v1") …


class Codec(Enum):
    """What connections speak. AUTO looks at their first bytes."""

    AUTO = "AUTO"
    HTTP1 = "HTTP1"
    HTTP2 = "HTTP2"


@dataclass(frozen=True, slots=True)
class HttpConnectionManager:
    """Exactly one of ``route_config_name`` (RDS over ADS) and ``route_config`` (inline) is set.

    ``filters`` names the HTTP filters in chain order, Envoy's names; ``envoy.filters.http.router`` is the last.
    """

    stat_prefix: str
    route_config_name: str = ""
    route_config: RouteConfiguration | None = None
    filters: tuple[str, ...] = ("envoy.filters.http.fault", "envoy.filters.http.cors", "envoy.filters.http.router")
    access_logs: tuple[AccessLogFile, ...] = ()
    metrics: IstioMetrics | None = None
    upgrades: tuple[str, ...] = ("websocket",)
    use_remote_address: bool = False
    generate_request_id: bool = True
    normalize_path: bool = True
    server_name: str = "istio-envoy"
    pass_through_server_header: bool = False  # server_header_transformation PASS_THROUGH: inbound
    stream_idle_timeout_seconds: float = 0.0  # 0 is off, as Istio sets it
    request_timeout_seconds: float = 0.0
    request_headers_timeout_seconds: float = 0.0
    max_request_headers_kb: int = 60
    max_request_header_count: int = 100
    codec: Codec = Codec.AUTO
    http2_max_concurrent_streams: int | None = None  # None is Envoy's default of 1024


@dataclass(frozen=True, slots=True)
class TcpProxy:
    """To ``cluster``, or by weight to one of ``weighted``. ``idle_timeout_seconds`` None is Envoy's default of an hour, 0 is off."""

    stat_prefix: str
    cluster: str = ""
    access_logs: tuple[AccessLogFile, ...] = ()
    weighted: tuple[WeightedCluster, ...] = ()
    idle_timeout_seconds: float | None = None
    max_connect_attempts: int = 1
    metrics: IstioMetrics | None = None


@dataclass(frozen=True, slots=True)
class FilterChain:
    """What a connection must be to come here; what is left out matches any. How the best of several is found: policy/filter_chain_match.

    ``destination_prefixes`` are CIDR ranges; ``server_names`` exact or ``*.example.com``; ``transport_protocol`` raw_buffer or tls;
    ``application_protocols`` what ALPN offers, or what was sniffed (http/1.1, h2c).
    """

    network_filter: HttpConnectionManager | TcpProxy
    name: str = ""
    destination_port: int | None = None
    destination_prefixes: tuple[str, ...] = ()
    server_names: tuple[str, ...] = ()
    transport_protocol: str = ""
    application_protocols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listener:
    """``use_original_dst``: hand the connection to the listener that owns the original destination, if there is one (15001)."""

    name: str
    address: str
    port: int
    filter_chains: tuple[FilterChain, ...]
    default_filter_chain: FilterChain | None = None
    direction: Direction = Direction.UNSPECIFIED
    bind_to_port: bool = True
    use_original_dst: bool = False
    original_dst_filter: bool = False  # listener filter envoy.filters.listener.original_dst: match chains by the original port (15006)
    tls_inspector: bool = False
    http_inspector: bool = False
    inspection_timeout_seconds: float = 15.0  # listener_filters_timeout; 0 waits for ever
    continue_after_inspection_timeout: bool = False
    not_inspected_ports: tuple[int, ...] = ()  # destinations whose server may speak first: the inspectors' filter_disabled


@dataclass(frozen=True, slots=True)
class ApiListener:
    """What a proxyless gRPC client asks for by its target's name. Envoy: Listener.api_listener. Encoded only."""

    name: str
    route_config_name: str
