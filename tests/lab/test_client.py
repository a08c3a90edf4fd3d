"""The client against a real HTTP server."""

import http.server
import socket
import threading
from collections.abc import Iterator

import pytest

from lab.client import Client, NoAnswer


class Says(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.connections.add(self.client_address)  # type: ignore[attr-defined]
        if self.path == "/silence":
            self.server.leave.wait(20)  # type: ignore[attr-defined]
            self.close_connection = True
            return
        self.send_response(302 if self.path == "/moved" else 200)
        body = self.path.encode()
        if self.path == "/moved":
            self.send_header("location", "/elsewhere")
        self.send_header("Set-Cookie", "a=1")
        self.send_header("Set-Cookie", "b=2")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = self.path == "/last"  # without a word, as a server whose idle time-out is over

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("seen-type", self.headers.get("content-type", ""))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Says) as server:
        server.daemon_threads = True
        server.connections, server.leave = set(), threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.leave.set()  # type: ignore[attr-defined]
        server.shutdown()
        thread.join(10)


@pytest.fixture
def client(server: http.server.ThreadingHTTPServer) -> Iterator[Client]:
    with Client(f"http://127.0.0.1:{server.server_port}") as client:
        yield client


def test_an_answer_is_shown_as_it_came(client: Client) -> None:
    response = client.get("/moved")
    assert (response.status, response.text, response.headers["Location"]) == (302, "/moved", "/elsewhere")
    assert response.headers["set-cookie"] == "a=1, b=2"
    assert "X-None" not in response.headers
    assert 0 < response.seconds < 10


def test_requests_share_a_connection(client: Client, server: http.server.ThreadingHTTPServer) -> None:
    for _ in range(3):
        client.get("/")
    assert len(server.connections) == 1  # type: ignore[attr-defined]


def test_a_connection_that_was_closed_while_idle_is_opened_again(client: Client, server: http.server.ThreadingHTTPServer) -> None:
    client.get("/last")
    assert client.get("/again").text == "/again"
    assert len(server.connections) == 2  # type: ignore[attr-defined]


def test_json_is_sent_as_json(client: Client) -> None:
    response = client.post("/", json={"a": [1]})
    assert response.json() == {"a": [1]}
    assert response.headers["seen-type"] == "application/json"


def test_a_proxy_of_the_environment_is_not_asked(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert client.get("/").status == 200


def test_silence_is_a_time_out_that_names_the_request(client: Client) -> None:
    with pytest.raises(TimeoutError, match=r"GET http://.*/silence: no answer within 0\.05 s"):
        client.request("GET", "/silence", timeout_seconds=0.05)


def test_nobody_there_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}") as client, pytest.raises(NoAnswer, match="refused"):
        client.get("/")


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort"])
def test_an_answer_that_is_none_is_no_answer(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with Client(f"http://127.0.0.1:{server.getsockname()[1]}") as client, pytest.raises(NoAnswer):
            client.get("/")
        thread.join(10)


@pytest.mark.parametrize("url", ["https://a", "a:80", "/x", ""])
def test_what_is_no_http_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not an http:// address"):
        Client(url)
