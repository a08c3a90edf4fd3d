"""Generated peers: nothing that comes raises, memory stays bounded, and two of ours agree however the bytes are cut."""

import tracemalloc
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted_peer import GET, OK, POST, Clock, Recorder, Scripted, fields, frame, make_client, make_server

from mesh.sidecar.wire.http2 import Http2Connection, Http2Settings
from mesh.sidecar.wire.http2.frames import PREFACE

STREAMS = st.sampled_from([0, 1, 1, 1, 2, 3, 3, 5, 7, 101, 2**31 - 1, 2**31 + 1])
FLAGS = st.sampled_from([0, 0x1, 0x4, 0x5, 0x5, 0x8, 0xD, 0x20, 0x25, 0x2D, 0xFF])
PAYLOADS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"", b"\0\0\0\1", b"\0\0\0\0", b"\x7f\xff\xff\xff", bytes(8), b"\0\4\0\0\0\5", b"\0\1\0\0\0\0"]),
)
PAIRS = st.lists(
    st.sampled_from(
        [
            *GET,
            *POST,
            *OK,
            ("x", "y"),
            ("X", "y"),
            ("content-length", "3"),
            ("host", "a"),
            ("te", "trailers"),
            ("cookie", "a"),
            (":path", "x"),
        ]
    ),
    max_size=8,
)
MOVES = st.one_of(
    st.tuples(st.just("frame"), st.integers(0, 11), FLAGS, STREAMS, PAYLOADS),
    st.tuples(st.just("headers"), PAIRS, FLAGS, STREAMS),
    st.tuples(st.just("good"), st.sampled_from([0x4, 0x5]), STREAMS),
    st.tuples(st.just("raw"), st.binary(max_size=30)),
    st.tuples(st.just("answer"), STREAMS, st.binary(max_size=30), st.booleans()),
    st.tuples(st.just("trailers"), STREAMS),
    st.tuples(st.just("ask"), st.booleans()),
    st.tuples(st.just("reset"), STREAMS),
    st.tuples(st.just("consume"), STREAMS, st.integers(0, 1_000_000)),
    st.tuples(st.sampled_from(["pause", "resume", "goaway", "drain", "ping", "take"])),
)


def bytes_of(scripted: Scripted, move: tuple[Any, ...]) -> bytes:
    name, *rest = move
    if name == "frame":
        return frame(*rest)
    if name == "headers":
        return scripted.headers(rest[2], rest[0], rest[1] | 0x4)
    if name == "good":
        return scripted.headers(rest[1], OK if scripted.connection._client else GET, rest[0])
    return rest[0] if name == "raw" else b""


def act(scripted: Scripted, move: tuple[Any, ...]) -> None:
    connection = scripted.connection
    name, *rest = move
    if name == "answer":
        connection.send_response(rest[0], 200, fields(a="b"), end_stream=False)
        connection.send_data(rest[0], rest[1], end_stream=rest[2])
    elif name == "trailers":
        connection.send_trailers(rest[0], fields(a="b"))
    elif name == "ask" and connection._client:
        connection.send_request("GET", "/", "a", {}, end_stream=rest[0])
    elif name == "reset":
        connection.reset(rest[0], 8)
    elif name == "consume":
        connection.consume(*rest)
    else:
        plain = {"pause": connection.pause_writing, "resume": connection.resume_writing, "goaway": connection.goaway}
        plain |= {"drain": connection.drain, "ping": connection.ping, "take": connection.take}
        if name in plain:
            plain[name]()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.booleans(), st.lists(MOVES, max_size=40))
def test_nothing_that_comes_raises(client: bool, moves: list[tuple[Any, ...]]) -> None:
    scripted = make_client() if client else make_server()
    for move in moves:
        scripted.connection.receive(bytes_of(scripted, move))
        act(scripted, move)
    connection = scripted.connection
    assert connection.over == (scripted.calls[-1:] != [] and "error" in scripted.names())
    assert scripted.names().count("error") <= 1
    if connection.over:
        assert scripted.calls[-1][0] == "error"
        assert connection.open_streams == 0
    assert connection.open_streams <= 100
    scripted.written()  # whole frames, whatever happened


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200), st.booleans())
def test_nor_do_bytes_of_nonsense(data: bytes, greeted: bool) -> None:
    for scripted in (make_server(), make_client()) if greeted else (Scripted(client=False), Scripted(client=True)):
        scripted.connection.receive((b"" if greeted or scripted.connection._client else PREFACE) + data)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(MOVES, max_size=20), st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_how_the_bytes_are_cut_changes_nothing(moves: list[tuple[Any, ...]], cuts: list[int]) -> None:
    whole, cut = make_server(), make_server()
    data = b"".join(bytes_of(whole, move) for move in moves)
    whole.connection.receive(data)
    position = turn = 0
    while position < len(data):
        step = cuts[turn % len(cuts)]
        cut.connection.receive(data[position : position + step])
        position, turn = position + step, turn + 1
    assert joined(whole.calls) == joined(cut.calls)


def joined(calls: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Data that comes in pieces counts as one, if nothing came between but other data."""
    found: list[tuple[Any, ...]] = []
    for call in calls:
        if call[0] == "data" and found and found[-1][:2] == call[:2] and not found[-1][3]:
            found[-1] = (*call[:2], found[-1][2] + call[2], call[3])
        else:
            found.append(call)
    return found


class Echo(Recorder):
    """A server that sends back what it got, and credits it when it has gone out."""

    connection: Http2Connection

    def on_request(self, stream_id: int, head: Any, end_stream: bool) -> None:
        self.connection.send_response(stream_id, 200, head.fields, end_stream)

    def on_data(self, stream_id: int, data: bytes, end_stream: bool) -> None:
        self.connection.send_data(stream_id, data, end_stream)
        self.connection.consume(stream_id, len(data))

    def on_trailers(self, stream_id: int, found: Any) -> None:
        self.connection.send_trailers(stream_id, found)


class Collector(Recorder):
    """A client that keeps the bodies of the answers."""

    connection: Http2Connection

    def __init__(self) -> None:
        super().__init__()
        self.bodies: dict[int, bytes] = {}
        self.ended: set[int] = set()

    def on_data(self, stream_id: int, data: bytes, end_stream: bool) -> None:
        self.bodies[stream_id] = self.bodies.get(stream_id, b"") + data
        self.connection.consume(stream_id, len(data))
        if end_stream:
            self.ended.add(stream_id)

    def on_trailers(self, stream_id: int, found: Any) -> None:
        self.ended.add(stream_id)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.integers(0, 30_000), st.booleans()), min_size=1, max_size=12),
    st.integers(1, 70_000),
    st.integers(1, 20_000),
    st.sampled_from([7, 100, 3_000, 70_000]),
    st.randoms(use_true_random=False),
)
def test_every_body_arrives_whole_whatever_the_windows(
    bodies: list[tuple[int, bool]], window: int, other_window: int, most: int, dice: Any
) -> None:
    collector, echo = Collector(), Echo()
    client = collector.connection = Http2Connection(
        collector, client=True, clock=Clock(), settings=Http2Settings(initial_stream_window_bytes=window, connection_window_bytes=65_535)
    )
    server = echo.connection = Http2Connection(
        echo, client=False, clock=Clock(), settings=Http2Settings(initial_stream_window_bytes=other_window, connection_window_bytes=70_000)
    )
    sent: dict[int, bytes] = {}
    for number, (size, trailers) in enumerate(bodies):
        stream_id = client.send_request("POST", f"/{number}", "a", fields(x_n=str(number)), end_stream=False)
        assert stream_id is not None
        sent[stream_id] = body = bytes([number]) * size
        for at in range(0, size, 9_000):
            client.send_data(stream_id, body[at : at + 9_000], end_stream=False)
        if trailers:
            client.send_trailers(stream_id, fields(x_end="1"))
        else:
            client.send_data(stream_id, b"", end_stream=True)
    quiet = 0
    while quiet < 2:
        up, down = client.take(), server.take()
        quiet = 0 if up or down else quiet + 1
        for data, receiver in ((up, server), (down, client)):
            at = 0
            while at < len(data):
                step = dice.randint(1, most)
                receiver.receive(data[at : at + step])
                at += step
    assert not client.over
    assert not server.over
    assert collector.ended == set(sent)
    assert {stream_id: collector.bodies.get(stream_id, b"") for stream_id in sent} == sent
    assert client.open_streams == server.open_streams == 0


@pytest.mark.parametrize("kind", ["requests", "reset requests", "unique heads"])
def test_a_connection_that_lives_long_does_not_grow(kind: str) -> None:
    server = make_server()
    connection = server.connection
    server.handler.calls = Forgetful()

    def spin(first: int, count: int) -> None:
        for number in range(first, first + count):
            stream_id = 2 * number + 1
            pairs = [*GET, ("x-n", str(number))] if kind == "unique heads" else GET
            connection.receive(server.headers(stream_id, pairs))
            if kind == "reset requests":
                connection.reset(stream_id, 8)
            connection.send_response(stream_id, 200, fields(x_n=str(number)), end_stream=True)
            connection.take()

    spin(0, 3_000)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        spin(3_000, 3_000)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 300_000


class Forgetful(list[Any]):
    def append(self, item: Any) -> None:
        """Nothing is kept."""
