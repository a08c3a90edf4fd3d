"""DestinationRule: subsets of a service, and how to balance and connect to it. Istio: networking.v1 DestinationRule."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from mesh.galley.models.types import (
    Duration,
    DurationOrZero,
    Flag,
    Int32,
    Labels,
    LabelSelector,
    Meta,
    Model,
    Number,
    PortSelector,
    Uint32,
    Words,
)

ZeroToHundred = Annotated[Number, Field(ge=0, le=100)]


class ConsistentHashAttribute(Model):
    name: str
    value: str = ""


class HTTPCookie(Model):
    name: str
    path: str = ""
    ttl: DurationOrZero | None = None
    attributes: tuple[ConsistentHashAttribute, ...] = ()


class RingHash(Model):
    minimum_ring_size: Uint32 | None = None


class Maglev(Model):
    table_size: Uint32 | None = None


class ConsistentHash(Model):
    one_of = (("http_header_name", "http_cookie", "use_source_ip", "http_query_parameter_name"), ("ring_hash", "maglev"))

    http_header_name: str | None = None
    http_cookie: HTTPCookie | None = None
    use_source_ip: Flag | None = None
    http_query_parameter_name: str | None = None
    ring_hash: RingHash | None = None
    maglev: Maglev | None = None
    minimum_ring_size: Uint32 | None = None


class Distribute(Model):
    from_: str = Field(default="", alias="from")
    to: dict[str, Uint32] = Field(default_factory=dict)


class Failover(Model):
    from_: str = Field(default="", alias="from")
    to: str = ""


class LocalityLoadBalancer(Model):
    enabled: Flag | None = None
    distribute: tuple[Distribute, ...] = ()
    failover: tuple[Failover, ...] = ()
    failover_priority: Words = ()


class ZoneAware(Model):
    enabled: Flag | None = None
    failover: tuple[Failover, ...] = ()
    failover_priority: Words = ()
    min_cluster_size: Annotated[Uint32, Field(ge=1)] | None = None


class Warmup(Model):
    duration: Duration
    minimum_percent: ZeroToHundred | None = None
    aggression: Annotated[Number, Field(ge=0)] | None = None


class BackendUtilization(Model):
    error_utilization_penalty_percent: Uint32 | None = None
    metric_names_for_computing_utilization: Words = ()
    weight_expiration_period: DurationOrZero | None = None
    weight_stabilization_period: DurationOrZero | None = None
    weight_update_period: DurationOrZero | None = None


class LoadBalancer(Model):
    one_of = (("simple", "consistent_hash", "backend_utilization"),)

    simple: Literal["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"] | None = None
    consistent_hash: ConsistentHash | None = None
    backend_utilization: BackendUtilization | None = None
    locality_lb_setting: LocalityLoadBalancer | None = None
    zone_aware_lb_setting: ZoneAware | None = None
    warmup: Warmup | None = None
    warmup_duration_secs: Duration | None = None


class TcpKeepalive(Model):
    probes: Uint32 | None = None
    time: Duration | None = None
    interval: Duration | None = None


class TCPSettings(Model):
    max_connections: Int32 | None = None
    connect_timeout: Duration | None = None
    tcp_keepalive: TcpKeepalive | None = None
    max_connection_duration: Duration | None = None
    idle_timeout: DurationOrZero | None = None


class HTTP2KeepAlive(Model):
    interval: Duration | None = None
    timeout: Duration | None = None


class HTTPSettings(Model):
    http1_max_pending_requests: Int32 | None = Field(default=None, alias="http1MaxPendingRequests")
    http2_max_requests: Int32 | None = Field(default=None, alias="http2MaxRequests")
    max_requests_per_connection: Int32 | None = None
    max_retries: Int32 | None = None
    idle_timeout: Duration | None = None
    h2_upgrade_policy: Literal["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"] = Field(default="DEFAULT", alias="h2UpgradePolicy")
    use_client_protocol: Flag | None = None
    max_concurrent_streams: Int32 | None = None
    http2_keep_alive: HTTP2KeepAlive | None = Field(default=None, alias="http2KeepAlive")


class ConnectionPool(Model):
    tcp: TCPSettings | None = None
    http: HTTPSettings | None = None


class OutlierDetection(Model):
    consecutive_errors: Int32 | None = None
    split_external_local_origin_errors: Flag | None = None
    consecutive_local_origin_failures: Uint32 | None = None
    consecutive_gateway_errors: Uint32 | None = None
    consecutive_5xx_errors: Uint32 | None = Field(default=None, alias="consecutive5xxErrors")
    interval: Duration | None = None
    base_ejection_time: Duration | None = None
    max_ejection_percent: Int32 | None = None
    min_health_percent: Int32 | None = None
    outlier_detection_http_error_codes: tuple[Annotated[Uint32, Field(ge=100, le=599)], ...] = ()


class ClientTLS(Model):
    mode: Literal["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"] = "DISABLE"
    client_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    ca_crl: str = ""
    credential_name: str = ""
    subject_alt_names: Words = ()
    sni: str = ""
    insecure_skip_verify: Flag | None = None


class PortTrafficPolicy(Model):
    port: PortSelector | None = None
    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLS | None = None


class Tunnel(Model):
    protocol: str = ""
    target_host: str
    target_port: Uint32


class ProxyProtocol(Model):
    version: Literal["V1", "V2"] = "V1"


class RetryBudget(Model):
    percent: ZeroToHundred | None = None
    min_retry_concurrency: Uint32 | None = None
    budget_interval: DurationOrZero | None = None


class TrafficPolicy(Model):
    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLS | None = None
    port_level_settings: tuple[PortTrafficPolicy, ...] = Field(default=(), max_length=4096)
    tunnel: Tunnel | None = None
    proxy_protocol: ProxyProtocol | None = None
    retry_budget: RetryBudget | None = None


class Subset(Model):
    name: str
    labels: Labels = Field(default_factory=dict)
    traffic_policy: TrafficPolicy | None = None


class DestinationRuleSpec(Model):
    host: str
    traffic_policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    export_to: Words = ()
    workload_selector: LabelSelector | None = None


@dataclass(frozen=True, slots=True)
class DestinationRule:
    meta: Meta
    spec: DestinationRuleSpec
