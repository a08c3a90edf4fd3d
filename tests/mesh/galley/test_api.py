"""The HTTP API, asked as a client asks it."""

import os
from types import MappingProxyType

import httpx
import pytest

from mesh.galley.api import MAX_BODY_BYTES, Distribution, create_app
from mesh.galley.store import ConfigStore


class Fleet:
    """Proxies that have all applied, or not."""

    def __init__(self) -> None:
        self.complete = True
        self.asked: list[tuple[int, float]] = []

    async def wait(self, version: int, timeout_seconds: float) -> Distribution:
        self.asked.append((version, timeout_seconds))
        return Distribution(self.complete, MappingProxyType({"sidecar~1": "SYNCED" if self.complete else "PENDING"}), 0.012, 1)


class Shown:
    def syncz(self) -> object:
        return [{"proxy": "sidecar~1"}]

    def registryz(self) -> object:
        return {"registry": 1}

    def endpointz(self) -> object:
        return {"endpoints": 1}

    def configz(self) -> object:
        return {"config": 1}

    def config_dump(self, proxy: str) -> object:
        return {"sidecar~1": {"listeners": []}}[proxy]


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


@pytest.fixture
def store(tmp_path) -> ConfigStore:
    return ConfigStore(tmp_path)


@pytest.fixture
async def client(store, fleet):
    transport = httpx.ASGITransport(create_app(store, fleet, Shown()))
    async with httpx.AsyncClient(transport=transport, base_url="http://istiod") as client:
        yield client


def body(*texts: str, **more: object) -> dict[str, object]:
    return {"documents": [{"source": f"file-{index}.yaml", "text": text} for index, text in enumerate(texts)], **more}


async def test_apply_answers_when_the_proxies_have_it(client, fleet, virtual_service, service) -> None:
    answer = await client.post("/apply", json=body(service(), virtual_service(), timeout_seconds=3))
    assert answer.status_code == 200
    assert answer.json() == {
        "version": 1,
        "resources": [
            {"kind": "Service", "namespace": "default", "name": "reviews", "action": "created"},
            {"kind": "VirtualService", "namespace": "default", "name": "reviews", "action": "created"},
        ],
        "warnings": [],
        "distribution": {"complete": True, "proxies": {"sidecar~1": "SYNCED"}, "seconds": 0.012, "touched": 1},
    }
    assert fleet.asked == [(1, 3.0)]


async def test_apply_names_the_laggard_when_the_time_is_over(client, fleet, store, service) -> None:
    fleet.complete = False
    answer = await client.post("/apply", json=body(service()))
    assert answer.status_code == 504
    assert answer.json()["distribution"]["proxies"] == {"sidecar~1": "PENDING"}
    assert store.version == 1


async def test_apply_does_not_wait_when_told_so(client, fleet, service) -> None:
    answer = await client.post("/apply", json=body(service(), wait=False))
    assert (answer.status_code, answer.json()["distribution"], fleet.asked) == (200, None, [])


async def test_a_bad_set_is_refused_whole_with_every_error(client, store, virtual_service, service) -> None:
    answer = await client.post("/apply", json=body(service(), virtual_service("routes: []"), "a: [\n"))
    assert answer.status_code == 422
    told = [(one["file"], one["line"], one["column"], one["code"]) for one in answer.json()["errors"]]
    assert told == [("file-1.yaml", 8, 5, "IST0106"), ("file-2.yaml", 1, 4, "YAML")]
    assert answer.json()["errors"][0]["hint"] == 'did you mean "route"?'
    assert store.version == 0


async def test_warnings_do_not_stand_in_the_way(client, virtual_service) -> None:
    answer = await client.post("/apply", json=body(virtual_service("route:\n- destination: {host: nowhere}")))
    assert answer.status_code == 200
    assert [one["code"] for one in answer.json()["warnings"]] == ["IST0101"]


async def test_a_dry_run_says_what_would_be(client, store, fleet, service) -> None:
    answer = await client.post("/apply", json=body(service(), dry_run=True))
    assert answer.status_code == 200
    assert answer.json()["resources"][0]["action"] == "created"
    assert (answer.json()["version"], store.version, fleet.asked) == (0, 0, [])


@pytest.mark.parametrize("texts", [(), ("",), ("# nothing\n---\n",)])
async def test_nothing_to_apply_is_an_error(client, texts) -> None:
    answer = await client.post("/apply", json=body(*texts))
    assert (answer.status_code, answer.json()["errors"][0]["message"]) == (422, "there is nothing to apply")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe\xfa", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "body"),
        (b"{}", "documents: Field required"),
        (b'{"documents": "x"}', "documents"),
        (b'{"documents": [{"txt": "x"}]}', "documents.0.text"),
        (b'{"documents": [], "timeout_seconds": -1}', "timeout_seconds"),
        (b'{"documents": [], "timeout_seconds": "soon"}', "timeout_seconds"),
        (b'{"documents": [], "surprise": 1}', "surprise"),
    ],
)
@pytest.mark.parametrize("verb", ["/apply", "/delete"])
async def test_a_bad_request_is_told_in_json(client, verb: str, content: bytes, message: str) -> None:
    answer = await client.post(verb, content=content)
    told = answer.json()["errors"][0]["message"]
    if verb == "/delete" and content == b"{}":
        assert (answer.status_code, told) == (422, "there is nothing to delete")
        return
    assert answer.status_code == 400
    assert message in told


async def test_a_body_beyond_the_limit_is_refused(client) -> None:
    answer = await client.post("/apply", content=b"x" * (MAX_BODY_BYTES + 1))
    assert answer.status_code == 413


async def test_state_that_cannot_be_kept_is_507_and_nothing_changes(client, store, service, monkeypatch) -> None:
    await client.post("/apply", json=body(service()))

    def full(*_arguments: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    applied = await client.post("/apply", json=body(service("more")))
    deleted = await client.post("/delete", json=body(service()))
    assert (applied.status_code, deleted.status_code, store.version) == (507, 507, 1)
    assert "No space left on device" in applied.json()["errors"][0]["message"]


async def test_delete_by_document_needs_only_the_name(client, store, virtual_service, fleet) -> None:
    await client.post("/apply", json=body(virtual_service()))
    answer = await client.post("/delete", json=body(virtual_service("nonsense: 1")))
    assert answer.status_code == 200
    assert answer.json()["resources"] == [{"kind": "VirtualService", "namespace": "default", "name": "reviews", "action": "deleted"}]
    assert fleet.asked[-1] == (2, 10.0)
    assert store.config.virtual_services == ()


@pytest.mark.parametrize("kind", ["VirtualService", "virtualservices"])
async def test_delete_by_name(client, store, virtual_service, kind: str) -> None:
    await client.post("/apply", json=body(virtual_service()))
    answer = await client.post("/delete", json={"resources": [{"kind": kind, "namespace": "default", "name": "reviews"}]})
    assert answer.status_code == 200
    assert store.config.virtual_services == ()


async def test_deleting_what_is_not_there_is_404(client) -> None:
    answer = await client.post("/delete", json={"resources": [{"kind": "VirtualService", "name": "reviews"}]})
    assert (answer.status_code, answer.json()["errors"][0]["message"]) == (404, "VirtualService default/reviews does not exist")


async def test_delete_refuses_broken_yaml_and_unknown_kinds(client) -> None:
    answer = await client.post("/delete", json=body("a: [\n", "apiVersion: v1\nkind: Servise\nmetadata: {name: x}\n"))
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 2


async def test_delete_all_leaves_the_services(client, store, virtual_service, service) -> None:
    await client.post("/apply", json=body(virtual_service(), service()))
    answer = await client.post("/delete", json={"all": True})
    assert answer.status_code == 200
    assert (len(store.config.virtual_services), len(store.config.services)) == (0, 1)
    assert (await client.post("/delete", json={"all": True})).status_code == 200
    assert (await client.post("/delete", json={"all": True, **body(service())})).status_code == 400


async def test_objects_are_shown_as_kubernetes_shows_them(client, virtual_service, service) -> None:
    await client.post("/apply", json=body(virtual_service(), service()))
    base = "/apis/networking.istio.io/v1"
    one = (await client.get(f"{base}/namespaces/default/virtualservices/reviews")).json()
    assert one == {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": "default", "generation": 1, "resourceVersion": "1"},
        "spec": {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews"}}]}]},
    }
    for path in (f"{base}/virtualservices", f"{base}/namespaces/default/virtualservices", base + "alpha3/virtualservices"):
        listed = (await client.get(path)).json()
        assert (listed["kind"], listed["items"]) == ("VirtualServiceList", [one])
    assert (await client.get(f"{base}/namespaces/other/virtualservices")).json()["items"] == []
    assert (await client.get("/api/v1/namespaces/default/services/reviews")).json()["kind"] == "Service"
    assert len((await client.get("/api/v1/services")).json()["items"]) == 1


@pytest.mark.parametrize(
    "path",
    [
        "/apis/networking.istio.io/v1/virtualservises",
        "/apis/networking.istio.io/v9/virtualservices",
        "/apis/networking.istio.io/v1/services",
        "/api/v1/virtualservices",
        "/apis/networking.istio.io/v1/namespaces/default/virtualservices/absent",
        "/nowhere",
    ],
)
async def test_what_is_not_there_is_404_in_json(client, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["message"]


async def test_changing_verbs_are_post_only(client) -> None:
    assert (await client.get("/apply")).status_code == 405


async def test_health_version_and_debug_answer(client) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert (await client.get("/version")).json()["version"]
    assert (await client.get("/debug/syncz")).json() == [{"proxy": "sidecar~1"}]
    assert (await client.get("/debug/registryz")).json() == {"registry": 1}
    assert (await client.get("/debug/endpointz")).json() == {"endpoints": 1}
    assert (await client.get("/debug/configz")).json() == {"config": 1}
    assert (await client.get("/debug/config_dump", params={"proxy": "sidecar~1"})).json() == {"listeners": []}
    assert (await client.get("/debug/config_dump", params={"proxy": "nobody"})).status_code == 404
    assert (await client.get("/debug/config_dump")).status_code == 400
