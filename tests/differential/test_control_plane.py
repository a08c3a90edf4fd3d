"""One control plane, the same YAML, an Envoy and our sidecar: the same answers, and the same yes or no to it."""

import json

import pytest
from side_by_side.cases import get, send
from side_by_side.mesh import HOST, Mesh


def virtual_service(*http: object) -> str:
    spec = {"hosts": [HOST], "http": list(http)}
    metadata = {"name": "shop"}
    return json.dumps({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata, "spec": spec})


def to(subset: str) -> dict[str, object]:
    return {"destination": {"host": HOST, "subset": subset}}


V2 = {"route": [to("v2")]}


@pytest.fixture(autouse=True)
def _everything_to_v2(mesh: Mesh) -> None:
    status, answer = mesh.apply(virtual_service(V2))
    assert (status, answer["distribution"]["complete"]) == (200, True)


def test_both_follow_a_virtual_service(mesh: Mesh) -> None:
    assert mesh.compare(get()).answer.body == b"green 200\n"
    jason = {"match": [{"headers": {"end-user": {"exact": "jason"}}}], "route": [to("v1")]}
    status, answer = mesh.apply(virtual_service(jason, V2))
    assert (status, set(answer["distribution"]["proxies"].values())) == (200, {"SYNCED"})
    assert mesh.compare(get(end_user="jason")).answer.body == b"red 200\n"
    assert mesh.compare(get()).answer.body == b"green 200\n"


def test_both_retry_rewrite_and_redirect_by_yaml(mesh: Mesh) -> None:
    rules = [
        {"match": [{"uri": {"exact": "/old"}}], "redirect": {"uri": "/new", "redirectCode": 308}},
        {"match": [{"uri": {"prefix": "/api"}}], "rewrite": {"uri": "/v1", "authority": "inside"}, "route": [to("v3")]},
        {"retries": {"attempts": 2, "retryOn": "5xx"}, "timeout": "2s", "headers": {"response": {"set": {"a": "b"}}}, **V2},
    ]
    assert mesh.apply(virtual_service(*rules))[0] == 200
    for ask in (get("/old?x"), get("/api/x", origin="a"), get("/", "503,close,200"), send("POST", "/x", body=b"abc")):
        mesh.compare(ask)


def test_a_host_among_the_headers_is_no_reason_to_refuse(mesh: Mesh) -> None:
    status, answer = mesh.apply(virtual_service({"headers": {"request": {"set": {"host": "other"}}}, **V2}))
    assert (status, set(answer["distribution"]["proxies"].values())) == (200, {"SYNCED"})
    seen = mesh.compare(get()).upstream[0]
    assert dict(seen.headers)["host"] == "other"


def test_both_refuse_the_same_and_keep_what_they_had(mesh: Mesh) -> None:
    """An operator that there is not: only a data plane can tell."""
    broken = {"headers": {"request": {"set": {"a": "%NONSENSE%"}}}, "route": [to("v1")]}
    _, answer = mesh.apply(virtual_service(broken))
    verdicts = answer["distribution"]["proxies"]
    assert len(verdicts) == 2
    assert all(verdict.startswith("NACK") and "NONSENSE" in verdict for verdict in verdicts.values()), verdicts
    assert mesh.compare(get()).answer.body == b"green 200\n"
    assert mesh.apply(virtual_service(V2))[1]["distribution"]["complete"]


def test_a_bad_regex_reaches_neither(mesh: Mesh) -> None:
    status, answer = mesh.apply(virtual_service({"match": [{"uri": {"regex": "/(?=a)"}}], "route": [to("v1")]}))
    assert (status, len(answer["errors"])) == (422, 1)
    assert mesh.compare(get()).answer.body == b"green 200\n"
