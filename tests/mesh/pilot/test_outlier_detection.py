"""A DestinationRule's outlierDetection, as clusters have it."""

from collections.abc import Callable
from typing import Any

import pytest

from mesh.model.cluster import Cluster, OutlierDetection
from mesh.pilot.translate import clusters

MakeMesh = Callable[..., Any]


def reviews(make_mesh: MakeMesh, policy: str) -> Cluster:
    rule = f"""apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: reviews}}
spec: {{host: reviews, trafficPolicy: {policy}}}"""
    return next(cluster for cluster, _ in clusters.outbound(make_mesh(rule)) if cluster.name.startswith("outbound|9080||reviews"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("{interval: 1s}", OutlierDetection(interval_seconds=1.0)),
        ("{consecutive5xxErrors: 1, baseEjectionTime: 3m}", OutlierDetection(consecutive_5xx=1, base_ejection_seconds=180.0)),
        ("{consecutive5xxErrors: 0}", OutlierDetection(consecutive_5xx=0, enforcing_consecutive_5xx=0)),
        (
            "{consecutiveGatewayErrors: 2, maxEjectionPercent: 100}",
            OutlierDetection(consecutive_gateway_failure=2, enforcing_consecutive_gateway_failure=100, max_ejection_percent=100),
        ),
        (
            "{splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 3}",
            OutlierDetection(split_external_local_origin_errors=True, consecutive_local_origin_failure=3),
        ),
    ],
)
def test_what_is_not_given_is_envoys_default(make_mesh: MakeMesh, given: str, expected: OutlierDetection) -> None:
    assert reviews(make_mesh, f"{{outlierDetection: {given}}}").outlier_detection == expected


def test_the_panic_threshold_is_the_least_health(make_mesh: MakeMesh) -> None:
    assert reviews(make_mesh, "{outlierDetection: {interval: 1s}}").panic_percent == 0.0
    assert reviews(make_mesh, "{outlierDetection: {minHealthPercent: 30}}").panic_percent == 30.0


def test_without_the_policy_nothing_is_watched(make_mesh: MakeMesh) -> None:
    assert reviews(make_mesh, "{loadBalancer: {simple: RANDOM}}").outlier_detection is None
