"""Clusters: one a service's port and subset, one an inbound port, and the fixed ones. Istio: pilot/pkg/networking/core/cluster*.go."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from mesh.galley.models import destination_rule as wire
from mesh.galley.models.destination_rule import (
    ConnectionPool,
    DestinationRule,
    HTTPSettings,
    LoadBalancer,
    OutlierDetection,
    TCPSettings,
    TrafficPolicy,
)
from mesh.model import cluster as model
from mesh.model.cluster import CircuitBreakers, Cluster, Discovery, HttpProtocol, IstioService, LbPolicy, TcpKeepalive
from mesh.model.endpoint import Endpoint, LoadAssignment, LocalityEndpoints
from mesh.model.node import Interception, Node
from mesh.model.service import Service, ServicePort
from mesh.pilot.translate import endpoints, http_protocols, names
from mesh.pilot.translate.mesh import Mesh, served_by

CONNECT_TIMEOUT_SECONDS = 10.0
INBOUND_BIND_ADDRESS = "127.0.0.6"  # the capture rules let what comes from here pass
_UNLIMITED = 2**32 - 1
NO_LIMITS = CircuitBreakers(_UNLIMITED, _UNLIMITED, _UNLIMITED, _UNLIMITED)  # Istio's default; Envoy's own would be 1024
_BALANCERS = {
    "ROUND_ROBIN": LbPolicy.ROUND_ROBIN,
    "RANDOM": LbPolicy.RANDOM,
    "LEAST_REQUEST": LbPolicy.LEAST_REQUEST,
    "LEAST_CONN": LbPolicy.LEAST_REQUEST,
}
_DNS = {"DNS": Discovery.STRICT_DNS, "DNS_ROUND_ROBIN": Discovery.LOGICAL_DNS, "DYNAMIC_DNS": Discovery.LOGICAL_DNS}

Pair = tuple[Cluster, LoadAssignment | None]


@dataclass(frozen=True, slots=True)
class _Policy:
    """A traffic policy's parts that act here; what a narrower level sets replaces that part."""

    balancer: LoadBalancer | None = None
    pool: ConnectionPool | None = None
    outlier: OutlierDetection | None = None
    metadata: dict[str, str] = field(default_factory=dict)


def outbound(mesh: Mesh) -> Iterator[Pair]:
    """The same for every proxy. EDS clusters come with their endpoints."""
    for service in mesh.services:
        rule = mesh.destination_rule(service.hostname)
        subsets = [("", {}, None), *((s.name, s.labels, s.traffic_policy) for s in rule.spec.subsets)] if rule else [("", {}, None)]
        for port in service.ports:
            if port.protocol == "UDP":
                continue
            for subset, labels, override in subsets:
                policy = _policy(rule, override, port)
                yield _cluster(mesh, service, port, subset, labels, policy)


def _policy(rule: DestinationRule | None, override: TrafficPolicy | None, port: ServicePort) -> _Policy:
    """Rule, then its settings for the port, then the subset's, then the subset's for the port."""
    if rule is None:
        return _Policy()
    where = f"/apis/networking.istio.io/v1/namespaces/{rule.meta.namespace}/destination-rule/{rule.meta.name}"
    policy = _Policy(metadata={"config": where})
    for level in (rule.spec.traffic_policy, override):
        if level is None:
            continue
        policy = _narrow(policy, level)
        for settings in level.port_level_settings:
            if settings.port is not None and settings.port.number == port.number:
                # A port's settings replace the whole level above them: Istio does not merge the two.
                policy = replace(policy, balancer=settings.load_balancer, pool=settings.connection_pool, outlier=settings.outlier_detection)
    return policy


def _narrow(policy: _Policy, level: TrafficPolicy) -> _Policy:
    return replace(
        policy,
        balancer=level.load_balancer or policy.balancer,
        pool=level.connection_pool or policy.pool,
        outlier=level.outlier_detection or policy.outlier,
    )


def _cluster(mesh: Mesh, service: Service, port: ServicePort, subset: str, labels: dict[str, str], policy: _Policy) -> Pair:
    name = names.outbound(port.number, subset, service.hostname)
    short = service.name or service.hostname
    lb_policy, table_size = _balancer(policy.balancer)
    cluster = Cluster(
        name=name,
        discovery=Discovery.EDS,
        lb_policy=lb_policy,
        table_size=table_size,
        locality_weighted=_distributes(policy.balancer),
        connect_timeout_seconds=CONNECT_TIMEOUT_SECONDS,
        circuit_breakers=NO_LIMITS,
        services=(IstioService(service.hostname, short, service.namespace),),
        metadata={
            **policy.metadata,
            **({"subset": subset} if subset else {}),
            "service_host": service.hostname,
            "service_name": short,
            "service_namespace": service.namespace,
        },
    )
    cluster = _watched(_pooled(cluster, policy.pool), policy.outlier)
    cluster = http_protocols.outbound(cluster, port, policy.pool)
    passthrough = policy.balancer is not None and policy.balancer.simple == "PASSTHROUGH"
    if passthrough or service.resolution == "NONE":
        return replace(cluster, discovery=Discovery.ORIGINAL_DST, lb_policy=LbPolicy.CLUSTER_PROVIDED), None
    if service.resolution in _DNS:
        return _by_dns(cluster, service, port, labels), None
    return cluster, endpoints.assignment(mesh, service, port, subset, labels)


def _by_dns(cluster: Cluster, service: Service, port: ServicePort, labels: dict[str, str]) -> Cluster:
    """Without endpoints of its own the entry's host is what is resolved."""
    target = port.target_port if isinstance(port.target_port, int) else port.number
    found = endpoints.static(service, port, labels) or [Endpoint(service.hostname, target)]
    discovery = _DNS[service.resolution]
    return replace(cluster, discovery=discovery, load_assignment=LoadAssignment(cluster.name, (LocalityEndpoints(tuple(found)),)))


def _balancer(balancer: LoadBalancer | None) -> tuple[LbPolicy, int | None]:
    """And the size of its table, where it has one."""
    if balancer is None or balancer.consistent_hash is None:
        return _BALANCERS.get((balancer.simple if balancer else "") or "", LbPolicy.LEAST_REQUEST), None
    hashing = balancer.consistent_hash
    if hashing.maglev is not None:
        return LbPolicy.MAGLEV, hashing.maglev.table_size
    ring = hashing.ring_hash.minimum_ring_size if hashing.ring_hash is not None else None
    return LbPolicy.RING_HASH, ring or hashing.minimum_ring_size or None


def _distributes(balancer: LoadBalancer | None) -> bool:
    setting = balancer.locality_lb_setting if balancer is not None else None
    return setting is not None and setting.enabled is not False and bool(setting.distribute)


def balancer_of(mesh: Mesh, cluster: str) -> LoadBalancer | None:
    """By the cluster's name, whichever level of a DestinationRule sets it."""
    direction, number, subset, hostname = cluster.split("|") if cluster.count("|") == 3 else ("", "", "", "")
    rule, service = mesh.destination_rule(hostname), mesh.service(hostname)
    if direction != "outbound" or rule is None or service is None:
        return None
    override = next((one.traffic_policy for one in rule.spec.subsets if one.name == subset), None)
    port = next((one for one in service.ports if one.number == int(number)), None)
    return _policy(rule, override, port).balancer if port is not None else None


def _pooled(cluster: Cluster, pool: ConnectionPool | None) -> Cluster:
    if pool is None:
        return cluster
    tcp, http = pool.tcp or TCPSettings(), pool.http or HTTPSettings()
    return replace(
        cluster,
        connect_timeout_seconds=tcp.connect_timeout or CONNECT_TIMEOUT_SECONDS,
        circuit_breakers=CircuitBreakers(
            max_connections=tcp.max_connections or _UNLIMITED,  # as in Istio, 0 is as good as nothing
            max_pending_requests=http.http1_max_pending_requests or _UNLIMITED,
            max_requests=http.http2_max_requests or _UNLIMITED,
            max_retries=http.max_retries or _UNLIMITED,
        ),
        max_requests_per_connection=http.max_requests_per_connection or None,
        max_connection_seconds=tcp.max_connection_duration,
        idle_timeout_seconds=http.idle_timeout or tcp.idle_timeout,
        keepalive=_keepalive(tcp.tcp_keepalive),
    )


def _watched(cluster: Cluster, outlier: OutlierDetection | None) -> Cluster:
    """What is not given is Envoy's default; a limit of 0 switches its cause off. Ejecting by gateway errors must be asked for."""
    if outlier is None:
        return cluster
    fivexx = outlier.consecutive_5xx_errors if outlier.consecutive_5xx_errors is not None else outlier.consecutive_errors
    gateway, local = outlier.consecutive_gateway_errors, outlier.consecutive_local_origin_failures
    default = model.OutlierDetection()
    settings = model.OutlierDetection(
        consecutive_5xx=default.consecutive_5xx if fivexx is None else fivexx,
        enforcing_consecutive_5xx=0 if fivexx == 0 else 100,
        consecutive_gateway_failure=default.consecutive_gateway_failure if gateway is None else gateway,
        enforcing_consecutive_gateway_failure=100 if gateway else 0,
        split_external_local_origin_errors=bool(outlier.split_external_local_origin_errors),
        consecutive_local_origin_failure=local or default.consecutive_local_origin_failure,
        interval_seconds=outlier.interval or default.interval_seconds,
        base_ejection_seconds=outlier.base_ejection_time or default.base_ejection_seconds,
        max_ejection_percent=outlier.max_ejection_percent or default.max_ejection_percent,
    )
    return replace(cluster, outlier_detection=settings, panic_percent=float(outlier.min_health_percent or 0))


def _keepalive(keepalive: wire.TcpKeepalive | None) -> TcpKeepalive | None:
    if keepalive is None:
        return None
    time, interval = keepalive.time, keepalive.interval
    return TcpKeepalive(keepalive.probes, None if time is None else int(time), None if interval is None else int(interval))


def inbound(mesh: Mesh, node: Node) -> Iterator[Cluster]:
    """To the app. Under capture the app is at the original destination; without, at its own port on the workload's address."""
    for port in node.bindings.inbound:
        served = served_by(mesh, node, port)
        number = served[1].number if served else port.listen_port
        services = (IstioService(served[0].hostname, served[0].name, served[0].namespace),) if served else ()
        metadata = {}
        if served:
            service = served[0]
            metadata = {"service_host": service.hostname, "service_name": service.name, "service_namespace": service.namespace}
        cluster = Cluster(
            name=names.inbound(number),
            discovery=Discovery.ORIGINAL_DST,
            lb_policy=LbPolicy.CLUSTER_PROVIDED,
            connect_timeout_seconds=CONNECT_TIMEOUT_SECONDS,
            bind_address=INBOUND_BIND_ADDRESS,
            circuit_breakers=NO_LIMITS,
            services=services,
            metadata=metadata,
        )
        if node.interception is Interception.NONE:
            app = LoadAssignment(cluster.name, (LocalityEndpoints((Endpoint(node.ip, port.app_port),)),))
            cluster = replace(cluster, discovery=Discovery.STATIC, lb_policy=LbPolicy.ROUND_ROBIN, bind_address="", load_assignment=app)
        yield http_protocols.inbound(cluster, served[1] if served else None)


def fixed(node: Node) -> Iterator[Cluster]:
    """Where traffic goes that no service explains. Without capture there is no original destination to pass it on to."""
    yield Cluster(names.BLACK_HOLE, Discovery.STATIC, LbPolicy.ROUND_ROBIN, load_assignment=LoadAssignment(names.BLACK_HOLE))
    if node.interception is Interception.REDIRECT:
        passthrough = Cluster(
            names.PASSTHROUGH,
            Discovery.ORIGINAL_DST,
            LbPolicy.CLUSTER_PROVIDED,
            CONNECT_TIMEOUT_SECONDS,
            circuit_breakers=NO_LIMITS,
            http_protocol=HttpProtocol.DOWNSTREAM,
        )
        yield passthrough
        yield replace(passthrough, name=names.INBOUND_PASSTHROUGH, bind_address=INBOUND_BIND_ADDRESS)
