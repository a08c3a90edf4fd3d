"""Istio's standard metrics and the access log of a running mesh, the same names and labels on both data planes."""

import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lab import checks
from lab.lab import Lab
from lab.trial import Trial
from lab.until import until

REQUESTS = 20
HEALTH_PORT = 15021
TO_V1 = """apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v1}}]}]}
"""


def requests_total(mesh: Trial, workload: str, wanted: Mapping[str, str]) -> float:
    """The sum of the istio_requests_total series of a workload's sidecar that have these labels."""
    address = next(row["address"] for row in mesh.lab.ps() if row["name"] == workload)
    with urllib.request.urlopen(f"http://{address}:{HEALTH_PORT}/stats/prometheus", timeout=5) as response:
        text = response.read().decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "istio_requests_total" and wanted.items() <= sample.labels.items()
    )


@pytest.fixture
def called(mesh: Trial) -> Trial:
    mesh.apply(TO_V1)
    return mesh


def test_the_caller_counts_its_requests_by_destination(called: Trial) -> None:
    labels = {
        "reporter": "source",
        "source_workload": "productpage-v1",
        "source_app": "productpage",
        "source_canonical_service": "productpage",
        "destination_workload": "reviews-v1",
        "destination_version": "v1",
        "destination_service": "reviews.default.svc.cluster.local",
        "destination_service_name": "reviews",
        "destination_service_namespace": "default",
        "response_code": "200",
        "response_flags": "-",
        "request_protocol": "http",
        "connection_security_policy": "unknown",
    }
    before = requests_total(called, "productpage-v1-0", labels)
    checks.none_failed(called.load("/api/v1/products/0/reviews", requests=REQUESTS))
    called.wait(lambda: requests_total(called, "productpage-v1-0", labels) - before >= REQUESTS, "the counter has moved")
    checks.equal("requests counted", requests_total(called, "productpage-v1-0", labels) - before, float(REQUESTS))


def test_the_destination_counts_them_too(called: Trial) -> None:
    labels = {"reporter": "destination", "destination_workload": "reviews-v1", "destination_app": "reviews", "response_code": "200"}
    if called.lab.status()[0]["dataplane"] == "python":  # an Envoy cannot read its peer's introduction: see docs/decisions/0002
        labels |= {"source_workload": "productpage-v1", "source_version": "v1", "source_canonical_service": "productpage"}
    before = requests_total(called, "reviews-v1-0", labels)
    checks.none_failed(called.load("/api/v1/products/0/reviews", requests=REQUESTS))
    called.wait(lambda: requests_total(called, "reviews-v1-0", labels) - before >= REQUESTS, "the counter has moved")


def test_the_access_log_is_in_istios_default_format(called: Trial) -> None:
    checks.status(called.get("/api/v1/products/0/reviews", headers={"user-agent": "log-test/1"}), 200)
    called.wait(lambda: "log-test/1" in called.lab.logs("productpage-v1-0", container="access"), "the request is logged")
    line = next(
        line for line in called.lab.logs("productpage-v1-0", container="access").splitlines() if "log-test/1" in line and "inbound" in line
    )
    for part in ('"GET /api/v1/products/0/reviews HTTP/1.1" 200 - via_upstream', "inbound|9080||", " default"):
        checks.check(f"the line has {part}", part in line, line)


def test_the_access_log_is_json_where_that_is_wished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("SEATRIAL_HOME", str(tmp_path))
    monkeypatch.setenv("SEATRIAL_ACCESS_LOG_ENCODING", "json")
    lab = Lab.up("echo", name="json", dataplane=request.config.getoption("--mesh-dataplane"), tied=True)
    try:
        with lab.client() as client:
            assert client.get("/hello?x=1").status == 200
        until(lambda: "/hello" in lab.logs("a-v1-0", container="access"), timeout_seconds=10, what="the request is logged")
        lines = [json.loads(line) for line in lab.logs("a-v1-0", container="access").splitlines()]
    finally:
        lab.down()
    (line,) = [line for line in lines if line["path"] == "/hello?x=1"]
    assert (line["method"], line["response_code"], line["response_flags"]) == ("GET", 200, "-")
    assert line["upstream_cluster"].startswith("inbound|")
