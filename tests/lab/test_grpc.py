"""gRPC between two workloads, each behind its proxy, under the real control plane."""

from collections.abc import Iterator
from typing import Any

import pytest

from lab import envoy_binary
from lab.lab import Lab

TOPOLOGY = """name: calls
ingress: a
services:
  a:
    ports: [{name: http, port: 8080}]
    module: services.echo
    readiness: /health
    versions: {v1: {}}
  b:
    ports: [{name: http, port: 8080}, {name: grpc, port: 7070}]
    module: services.echo
    readiness: /health
    versions: {v1: {}, v2: {}}
"""


@pytest.fixture(scope="module", params=["python", "envoy"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if request.param == "envoy" and envoy_binary.find() is None:
        pytest.skip("no Envoy here")
    folder = tmp_path_factory.mktemp("calls")
    (folder / "calls.yaml").write_text(TOPOLOGY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEATRIAL_HOME", str(folder / "home"))
        lab = Lab.up(folder / "calls.yaml", name=f"calls-{request.param}", runtime="local", dataplane=request.param)
        try:
            yield lab
        finally:
            lab.down()


def forward(lab: Lab, **what: Any) -> list[dict[str, Any]]:
    with lab.client() as client:
        answer = client.post("/forward", json={"url": "grpc://b:7070", **what})
    assert answer.status == 200, answer
    return list(answer.json()["calls"])


def test_calls_of_one_channel_are_balanced_one_by_one(lab: Lab) -> None:
    outcomes = forward(lab, count=40, body="hello")
    assert [outcome["status"] for outcome in outcomes] == [0] * 40
    assert {outcome["seen"]["version"] for outcome in outcomes} == {"v1", "v2"}


ROUTE = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: b}}
spec:
  hosts: [b]
  http:
  - match: [{{port: 7070}}]
    {more}
    route: [{{destination: {{host: b}}}}]
"""


@pytest.mark.parametrize(
    ("more", "timeout_seconds", "expected"),
    [
        ("fault: {abort: {httpStatus: 503, percentage: {value: 100}}}", 5, 14),
        ("fault: {abort: {httpStatus: 404, percentage: {value: 100}}}", 5, 12),
        ("fault: {delay: {fixedDelay: 2s, percentage: {value: 100}}}", 0.3, 4),
    ],
    ids=["503 is UNAVAILABLE", "404 is UNIMPLEMENTED", "a deadline passes"],
)
def test_a_caller_learns_a_grpc_status(lab: Lab, more: str, timeout_seconds: float, expected: int) -> None:
    route = ROUTE.format(more=more)
    lab.apply(route)
    try:
        outcomes = forward(lab, count=3, timeout_seconds=timeout_seconds)
        assert [outcome["status"] for outcome in outcomes] == [expected] * 3
    finally:
        lab.delete(route)
