"""The load against a real HTTP server on loopback, and how it ends."""

import http.server
import json
import socketserver
import threading
from collections.abc import Iterator

import pytest

from lab.load.model import LoadResult, LoadSpec
from lab.load.run import Load, LoadFailed, run_load
from lab.until import until


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    seen: list[str]
    lock = threading.Lock()

    def do_GET(self) -> None:
        with self.lock:
            number = len(self.server.seen)  # type: ignore[attr-defined]
            self.server.seen.append(dict(self.headers))  # type: ignore[attr-defined]
        body = json.dumps({"podname": f"v{number % 2 + 1}", "deep": [{"colour": "red"}]}).encode()
        self.send_response(503 if self.path == "/broken" else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Answers) as running:
        running.seen = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def url(server: Server, path: str = "/x?y=1") -> str:
    return f"http://127.0.0.1:{server.server_port}{path}"


def test_a_counted_load_sends_exactly_that_many_and_labels_each_answer(server: Server) -> None:
    seconds = []
    result = run_load(LoadSpec(url(server), requests=300, users=4, label="podname", headers=(("x-who", "jason"),)), seconds.append)
    assert (result.requests, result.ok, result.failed) == (300, 300, 0)
    assert result.labels == {"v1": 150, "v2": 150}
    assert len(server.seen) == 300  # type: ignore[attr-defined]
    assert {seen["x-who"] for seen in server.seen} == {"jason"}  # type: ignore[attr-defined]
    assert sum(second.ok for second in result.timeline) == 300
    assert 0 < result.percentile_ms(0.5) <= result.percentile_ms(0.99)
    assert len(seconds) == len(result.timeline)


def test_statuses_from_400_and_missing_answers_are_failures(server: Server) -> None:
    broken = run_load(LoadSpec(url(server, "/broken"), requests=10, users=2, label="deep.0.colour"))
    assert (broken.failed, dict(broken.statuses), dict(broken.labels)) == (10, {503: 10}, {"red": 10})
    assert sum(second.failed for second in broken.timeline) == 10
    assert [second.labels for second in broken.timeline if second.labels] == [], "a second's labels divide what is well"
    refused = run_load(LoadSpec("http://127.0.0.1:1/", requests=5, users=1))
    assert (refused.failed, dict(refused.statuses)) == (5, {0: 5})
    assert "refused" in next(iter(refused.errors))


def test_a_load_lasts_as_long_as_it_was_told(server: Server) -> None:
    result = run_load(LoadSpec(url(server), duration_seconds=1.0, rps=20, users=2))
    assert result.failed == 0
    assert result.seconds >= 1.0


def test_an_endless_load_stops_when_told_and_answers_all_it_sent(server: Server) -> None:
    with Load(LoadSpec(url(server), rps=100, users=2)) as load:
        until(lambda: load.requests_so_far > 20, timeout_seconds=20, what="some answers")
        result = load.stop()
    assert result.failed == 0
    assert result.requests == len(server.seen)  # type: ignore[attr-defined]
    assert result.open_loop


def test_a_load_without_an_end_is_refused() -> None:
    with pytest.raises(ValueError, match="never end"):
        run_load(LoadSpec("http://127.0.0.1:1/"))


def test_a_dead_worker_is_an_error_that_says_what_it_said(server: Server) -> None:
    load = Load(LoadSpec(url(server), users=0, rps=1))  # locust cannot share a rate among no users
    with pytest.raises(LoadFailed, match="ZeroDivisionError"):
        load.result()


def test_a_result_survives_json(server: Server) -> None:
    result = run_load(LoadSpec(url(server), requests=20, users=2, label="podname"))
    copy = LoadResult.from_json(result.to_json())
    assert (copy.statuses, copy.labels, copy.histogram.counts) == (result.statuses, result.labels, result.histogram.counts)
    assert copy.timeline == result.timeline
