"""Connections passed on byte by byte, and how a listener tells them apart."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from side_by_side.bench import clusters
from side_by_side.envoy import Envoy, bootstrap
from side_by_side.sidecar import LoopThread, Sidecar

from lab.statistics import binomial_bounds
from lab.until import until
from mesh.model.listener import AccessLogFile, FilterChain, HttpConnectionManager, Listener, TcpProxy
from mesh.model.match import MatchKind, RouteMatch, StringMatch
from mesh.model.route import Route, RouteConfiguration, VirtualHost, WeightedCluster
from mesh.policy.direct_response import DirectResponse

LOCALHOST = "127.0.0.1"
LOGGED = {
    "flags": "%RESPONSE_FLAGS%",
    "received": "%BYTES_RECEIVED%",
    "sent": "%BYTES_SENT%",
    "cluster": "%UPSTREAM_CLUSTER_RAW%",
    "host": "%UPSTREAM_HOST%",
    "server name": "%REQUESTED_SERVER_NAME%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "client": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
}
IDLE_SECONDS = 0.4
INSPECTION_SECONDS = 0.4
CONNECTIONS = 400


class Answering:
    """A server that says its name, then sends back what it gets; when the client has ended, ``bye``."""

    def __init__(self, name: str) -> None:
        self.name = name.encode()
        self.socket = socket.create_server((LOCALHOST, 0), backlog=512)
        self.port: int = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.sendall(self.name + b"\n")
            while data := connection.recv(65536):
                connection.sendall(data)
            connection.sendall(b"bye")


def chain(what: str | HttpConnectionManager | TcpProxy, **match: object) -> FilterChain:
    return FilterChain(TcpProxy("tcp", what) if isinstance(what, str) else what, **match)  # type: ignore[arg-type]


def http(body: str) -> HttpConnectionManager:
    route = Route(RouteMatch(StringMatch(MatchKind.PREFIX, "/")), (), (DirectResponse(200, body.encode()),))
    return HttpConnectionManager("http", route_config=RouteConfiguration("r", (VirtualHost("v", ("*",), (route,)),)))


SNIFFED = (
    chain(http("sniffed"), name="http", transport_protocol="raw_buffer", application_protocols=("http/1.1", "h2c")),
    chain("green", name="tls", transport_protocol="tls"),
    chain("red", name="raw", transport_protocol="raw_buffer"),
)
LISTENERS = {
    "one": (chain("red"),),
    "weighted": (chain(TcpProxy("tcp", weighted=(WeightedCluster("red", 80), WeightedCluster("green", 20)))),),
    "nowhere": (chain("nowhere"),),
    "refusing": (chain("refusing"),),
    "refusing, three attempts": (chain(TcpProxy("tcp", "refusing", max_connect_attempts=3)),),
    "half of it refuses": (chain(TcpProxy("tcp", "half", max_connect_attempts=2)),),
    "empty": (chain("empty"),),
    "idle": (chain(TcpProxy("tcp", "red", idle_timeout_seconds=IDLE_SECONDS)),),
    "names": (
        chain("red", name="exact", server_names=("a.test",)),
        chain("green", name="wild", server_names=("*.test",)),
        chain("blue", name="deeper", server_names=("*.b.test", "c.test")),
    ),
    "alpn": (
        chain("red", name="h2", transport_protocol="tls", application_protocols=("h2",)),
        chain("green", name="tls", transport_protocol="tls"),
        chain("blue", name="rest"),
    ),
    "address": (
        chain("red", name="this", destination_prefixes=("127.0.0.1/32",)),
        chain("green", name="all of it", destination_prefixes=("127.0.0.0/8",)),
    ),
    "other address": (chain("red", name="other", destination_prefixes=("10.0.0.0/8",)),),
    "sniffed": SNIFFED,
    "sniffed in vain": SNIFFED,
}


def listeners(log: Path) -> list[Listener]:
    logs = (AccessLogFile(str(log), json_format=tuple(sorted(LOGGED.items()))),)
    made = []
    for name, chains in LISTENERS.items():
        sniffed = name.startswith("sniffed")
        logged = tuple(_logged(one, logs) for one in chains)
        made.append(
            Listener(
                name,
                LOCALHOST,
                0,
                logged,
                tls_inspector=name in ("names", "alpn") or sniffed,
                http_inspector=sniffed,
                inspection_timeout_seconds=INSPECTION_SECONDS,
                continue_after_inspection_timeout=name == "sniffed",
            )
        )
    return made


def _logged(one: FilterChain, logs: tuple[AccessLogFile, ...]) -> FilterChain:
    return replace(one, network_filter=replace(one.network_filter, access_logs=logs))


class Side:
    def __init__(self, name: str, addresses: dict[str, tuple[str, int]], log: Path) -> None:
        self.name, self.addresses, self._log = name, addresses, log
        self._told: set[int] = set()

    def connect(self, listener: str) -> socket.socket:
        return socket.create_connection(self.addresses[listener], timeout=5)

    def logged(self, own: str) -> dict[str, object]:
        """The line of this connection; a line is told once, for ports are used again."""

        def find() -> dict[str, object] | None:
            for number, line in enumerate(self._log.read_text().splitlines()):
                entry = json.loads(line)
                if number not in self._told and entry.pop("client") == own:
                    self._told.add(number)
                    return entry
            return None

        return until(find, 5, f"{self.name} has logged {own}")


@pytest.fixture(scope="module")
def sides(envoy_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    folder = tmp_path_factory.mktemp("tcp")
    servers = {name: Answering(name) for name in ("red", "green", "blue")}
    groups = clusters({name: server.port for name, server in servers.items()})
    logs = {name: folder / f"{name}.log" for name in ("envoy", "sidecar")}
    for log in logs.values():
        log.touch()
    with ExitStack() as stack:
        for server in servers.values():
            stack.enter_context(server.socket)
        thread = stack.enter_context(LoopThread())
        envoy = stack.enter_context(Envoy(envoy_path, folder, bootstrap(listeners(logs["envoy"]), groups)))
        sidecar = stack.enter_context(Sidecar(thread, logs["sidecar"], listeners(logs["sidecar"]), groups))
        yield Side("envoy", envoy.listeners, logs["envoy"]), Side("sidecar", sidecar.listeners, logs["sidecar"])


def said(connection: socket.socket) -> bytes:
    """All until the other side ends or breaks off."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(65536):
            got += data
    return got


def talk(side: Side, listener: str, data: bytes = b"", *, end: bool = True) -> tuple[bytes, dict[str, object]]:
    """``end``: the client has no more to say, once it has heard something. Who leaves while he is looked at is not served by Envoy."""
    with side.connect(listener) as connection:
        own = "{}:{}".format(*connection.getsockname())
        got = b""
        with contextlib.suppress(OSError):
            sending = threading.Thread(target=connection.sendall, args=(data,))
            sending.start()
            got = connection.recv(65536)
            if end:
                sending.join()
                connection.shutdown(socket.SHUT_WR)
        got += said(connection)
        sending.join()
    return got, side.logged(own)


@pytest.mark.parametrize(
    ("listener", "data"),
    [
        ("one", b"hello"),
        ("one", b"x" * 3_000_000),
        ("one", b""),
        ("nowhere", b"hello"),
        ("refusing", b"hello"),
        ("refusing, three attempts", b"hello"),
        ("empty", b"hello"),
        ("address", b"hello"),
        ("sniffed", b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
        ("sniffed", b"BREW / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
        ("sniffed", b"hello there\r\n"),
        ("sniffed", b"\x00\x01\x02"),
        ("sniffed", b"GET / HTTP/7.1\r\n\r\n"),
        ("sniffed", b"EHLO"),
    ],
)
def test_both_pass_on_the_same(sides: tuple[Side, Side], listener: str, data: bytes) -> None:
    envoy, sidecar = (talk(side, listener, data, end=b"connection: close" not in data) for side in sides)
    assert _without_date(sidecar[0]) == _without_date(envoy[0])
    assert sidecar[1] == envoy[1]


def _without_date(answer: bytes) -> list[bytes]:
    return sorted(line for line in answer.split(b"\r\n") if not line.lower().startswith(b"date:"))


def test_neither_takes_who_came_to_another_address(sides: tuple[Side, Side]) -> None:
    for side in sides:
        with side.connect("other address") as connection:
            assert said(connection) == b""


def test_both_close_what_is_idle(sides: tuple[Side, Side]) -> None:
    answers = [talk(side, "idle", b"hello", end=False) for side in sides]
    assert answers[0] == answers[1]
    assert answers[0][0] == b"red\nhello"


def test_both_share_out_by_weight(sides: tuple[Side, Side]) -> None:
    for side in sides:
        green = sum(talk_only(side, "weighted") == b"green\nbye" for _ in range(CONNECTIONS))
        assert green in binomial_bounds(CONNECTIONS, 0.2, 1e-9), side.name


def test_both_try_another_host_where_one_refuses(sides: tuple[Side, Side]) -> None:
    for side in sides:
        assert [talk_only(side, "half of it refuses") for _ in range(6)] == [b"red\nbye"] * 6, side.name


def talk_only(side: Side, listener: str) -> bytes:
    with side.connect(listener) as connection:
        connection.shutdown(socket.SHUT_WR)
        return said(connection)


def hello(name: str, protocols: list[str]) -> bytes:
    """What a real TLS client says first."""
    context = ssl.create_default_context()
    if protocols:
        context.set_alpn_protocols(protocols)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name or None) if name else _without_name(context, incoming, outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def _without_name(context: ssl.SSLContext, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
    context.check_hostname = False
    return context.wrap_bio(incoming, outgoing)


@pytest.mark.parametrize(
    ("listener", "name", "protocols"),
    [
        ("names", "a.test", []),
        ("names", "A.Test", []),
        ("names", "x.test", []),
        ("names", "x.b.test", []),
        ("names", "b.test", []),
        ("names", "c.test", []),
        ("names", "other.example", []),
        ("names", "", []),
        ("alpn", "a.test", ["h2", "http/1.1"]),
        ("alpn", "a.test", ["http/1.1"]),
        ("alpn", "a.test", []),
        ("sniffed", "a.test", ["h2"]),
    ],
)
def test_both_read_what_a_tls_client_wants(sides: tuple[Side, Side], listener: str, name: str, protocols: list[str]) -> None:
    """They pass it on unread: what comes back is the first message itself."""
    data = hello(name, protocols)
    if listener == "names" and not name.lower().endswith(".test"):
        for side in sides:
            with side.connect(listener) as connection:
                connection.sendall(data)
                assert said(connection) == b""
        return
    envoy, sidecar = (talk(side, listener, data) for side in sides)
    assert sidecar == envoy
    assert data in envoy[0]


@pytest.mark.parametrize("cut", [1, 3, 5, 40])
def test_both_wait_for_the_rest_of_a_hello(sides: tuple[Side, Side], cut: int) -> None:
    data = hello("x.b.test", [])
    for side in sides:
        with side.connect("names") as connection:
            connection.sendall(data[:cut])
            connection.settimeout(0.05)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            connection.settimeout(5)
            connection.sendall(data[cut:])
            assert connection.recv(5) == b"blue\n"
            connection.shutdown(socket.SHUT_WR)
            assert said(connection) == data + b"bye"


def test_both_let_a_server_speak_first_after_a_while(sides: tuple[Side, Side]) -> None:
    for side in sides:
        with side.connect("sniffed") as connection:
            assert connection.recv(100) == b"red\n"
            connection.sendall(b"hi")
            assert connection.recv(100) == b"hi"


def test_both_give_up_on_a_silent_client_unless_told_otherwise(sides: tuple[Side, Side]) -> None:
    for side in sides:
        with side.connect("sniffed in vain") as connection:
            assert said(connection) == b""
