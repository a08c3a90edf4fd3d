"""Istio's standard metrics: what is counted, under which labels, and that nobody can make them grow without bound."""

import base64
import json

from prometheus_client.parser import text_string_to_metric_families

from mesh.model.cluster import Cluster, Discovery, IstioService
from mesh.model.endpoint import Endpoint
from mesh.model.listener import IstioMetrics
from mesh.sidecar.exposition import istio
from mesh.sidecar.filter import Flag, Request, Response
from mesh.sidecar.filters import metrics
from mesh.sidecar.filters.metrics import Metrics

REVIEWS = Cluster(
    "outbound|9080||reviews", Discovery.EDS, services=(IstioService("reviews.default.svc.cluster.local", "reviews", "default"),)
)
ENDPOINT = Endpoint("10.0.0.2", 9080, metadata={"workload": "reviews-v1;default;reviews;v1;Kubernetes", "app": "reviews", "version": "v1"})
PEER = {"name": "productpage-v1-0", "namespace": "default", "workload": "productpage-v1", "app": "productpage", "version": "v1"}


def request(status: int = 200, milliseconds: float = 3, peer: str = "", flags: int = 0) -> Request:
    request = Request()
    stream = request.stream
    stream.status, stream.flags, stream.peer_header = status, flags, peer
    stream.end_seconds = milliseconds / 1000
    stream.bytes_received, stream.bytes_sent = 100, 2000
    stream.cluster, stream.endpoint, stream.upstream_cluster, stream.upstream_host = REVIEWS, ENDPOINT, REVIEWS.name, "10.0.0.2:9080"
    return request


def encoded(values: object) -> str:
    return base64.b64encode(json.dumps(values).encode()).decode()


def samples(counted: Metrics, name: str) -> list[tuple[dict[str, str], float]]:
    families = text_string_to_metric_families("".join(istio(counted.series.values())))
    return [(sample.labels, sample.value) for family in families for sample in family.samples if sample.name == name]


def test_the_source_knows_its_destination_by_the_endpoints_metadata() -> None:
    counted = Metrics()
    observe = counted.observer(IstioMetrics("source", (("source_workload", "productpage-v1"), ("source_app", "productpage"))))
    for _ in range(3):
        observe(request(), Response(200))
    ((labels, value),) = samples(counted, "istio_requests_total")
    assert value == 3
    expected = {
        "reporter": "source",
        "source_workload": "productpage-v1",
        "source_app": "productpage",
        "source_version": "unknown",
        "destination_workload": "reviews-v1",
        "destination_workload_namespace": "default",
        "destination_app": "reviews",
        "destination_version": "v1",
        "destination_canonical_service": "reviews",
        "destination_canonical_revision": "v1",
        "destination_cluster": "Kubernetes",
        "destination_principal": "unknown",
        "destination_service": "reviews.default.svc.cluster.local",
        "destination_service_name": "reviews",
        "destination_service_namespace": "default",
        "request_protocol": "http",
        "response_code": "200",
        "response_flags": "-",
        "connection_security_policy": "unknown",
    }
    assert expected.items() <= labels.items()


def test_the_destination_knows_its_source_by_what_its_sidecar_said() -> None:
    counted = Metrics()
    observe = counted.observer(IstioMetrics("destination", (("destination_workload", "reviews-v1"),)))
    observe(request(peer=encoded(PEER)), Response(200))
    observe(request(peer="%%% not base64"), Response(200))
    observe(request(peer=encoded(["no", "object"])), Response(200))
    found = samples(counted, "istio_requests_total")
    assert {labels["source_workload"]: value for labels, value in found} == {"productpage-v1": 1, "unknown": 2}
    ((labels, _),) = [item for item in found if item[0]["source_workload"] == "productpage-v1"]
    assert (labels["source_workload_namespace"], labels["source_app"]) == ("default", "productpage")
    assert (labels["destination_workload"], labels["connection_security_policy"]) == ("reviews-v1", "none")


def test_status_and_flags_make_series_of_their_own() -> None:
    counted = Metrics()
    observe = counted.observer(IstioMetrics("source"))
    observe(request(), Response(200))
    observe(request(503, flags=Flag.UF | Flag.URX), Response(503))
    found = {(labels["response_code"], labels["response_flags"]) for labels, _ in samples(counted, "istio_requests_total")}
    assert found == {("200", "-"), ("503", "URX,UF")}


def test_histograms_are_cumulative_and_have_sums() -> None:
    counted = Metrics()
    observe = counted.observer(IstioMetrics("source"))
    for milliseconds in (3, 30, 300, 4_000_000):
        observe(request(milliseconds=milliseconds), Response(200))
    buckets = {labels["le"]: value for labels, value in samples(counted, "istio_request_duration_milliseconds_bucket")}
    assert (buckets["1"], buckets["5"], buckets["50"], buckets["500"], buckets["3600000"], buckets["+Inf"]) == (0, 1, 2, 3, 3, 4)
    assert [value for _, value in samples(counted, "istio_request_duration_milliseconds_sum")] == [4_000_333]
    assert [value for _, value in samples(counted, "istio_response_bytes_sum")] == [8000]
    assert [value for _, value in samples(counted, "istio_request_bytes_count")] == [4]


def test_an_endpoint_that_changes_what_it_says_of_itself_counts_anew() -> None:
    counted = Metrics()
    observe = counted.observer(IstioMetrics("source"))
    observe(request(), Response(200))
    changed = request()
    changed.stream.endpoint = Endpoint("10.0.0.2", 9080, metadata={"workload": "reviews-v2;default;reviews;v2;Kubernetes"})
    observe(changed, Response(200))
    assert {labels["destination_workload"] for labels, _ in samples(counted, "istio_requests_total")} == {"reviews-v1", "reviews-v2"}


def test_made_up_peers_share_one_series_in_the_end() -> None:
    counted = Metrics()
    metrics_max = metrics.MAX_SERIES
    try:
        metrics.MAX_SERIES = 5  # type: ignore[misc]
        observe = counted.observer(IstioMetrics("destination"))
        for number in range(50):
            observe(request(peer=encoded({"workload": f"made-up-{number}"})), Response(200))
    finally:
        metrics.MAX_SERIES = metrics_max  # type: ignore[misc]
    found = samples(counted, "istio_requests_total")
    assert len(found) == 6
    assert sum(value for _, value in found) == 50


def test_label_values_cannot_break_out() -> None:
    counted = Metrics()
    observe = counted.observer(IstioMetrics("destination"))
    observe(request(peer=encoded({"workload": 'a"} 7\\'})), Response(200))
    ((labels, _),) = samples(counted, "istio_requests_total")
    assert labels["source_workload"] == 'a"} 7\\'
