import time

import httpx
import pytest

from services.echo.server import BadKnob, create_app, read_knobs


@pytest.fixture
def url(serve):
    return serve(create_app({"SERVICE_NAME": "b", "SERVICE_VERSION": "v2", "POD_NAME": "b-v2-0"}))


@pytest.fixture
def client(url):
    with httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
        yield client


def test_echo_tells_what_it_saw(client):
    seen = client.request("PATCH", "/a%20b/c?x=1&x=2", content=b"hello", headers=[("x-a", "1"), ("X-A", "2")]).json()
    assert (seen["method"], seen["path"], seen["query"], seen["http_version"]) == ("PATCH", "/a%20b/c", "x=1&x=2", "1.1")
    assert [value for name, value in seen["headers"] if name == "x-a"] == ["1", "2"]
    assert seen["body_bytes"] == 5
    assert seen["body_sha256"].startswith("2cf24dba")
    assert (seen["service"], seen["version"], seen["pod"]) == ("b", "v2", "b-v2-0")
    assert seen["host"] == client.base_url.netloc.decode()
    assert seen["remote_address"].startswith("127.0.0.1:")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_any_method_is_answered(client, method):
    assert client.request(method, "/").json()["method"] == method


def test_a_head_has_no_body(client):
    answer = client.head("/x")
    assert (answer.status_code, answer.content) == (200, b"")


def test_the_answer_bends_to_the_knobs(client):
    assert client.get("/?status=418").status_code == 418
    assert client.get("/?status=418").json()["query"] == "status=418"
    assert client.get("/?status=204").content == b""
    big = client.get("/?size=150000")
    assert len(big.content) == int(big.headers["content-length"]) == 150_000
    assert client.get("/?header=x-b:%201&header=x-b:2").headers.get_list("x-b") == ["1", "2"]
    begin = time.monotonic()
    client.get("/?delay=300ms")
    assert time.monotonic() - begin >= 0.3


@pytest.mark.parametrize(
    "query", ["delay=soon", "status=99", "status=x", "size=-2", "failure_percent=101", "header=x", "header=a%0d%0ab:1"]
)
def test_a_knob_that_cannot_be_read_is_refused(client, query):
    assert client.get(f"/?{query}").status_code == 400


def test_failures_come_as_often_as_asked():
    assert read_knobs("failure_percent=30", lambda: 0.29).status == 503
    assert read_knobs("failure_percent=30", lambda: 0.3).status == 200
    assert read_knobs("failure_percent=30&status=500", lambda: 0.0).status == 500
    assert read_knobs("failure_percent=100", lambda: 0.999).status == 503
    assert read_knobs("failure_percent=0", lambda: 0.0).status == 200


@pytest.mark.parametrize(("text", "seconds"), [("1.5s", 1.5), ("200ms", 0.2), ("2", 2.0)])
def test_durations(text, seconds):
    assert read_knobs(f"delay={text}", lambda: 0).delay_seconds == seconds


def test_a_knob_error_names_the_knob():
    with pytest.raises(BadKnob, match="status=abc is not a number"):
        read_knobs("status=abc", lambda: 0)


def test_forward_calls_others_and_tells_what_came(client, url):
    answer = client.post(
        "/forward",
        json={"url": f"{url}/there?status=503", "method": "PUT", "headers": [["x-a", "1"], ["x-a", "2"]], "body": "hello", "count": 3},
    )
    calls = answer.json()["calls"]
    assert [call["status"] for call in calls] == [503] * 3
    assert all(call["latency_us"] > 0 and call["error"] == "" for call in calls)
    seen = calls[0]["seen"]
    assert (seen["method"], seen["path"], seen["body_bytes"]) == ("PUT", "/there", 5)
    assert [value for name, value in seen["headers"] if name == "x-a"] == ["1", "2"]
    assert ["content-type", "application/json"] in calls[0]["headers"]


def test_connections_are_kept_or_not_as_asked(client, url):
    def connections(new: bool) -> int:
        calls = client.post("/forward", json={"url": url, "count": 5, "new_connection_per_request": new}).json()["calls"]
        return len({call["seen"]["remote_address"] for call in calls})

    assert connections(new=False) == 1
    assert connections(new=True) == 5


def test_calls_start_at_the_rate_asked_for(client, url):
    answer = client.post("/forward", json={"url": url, "count": 11, "rps": 50, "concurrency": 4}).json()
    assert len(answer["calls"]) == 11
    assert answer["seconds"] >= 0.2


def test_calls_run_side_by_side(client, url):
    answer = client.post("/forward", json={"url": f"{url}/?delay=300ms", "count": 8, "concurrency": 8}).json()
    assert answer["seconds"] < 1.5


def test_what_went_wrong_is_told_per_call(client, url):
    refused = client.post("/forward", json={"url": "http://127.0.0.1:1/", "count": 2}).json()["calls"]
    assert [call["status"] for call in refused] == [None, None]
    assert "ClientConnectorError" in refused[0]["error"]
    (late,) = client.post("/forward", json={"url": f"{url}/?delay=5s", "timeout_seconds": 0.1}).json()["calls"]
    assert late["error"].startswith("TimeoutError")


def test_a_forward_request_that_makes_no_sense_is_refused(client, url):
    for body in ({"url": "ftp://x"}, {"url": url, "count": 0}, {"url": url, "cuont": 2}, {}):
        assert client.post("/forward", json=body).status_code == 422


def test_health(client):
    assert client.get("/health").json() == {"status": "Echo is healthy"}
