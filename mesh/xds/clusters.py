"""Clusters on the wire. Envoy: config.cluster.v3.Cluster."""

from typing import Any

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2
from envoy.config.core.v3 import address_pb2, protocol_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf import wrappers_pb2

from mesh.model.cluster import CircuitBreakers, Cluster, Discovery, HttpProtocol, IstioService, LbPolicy, TcpKeepalive
from mesh.xds import endpoints, outliers, parts
from mesh.xds.types import Rejected

HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_BREAKERS = ("max_connections", "max_pending_requests", "max_requests", "max_retries")


_KEEPALIVE = {"probes": "keepalive_probes", "time_seconds": "keepalive_time", "interval_seconds": "keepalive_interval"}


def encode(cluster: Cluster) -> Any:
    message = cluster_pb2.Cluster(
        name=cluster.name,
        type=cluster_pb2.Cluster.DiscoveryType.Value(cluster.discovery.value),
        lb_policy=cluster_pb2.Cluster.LbPolicy.Value(cluster.lb_policy.value),
        connect_timeout=parts.duration(cluster.connect_timeout_seconds),
        alt_stat_name=cluster.alt_stat_name,
    )
    # By default Envoy would ask everybody where less than half is healthy: the control plane names the unhealthy to have them left alone.
    message.common_lb_config.healthy_panic_threshold.value = cluster.panic_percent
    if cluster.locality_weighted:
        message.common_lb_config.locality_weighted_lb_config.SetInParent()
    outliers.encode(cluster.outlier_detection, message)
    if cluster.discovery is Discovery.EDS:
        message.eds_cluster_config.CopyFrom(
            cluster_pb2.Cluster.EdsClusterConfig(eds_config=parts.over_ads(), service_name=cluster.eds_service_name)
        )
    if cluster.load_assignment is not None:
        message.load_assignment.CopyFrom(endpoints.encode(cluster.load_assignment))
    if cluster.discovery in (Discovery.STRICT_DNS, Discovery.LOGICAL_DNS):
        message.dns_lookup_family = cluster_pb2.Cluster.V4_ONLY
    if cluster.bind_address:
        source = address_pb2.SocketAddress(address=cluster.bind_address, port_value=0)
        message.upstream_bind_config.CopyFrom(address_pb2.BindConfig(source_address=source))
    if cluster.table_size is not None and cluster.lb_policy is LbPolicy.RING_HASH:
        message.ring_hash_lb_config.minimum_ring_size.value = cluster.table_size
    elif cluster.table_size is not None and cluster.lb_policy is LbPolicy.MAGLEV:
        message.maglev_lb_config.table_size.value = cluster.table_size
    _encode_breakers(cluster.circuit_breakers, message)
    _encode_keepalive(cluster.keepalive, message)
    _encode_http_options(cluster, message)
    values: dict[str, Any] = dict(cluster.metadata)
    if cluster.services:
        values["services"] = [{"host": s.host, "name": s.name, "namespace": s.namespace} for s in cluster.services]
    parts.write_istio_metadata(values, message.metadata)
    return message


def _encode_breakers(breakers: CircuitBreakers, message: Any) -> None:
    limits = {name: getattr(breakers, name) for name in _BREAKERS if getattr(breakers, name) is not None}
    if limits:
        thresholds = circuit_breaker_pb2.CircuitBreakers.Thresholds(
            **{name: wrappers_pb2.UInt32Value(value=limit) for name, limit in limits.items()}
        )
        message.circuit_breakers.thresholds.append(thresholds)


def _encode_keepalive(keepalive: TcpKeepalive | None, message: Any) -> None:
    if keepalive is None:
        return
    wire = message.upstream_connection_options.tcp_keepalive
    wire.SetInParent()
    for ours, theirs in _KEEPALIVE.items():
        value = getattr(keepalive, ours)
        if value is not None:
            getattr(wire, theirs).value = value


def _decode_keepalive(message: Any) -> TcpKeepalive | None:
    if not message.upstream_connection_options.HasField("tcp_keepalive"):
        return None
    wire = message.upstream_connection_options.tcp_keepalive
    return TcpKeepalive(**{ours: getattr(wire, theirs).value if wire.HasField(theirs) else None for ours, theirs in _KEEPALIVE.items()})


def _encode_http_options(cluster: Cluster, message: Any) -> None:
    given = (cluster.max_requests_per_connection, cluster.idle_timeout_seconds, cluster.max_connection_seconds)
    if given == (None, None, None) and cluster.http_protocol is HttpProtocol.HTTP1:
        return
    common = protocol_pb2.HttpProtocolOptions()
    if cluster.max_requests_per_connection is not None:
        common.max_requests_per_connection.value = cluster.max_requests_per_connection
    if cluster.idle_timeout_seconds is not None:
        common.idle_timeout.CopyFrom(parts.duration(cluster.idle_timeout_seconds))
    if cluster.max_connection_seconds is not None:
        common.max_connection_duration.CopyFrom(parts.duration(cluster.max_connection_seconds))
    options = http_protocol_options_pb2.HttpProtocolOptions(common_http_protocol_options=common)
    downstream = cluster.http_protocol is HttpProtocol.DOWNSTREAM
    spoken = options.use_downstream_protocol_config if downstream else options.explicit_http_config
    if cluster.http_protocol is not HttpProtocol.HTTP2:
        spoken.http_protocol_options.SetInParent()
    if cluster.http_protocol is not HttpProtocol.HTTP1:
        spoken.http2_protocol_options.SetInParent()
        if cluster.max_concurrent_streams is not None:
            spoken.http2_protocol_options.max_concurrent_streams.value = cluster.max_concurrent_streams
    message.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(parts.pack(options))


def decode(message: Any) -> Cluster:
    """Raises ``Rejected`` for what our sidecar cannot do: TLS, other discovery types, other balancers."""
    name = message.name
    if message.HasField("transport_socket"):
        raise Rejected(name, "transport sockets (TLS) are not supported yet")
    discovery = cluster_pb2.Cluster.DiscoveryType.Name(message.type)
    balancer = cluster_pb2.Cluster.LbPolicy.Name(message.lb_policy)
    if balancer not in LbPolicy.__members__:
        raise Rejected(name, f"load balancing policy {balancer} is not supported yet")
    if (discovery == "ORIGINAL_DST") != (balancer == "CLUSTER_PROVIDED"):
        raise Rejected(name, "cluster: LB policy CLUSTER_PROVIDED and type ORIGINAL_DST need each other")
    _check_addresses(message, discovery)
    values = parts.read_istio_metadata(message.metadata)
    services = values.pop("services", [])
    options = _http_options(message)
    common = options.common_http_protocol_options
    has = message.HasField
    return Cluster(
        name=name,
        discovery=Discovery(discovery),
        lb_policy=LbPolicy(balancer),
        connect_timeout_seconds=parts.seconds(message.connect_timeout) if has("connect_timeout") else 5.0,
        load_assignment=endpoints.decode(message.load_assignment) if has("load_assignment") else None,
        eds_service_name=message.eds_cluster_config.service_name,
        bind_address=message.upstream_bind_config.source_address.address,
        alt_stat_name=message.alt_stat_name,
        circuit_breakers=_decode_breakers(message),
        services=tuple(IstioService(s["host"], s["name"], s["namespace"]) for s in services),
        max_requests_per_connection=common.max_requests_per_connection.value if common.HasField("max_requests_per_connection") else None,
        idle_timeout_seconds=parts.seconds(common.idle_timeout) if common.HasField("idle_timeout") else None,
        max_connection_seconds=parts.seconds(common.max_connection_duration) if common.HasField("max_connection_duration") else None,
        keepalive=_decode_keepalive(message),
        outlier_detection=outliers.decode(message),
        table_size=_table_size(message),
        panic_percent=_panic_percent(message.common_lb_config),
        locality_weighted=message.common_lb_config.HasField("locality_weighted_lb_config"),
        metadata=values,
        **_decode_protocol(options),
    )


def _decode_protocol(options: Any) -> dict[str, Any]:
    which = options.WhichOneof("upstream_protocol_options")
    if which == "use_downstream_protocol_config":
        protocol, http2 = HttpProtocol.DOWNSTREAM, options.use_downstream_protocol_config.http2_protocol_options
    elif which == "explicit_http_config" and options.explicit_http_config.HasField("http2_protocol_options"):
        protocol, http2 = HttpProtocol.HTTP2, options.explicit_http_config.http2_protocol_options
    else:
        return {}
    streams = http2.max_concurrent_streams
    return {"http_protocol": protocol, "max_concurrent_streams": streams.value if http2.HasField("max_concurrent_streams") else None}


def _table_size(message: Any) -> int | None:
    """Raises ``Rejected`` as Envoy does: what is no prime cannot be walked through in steps of any length."""
    size: int
    if message.HasField("ring_hash_lb_config"):
        if message.ring_hash_lb_config.hash_function:
            raise Rejected(message.name, "ring hash: hash functions other than XX_HASH are not supported")
        size = message.ring_hash_lb_config.minimum_ring_size.value
        return size if message.ring_hash_lb_config.HasField("minimum_ring_size") else None
    if not message.maglev_lb_config.HasField("table_size"):
        return None
    size = message.maglev_lb_config.table_size.value
    if size < 2 or any(size % factor == 0 for factor in range(2, int(size**0.5) + 1)):
        raise Rejected(message.name, "The table size of maglev must be prime number")
    return size


def _panic_percent(settings: Any) -> float:
    return settings.healthy_panic_threshold.value if settings.HasField("healthy_panic_threshold") else 50.0


def _check_addresses(message: Any, discovery: str) -> None:
    endpoints = [endpoint for group in message.load_assignment.endpoints for endpoint in group.lb_endpoints]
    try:
        if discovery == "STATIC":
            for endpoint in endpoints:
                parts.check_ip(endpoint.endpoint.address.socket_address.address)
        if message.upstream_bind_config.source_address.address:
            parts.check_ip(message.upstream_bind_config.source_address.address)
    except ValueError as error:
        raise Rejected(message.name, str(error)) from None
    if discovery == "LOGICAL_DNS" and len(endpoints) != 1:
        raise Rejected(message.name, "LOGICAL_DNS clusters must have a single locality_lb_endpoint and a single lb_endpoint")


def _decode_breakers(message: Any) -> CircuitBreakers:
    for thresholds in message.circuit_breakers.thresholds:
        if thresholds.priority == 0:
            return CircuitBreakers(**{n: getattr(thresholds, n).value if thresholds.HasField(n) else None for n in _BREAKERS})
    return CircuitBreakers()


def _http_options(message: Any) -> Any:
    options = http_protocol_options_pb2.HttpProtocolOptions()
    if HTTP_OPTIONS in message.typed_extension_protocol_options:
        message.typed_extension_protocol_options[HTTP_OPTIONS].Unpack(options)
    if options.HasField("auto_config"):
        raise Rejected(message.name, "auto_config needs TLS, which is not supported yet")
    return options
