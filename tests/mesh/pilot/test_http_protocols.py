"""Which HTTP endpoints are spoken to."""

from collections.abc import Callable
from typing import Any

import pytest

from mesh.model.cluster import HttpProtocol
from mesh.pilot.translate import clusters
from mesh.pilot.translate.http_protocols import spoken
from mesh.pilot.translate.mesh import UNDECLARED, protocol
from mesh.xds import clusters as wire

HTTP1, HTTP2, DOWNSTREAM = HttpProtocol.HTTP1, HttpProtocol.HTTP2, HttpProtocol.DOWNSTREAM


@pytest.mark.parametrize(
    ("name", "app_protocol", "expected"),
    [
        ("http", "", HTTP1),
        ("http2", "", HTTP2),
        ("grpc-web", "", HTTP2),
        ("grpc", "", HTTP2),
        ("grpc-api", "", HTTP2),
        ("web", "kubernetes.io/h2c", HTTP2),
        ("web", "grpc", HTTP2),
        ("web", "", DOWNSTREAM),
    ],
)
def test_a_ports_name_and_app_protocol_decide(name: str, app_protocol: str, expected: HttpProtocol) -> None:
    assert spoken(protocol(name, app_protocol)) is expected


def test_what_nobody_declared_goes_on_as_it_came() -> None:
    assert spoken(UNDECLARED) is DOWNSTREAM


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("", (HTTP1, None)),
        ("h2UpgradePolicy: UPGRADE", (HTTP2, None)),
        ("h2UpgradePolicy: UPGRADE, maxConcurrentStreams: 7", (HTTP2, 7)),
        ("h2UpgradePolicy: DO_NOT_UPGRADE, maxConcurrentStreams: 7", (HTTP1, None)),
        ("useClientProtocol: true", (DOWNSTREAM, None)),
        ("useClientProtocol: true, maxConcurrentStreams: 7", (DOWNSTREAM, 7)),
    ],
)
def test_a_destination_rule_changes_it(make_mesh: Callable[..., Any], settings: str, expected: tuple[HttpProtocol, int | None]) -> None:
    rule = f"""apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: reviews}}
spec: {{host: reviews, trafficPolicy: {{connectionPool: {{http: {{{settings}}}}}}}}}"""
    cluster = next(cluster for cluster, _ in clusters.outbound(make_mesh(rule)) if cluster.name.startswith("outbound|9080||reviews"))
    assert (cluster.http_protocol, cluster.max_concurrent_streams) == expected
    decoded = wire.decode(wire.encode(cluster))
    assert (decoded.http_protocol, decoded.max_concurrent_streams) == expected
