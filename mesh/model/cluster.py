"""Clusters: a named group of endpoints and how to reach and choose among them. Envoy: config.cluster.v3.Cluster."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from mesh.model.endpoint import LoadAssignment


class Discovery(Enum):
    STATIC = "STATIC"
    STRICT_DNS = "STRICT_DNS"
    LOGICAL_DNS = "LOGICAL_DNS"
    EDS = "EDS"
    ORIGINAL_DST = "ORIGINAL_DST"


class LbPolicy(Enum):
    ROUND_ROBIN = "ROUND_ROBIN"
    LEAST_REQUEST = "LEAST_REQUEST"
    RANDOM = "RANDOM"
    RING_HASH = "RING_HASH"
    MAGLEV = "MAGLEV"
    CLUSTER_PROVIDED = "CLUSTER_PROVIDED"  # the original destination decides


class HttpProtocol(Enum):
    """What is spoken to the endpoints. DOWNSTREAM: what the client speaks."""

    HTTP1 = "HTTP1"
    HTTP2 = "HTTP2"
    DOWNSTREAM = "DOWNSTREAM"


@dataclass(frozen=True, slots=True)
class CircuitBreakers:
    """None means Envoy's default of 1024 (3 for retries)."""

    max_connections: int | None = None
    max_pending_requests: int | None = None
    max_requests: int | None = None
    max_retries: int | None = None


@dataclass(frozen=True, slots=True)
class TcpKeepalive:
    """Of upstream connections; None leaves it to the kernel."""

    probes: int | None = None
    time_seconds: int | None = None
    interval_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class OutlierDetection:
    """Envoy's, with its defaults. A limit of 0 is never reached; ``enforcing_…`` are percents."""

    consecutive_5xx: int = 5
    enforcing_consecutive_5xx: int = 100
    consecutive_gateway_failure: int = 5
    enforcing_consecutive_gateway_failure: int = 0
    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failure: int = 5
    enforcing_consecutive_local_origin_failure: int = 100
    interval_seconds: float = 10.0
    base_ejection_seconds: float = 30.0
    max_ejection_seconds: float = 300.0
    max_ejection_percent: int = 10

    @property
    def longest_seconds(self) -> float:
        return max(self.max_ejection_seconds, self.base_ejection_seconds)


@dataclass(frozen=True, slots=True)
class IstioService:
    """What Istio puts in a cluster's metadata ``istio.services``; it feeds the ``destination_service*`` metric labels."""

    host: str
    name: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """``load_assignment`` is set for STATIC and DNS clusters; EDS clusters get theirs by name (``eds_service_name`` or ``name``).

    ``bind_address`` is the source address of upstream connections (127.0.0.6 for inbound under capture).
    """

    name: str
    discovery: Discovery
    lb_policy: LbPolicy = LbPolicy.LEAST_REQUEST
    connect_timeout_seconds: float = 10.0
    load_assignment: LoadAssignment | None = None
    eds_service_name: str = ""
    bind_address: str = ""
    alt_stat_name: str = ""
    circuit_breakers: CircuitBreakers = CircuitBreakers()
    services: tuple[IstioService, ...] = ()
    max_requests_per_connection: int | None = None
    idle_timeout_seconds: float | None = None  # of pooled connections; None is Envoy's default of 1 h
    max_connection_seconds: float | None = None  # an older connection takes no more requests
    keepalive: TcpKeepalive | None = None
    outlier_detection: OutlierDetection | None = None
    panic_percent: float = 0.0  # where less is healthy, health is ignored; Envoy's own default is 50
    locality_weighted: bool = False  # the localities' weights divide the traffic of their priority
    http_protocol: HttpProtocol = HttpProtocol.HTTP1
    max_concurrent_streams: int | None = None  # of an HTTP/2 connection; None is Envoy's default of 1024
    table_size: int | None = None  # at least so many points of a hash ring, or exactly so many of a maglev table (a prime)
    metadata: Mapping[str, str] = field(default_factory=dict)  # more keys under ``istio``: ``config``, ``subset``
