"""Listeners: an address, filter chains picked by destination, and what each chain does. Envoy: config.listener.v3.Listener."""

from dataclasses import dataclass
from enum import Enum

from mesh.model.route import RouteConfiguration


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


@dataclass(frozen=True, slots=True)
class TcpProxy:
    stat_prefix: str
    cluster: str
    access_logs: tuple[AccessLogFile, ...] = ()


@dataclass(frozen=True, slots=True)
class FilterChain:
    """Chosen by destination port; ``destination_port`` None matches any."""

    network_filter: HttpConnectionManager | TcpProxy
    name: str = ""
    destination_port: int | None = None


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


@dataclass(frozen=True, slots=True)
class ApiListener:
    """What a proxyless gRPC client asks for by its target's name. Envoy: Listener.api_listener. Encoded only."""

    name: str
    route_config_name: str
