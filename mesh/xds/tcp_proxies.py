"""The TCP proxy on the wire. Envoy: extensions.filters.network.tcp_proxy.v3."""

from typing import Any

from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2

from mesh.model.listener import TcpProxy
from mesh.model.route import WeightedCluster
from mesh.xds import access_logs, parts


def encode(proxy: TcpProxy) -> Any:
    message = tcp_proxy_pb2.TcpProxy(stat_prefix=proxy.stat_prefix)
    if proxy.weighted:
        for cluster in proxy.weighted:
            message.weighted_clusters.clusters.add(name=cluster.cluster, weight=cluster.weight)
    else:
        message.cluster = proxy.cluster
    message.access_log.extend(access_logs.encode_file(log) for log in proxy.access_logs)
    if proxy.metrics is not None:
        message.access_log.append(access_logs.encode_tcp_metrics(proxy.metrics))
    if proxy.idle_timeout_seconds is not None:
        message.idle_timeout.CopyFrom(parts.duration(proxy.idle_timeout_seconds))
    if proxy.max_connect_attempts != 1:
        message.max_connect_attempts.value = proxy.max_connect_attempts
    return message


def decode(packed: Any) -> TcpProxy:
    """Raises ``ValueError``."""
    message = parts.unpack(packed, tcp_proxy_pb2.TcpProxy())
    specifier = message.WhichOneof("cluster_specifier")
    files, metrics = access_logs.decode(message.access_log)
    return TcpProxy(
        stat_prefix=message.stat_prefix,
        cluster=message.cluster if specifier == "cluster" else "",
        access_logs=files,
        weighted=tuple(WeightedCluster(one.name, one.weight) for one in message.weighted_clusters.clusters),
        idle_timeout_seconds=parts.seconds(message.idle_timeout) if message.HasField("idle_timeout") else None,
        max_connect_attempts=message.max_connect_attempts.value if message.HasField("max_connect_attempts") else 1,
        metrics=metrics,
    )
