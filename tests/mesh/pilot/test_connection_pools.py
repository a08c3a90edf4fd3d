"""A DestinationRule's connectionPool, as clusters have it."""

from collections.abc import Callable
from typing import Any

from mesh.model.cluster import CircuitBreakers, Cluster, TcpKeepalive
from mesh.pilot.translate import clusters

MakeMesh = Callable[..., Any]
UNLIMITED = 2**32 - 1


def reviews(make_mesh: MakeMesh, pool: str) -> Cluster:
    rule = f"""apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: reviews}}
spec: {{host: reviews, trafficPolicy: {{connectionPool: {pool}}}}}"""
    return next(cluster for cluster, _ in clusters.outbound(make_mesh(rule)) if cluster.name.startswith("outbound|9080||reviews"))


def test_what_a_pool_does_not_limit_is_unlimited(make_mesh: MakeMesh) -> None:
    cluster = reviews(make_mesh, "{tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 2}}")
    assert cluster.circuit_breakers == CircuitBreakers(1, 2, UNLIMITED, UNLIMITED)


def test_all_of_a_pool_arrives(make_mesh: MakeMesh) -> None:
    http = "{http2MaxRequests: 3, maxRetries: 4, maxRequestsPerConnection: 5, idleTimeout: 6s}"
    tcp = "{connectTimeout: 1s, idleTimeout: 9s, maxConnectionDuration: 7s, tcpKeepalive: {probes: 2, time: 30s, interval: 5s}}"
    cluster = reviews(make_mesh, f"{{tcp: {tcp}, http: {http}}}")
    assert cluster.circuit_breakers == CircuitBreakers(UNLIMITED, UNLIMITED, 3, 4)
    assert (cluster.max_requests_per_connection, cluster.idle_timeout_seconds, cluster.max_connection_seconds) == (5, 6.0, 7.0)
    assert (cluster.connect_timeout_seconds, cluster.keepalive) == (1.0, TcpKeepalive(2, 30, 5))


def test_tcps_idle_timeout_is_https_where_that_has_none(make_mesh: MakeMesh) -> None:
    assert reviews(make_mesh, "{tcp: {idleTimeout: 9s}}").idle_timeout_seconds == 9.0
