"""Frames that must end the connection, each with the code of RFC 9113 §4 to §6, and those that must not."""

import pytest
from scripted_peer import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GET,
    GOAWAY,
    HEADERS,
    OK,
    PADDED,
    PING,
    POST,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    Scripted,
    fields,
    frame,
    make_server,
    rst,
    settings,
    window_update,
)

from mesh.sidecar.wire.http2 import ErrorCode
from mesh.sidecar.wire.http2.frames import PREFACE

NO_ERROR, PROTOCOL, _, FLOW_CONTROL, _, STREAM_CLOSED, FRAME_SIZE, REFUSED, _, COMPRESSION, *_ = range(14)

FAULTS = {
    "HEADERS on an even stream": (lambda s: s.headers(2, GET), PROTOCOL),
    "HEADERS on stream 0": (lambda s: s.headers(0, GET), PROTOCOL),
    "a stream below the last": (lambda s: s.headers(5, GET) + s.headers(3, GET), PROTOCOL),
    "DATA on stream 0": (lambda s: frame(DATA, 0, 0, b"x"), PROTOCOL),
    "DATA on an idle stream": (lambda s: frame(DATA, 0, 1, b"x"), PROTOCOL),
    "RST_STREAM on an idle stream": (lambda s: rst(1), PROTOCOL),
    "RST_STREAM on stream 0": (lambda s: rst(0), PROTOCOL),
    "RST_STREAM too short": (lambda s: s.headers(1, POST, END_HEADERS) + frame(RST_STREAM, 0, 1, b"abc"), FRAME_SIZE),
    "WINDOW_UPDATE on an idle stream": (lambda s: window_update(1, 1), PROTOCOL),
    "WINDOW_UPDATE of 0": (lambda s: window_update(0, 0), PROTOCOL),
    "WINDOW_UPDATE of 0 on a stream": (lambda s: s.headers(1, POST, END_HEADERS) + window_update(1, 0), PROTOCOL),
    "WINDOW_UPDATE too short": (lambda s: frame(WINDOW_UPDATE, 0, 0, b"abc"), FRAME_SIZE),
    "WINDOW_UPDATE above the most": (lambda s: window_update(0, 2**31 - 1), FLOW_CONTROL),
    "a frame too long": (lambda s: s.headers(1, POST, END_HEADERS) + frame(DATA, 0, 1, bytes(16_385)), FRAME_SIZE),
    "a frame too long of no known type": (lambda s: frame(99, 0, 0, bytes(16_385)), FRAME_SIZE),
    "SETTINGS on a stream": (lambda s: frame(SETTINGS, 0, 1), PROTOCOL),
    "SETTINGS of 5 bytes": (lambda s: frame(SETTINGS, 0, 0, b"12345"), FRAME_SIZE),
    "SETTINGS acknowledged with content": (lambda s: frame(SETTINGS, ACK, 0, b"123456"), FRAME_SIZE),
    "ENABLE_PUSH of 2": (lambda s: settings(enable_push=2), PROTOCOL),
    "INITIAL_WINDOW_SIZE above the most": (lambda s: settings(initial_window_size=2**31), FLOW_CONTROL),
    "MAX_FRAME_SIZE too small": (lambda s: settings(max_frame_size=16_383), PROTOCOL),
    "MAX_FRAME_SIZE too large": (lambda s: settings(max_frame_size=2**24), PROTOCOL),
    "ENABLE_CONNECT_PROTOCOL of 2": (lambda s: settings(connect=2), PROTOCOL),
    "ENABLE_CONNECT_PROTOCOL taken back": (lambda s: settings(connect=1) + settings(connect=0), PROTOCOL),
    "PUSH_PROMISE from a client": (lambda s: frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4) + s.block(GET)), PROTOCOL),
    "CONTINUATION alone": (lambda s: frame(CONTINUATION, END_HEADERS, 1, s.block(GET)), PROTOCOL),
    "CONTINUATION after the end of a block": (lambda s: s.headers(1, GET) + frame(CONTINUATION, END_HEADERS, 1), PROTOCOL),
    "PING inside a header block": (lambda s: s.headers(1, GET, END_STREAM) + frame(PING, payload=bytes(8)), PROTOCOL),
    "an unknown frame inside a header block": (lambda s: s.headers(1, GET, END_STREAM) + frame(77), PROTOCOL),
    "HEADERS inside a header block": (lambda s: s.headers(1, GET, END_STREAM) + s.headers(3, GET), PROTOCOL),
    "CONTINUATION of another stream": (lambda s: s.headers(1, GET, END_STREAM) + frame(CONTINUATION, END_HEADERS, 3), PROTOCOL),
    "PING on a stream": (lambda s: frame(PING, 0, 1, bytes(8)), PROTOCOL),
    "PING of 6 bytes": (lambda s: frame(PING, payload=bytes(6)), FRAME_SIZE),
    "GOAWAY on a stream": (lambda s: frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL),
    "GOAWAY too short": (lambda s: frame(GOAWAY, 0, 0, bytes(7)), FRAME_SIZE),
    "PRIORITY on stream 0": (lambda s: frame(PRIORITY, 0, 0, bytes(5)), PROTOCOL),
    "PRIORITY of 4 bytes": (lambda s: frame(PRIORITY, 0, 1, bytes(4)), FRAME_SIZE),
    "DATA with more padding than payload": (
        lambda s: s.headers(1, POST, END_HEADERS) + frame(DATA, PADDED, 1, b"\x05abcd"),
        PROTOCOL,
    ),
    "DATA padded without a length": (lambda s: s.headers(1, POST, END_HEADERS) + frame(DATA, PADDED, 1), PROTOCOL),
    "HEADERS with more padding than payload": (lambda s: frame(HEADERS, PADDED | END_HEADERS, 1, b"\xff" + s.block(GET)), PROTOCOL),
    "HEADERS too short for its priority": (lambda s: frame(HEADERS, WITH_PRIORITY | END_HEADERS, 1, b"123"), FRAME_SIZE),
    "an index without an entry": (lambda s: frame(HEADERS, END_HEADERS, 1, b"\xc6"), COMPRESSION),
    "index 0": (lambda s: frame(HEADERS, END_HEADERS, 1, b"\x80"), COMPRESSION),
    "a header block cut short": (lambda s: frame(HEADERS, END_HEADERS, 1, s.block(GET)[:-1]), COMPRESSION),
    "a table larger than allowed": (lambda s: frame(HEADERS, END_HEADERS, 1, b"\x3f\xe2\x1f" + s.block(GET)), COMPRESSION),
    "a table size behind a field": (lambda s: frame(HEADERS, END_HEADERS, 1, s.block(GET) + b"\x20"), COMPRESSION),
    "an integer without end": (lambda s: frame(HEADERS, END_HEADERS, 1, b"\x00\x7f" + b"\xff" * 20), COMPRESSION),
    "HEADERS on a stream that has ended": (
        lambda s: s.headers(1, GET) + s.answer(1) + s.headers(1, GET),
        STREAM_CLOSED,
    ),
    "DATA on a stream that has ended": (lambda s: s.headers(1, GET) + s.answer(1) + frame(DATA, 0, 1, b"x"), STREAM_CLOSED),
    "DATA on a stream that the peer reset": (lambda s: s.headers(1, POST, END_HEADERS) + rst(1) + frame(DATA, 0, 1, b"x"), STREAM_CLOSED),
}


class Answering(Scripted):
    def answer(self, stream_id: int) -> bytes:
        """Answered as soon as it is asked: nothing to send."""
        on_request = self.handler.on_request

        def answer_at_once(stream_id: int, head: object, end_stream: bool) -> None:
            on_request(stream_id, head, end_stream)
            self.connection.send_response(stream_id, 204, {}, end_stream=True)

        self.handler.on_request = answer_at_once
        return b""


def answering(**values: int) -> Answering:
    scripted = Answering(client=False, **values)
    scripted.send(PREFACE, settings(), frame(SETTINGS, ACK))
    return scripted


@pytest.mark.parametrize("name", FAULTS)
def test_a_frame_against_the_rules_ends_the_connection_with_its_code(name: str) -> None:
    build, code = FAULTS[name]
    server = answering()
    assert server.fault(build(server)) == code


@pytest.mark.parametrize("name", FAULTS)
def test_so_it_does_when_it_comes_byte_by_byte(name: str) -> None:
    build, code = FAULTS[name]
    server = answering()
    data = build(server)
    written = [found for at in range(len(data)) for found in server.send(data[at : at + 1])]
    assert [found.code for found in written if found.kind == GOAWAY] == [code]


@pytest.mark.parametrize(
    ("name", "first", "code"),
    [
        ("HTTP/1", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", PROTOCOL),
        ("a preface cut wrong", PREFACE[:20] + b"x", PROTOCOL),
        ("no SETTINGS", PREFACE + frame(PING, payload=bytes(8)), PROTOCOL),
        ("an acknowledgement first", PREFACE + frame(SETTINGS, ACK), PROTOCOL),
        ("an unknown frame first", PREFACE + frame(99), PROTOCOL),
        ("a request first", PREFACE + frame(HEADERS, END_HEADERS, 1, b"\x82\x84\x86\x41\x01a"), PROTOCOL),
    ],
)
def test_a_connection_begins_with_the_preface_and_settings(name: str, first: bytes, code: int) -> None:
    assert Scripted(client=False).fault(first) == code


def test_the_greeting_is_settings_and_a_window() -> None:
    written = Scripted(client=False, connection_window_bytes=100_000).written()
    assert [(found.kind, found.flags, found.stream_id) for found in written] == [(SETTINGS, 0, 0), (WINDOW_UPDATE, 0, 0)]
    assert written[1].payload == (100_000 - 65_535).to_bytes(4, "big")


def test_settings_are_acknowledged_and_pings_answered_with_what_they_held(server: Scripted) -> None:
    assert server.send(settings(max_frame_size=20_000), frame(PING, payload=b"datadata")) == [
        (SETTINGS, ACK, 0, b""),
        (PING, ACK, 0, b"datadata"),
    ]
    assert server.send(frame(PING, ACK, 0, bytes(8))) == []


def test_our_own_ping_is_counted_until_it_is_answered(server: Scripted) -> None:
    server.connection.ping(b"abcdefgh")
    assert server.connection.pings_unanswered == 1
    assert server.written() == [(PING, 0, 0, b"abcdefgh")]
    server.send(frame(PING, ACK, 0, b"abcdefgh"))
    assert server.connection.pings_unanswered == 0


def test_what_is_unknown_is_passed_over(server: Scripted) -> None:
    assert server.send(frame(99, 0xFF, 7, b"??"), frame(SETTINGS, 0, 0, b"\x99\x99\x00\x00\x00\x01"), server.headers(1, GET)) == [
        (SETTINGS, ACK, 0, b"")
    ]
    server.send(rst(1, 0xFFFF))
    assert server.calls[-1] == ("reset", 1, 0xFFFF)


def test_the_reserved_bit_of_a_stream_id_is_passed_over(server: Scripted) -> None:
    server.send(frame(HEADERS, END_HEADERS | END_STREAM, 1 | 1 << 31, server.block(GET)))
    assert server.calls[0][:2] == ("request", 1)


def test_undefined_flags_are_passed_over(server: Scripted) -> None:
    server.send(server.headers(1, GET, END_HEADERS | END_STREAM | 0x40 | 0x80 | 0x02), frame(PING, 0xFE, 0, bytes(8)))
    assert server.names() == ["request"]


def test_priority_changes_nothing_even_on_an_idle_stream(server: Scripted) -> None:
    block = bytes([0x80, 0, 0, 0, 16]) + server.block(GET)
    server.send(frame(PRIORITY, 0, 9, bytes(5)), frame(HEADERS, END_HEADERS | END_STREAM | WITH_PRIORITY, 1, block))
    assert server.names() == ["request"]


def test_padding_is_taken_off(server: Scripted) -> None:
    block = b"\x04" + server.block(POST) + bytes(4)
    server.send(frame(HEADERS, PADDED | END_HEADERS, 1, block), frame(DATA, PADDED | END_STREAM, 1, b"\x03hello\0\0\0"))
    assert server.calls[1] == ("data", 1, b"hello", True)


def test_a_header_block_may_come_in_many_frames(server: Scripted) -> None:
    block = server.block([*GET, ("x-long", "v" * 300)])
    pieces = [block[at : at + 20] for at in range(0, len(block), 20)]
    data = frame(HEADERS, END_STREAM, 1, pieces[0])
    data += b"".join(frame(CONTINUATION, 0, 1, piece) for piece in pieces[1:]) + frame(CONTINUATION, END_HEADERS, 1)
    server.send(data)
    assert server.calls[0][2].fields["x-long"][0] == "v" * 300
    assert server.calls[0][3] is True


def test_data_is_handed_on_before_its_frame_is_whole(server: Scripted) -> None:
    server.send(server.headers(1, POST, END_HEADERS))
    whole = frame(DATA, END_STREAM, 1, b"abcdef")
    for at in range(len(whole)):
        server.send(whole[at : at + 1])
    assert [call[2:] for call in server.calls[1:]] == [(bytes([byte]), byte == ord("f")) for byte in b"abcdef"]


def test_nothing_is_called_after_the_connection_has_failed(server: Scripted) -> None:
    server.fault(server.headers(2, GET))
    before = len(server.calls)
    assert server.send(server.headers(3, GET)) == []
    assert len(server.calls) == before
    assert server.connection.send_data(1, b"x", end_stream=True) == 0
    assert server.connection.open_streams == 0


def test_the_goaway_of_a_failure_names_the_last_stream_that_was_taken(server: Scripted) -> None:
    server.send(server.headers(1, GET), server.headers(7, GET))
    goaway = server.send(frame(DATA, 0, 0))[-1]
    assert (goaway.kind, goaway.payload[:4], goaway.code) == (GOAWAY, (7).to_bytes(4, "big"), ErrorCode.PROTOCOL_ERROR)


# --- as client


CLIENT_FAULTS = {
    "PUSH_PROMISE": (frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4)), PROTOCOL),
    "a server that allows itself to push": (settings(enable_push=1), PROTOCOL),
    "HEADERS on a stream of its own": (frame(HEADERS, END_HEADERS, 2, b"\x88"), PROTOCOL),
    "HEADERS on a stream not opened": (frame(HEADERS, END_HEADERS, 3, b"\x88"), PROTOCOL),
    "DATA on a stream not opened": (frame(DATA, 0, 3, b"x"), PROTOCOL),
    "WINDOW_UPDATE on a stream not opened": (window_update(3, 1), PROTOCOL),
    "RST_STREAM on a stream not opened": (rst(3), PROTOCOL),
}


@pytest.mark.parametrize("name", CLIENT_FAULTS)
def test_a_server_against_the_rules_ends_the_connection(client: Scripted, name: str) -> None:
    data, code = CLIENT_FAULTS[name]
    assert client.connection.send_request("GET", "/", "a", {}, end_stream=True) == 1
    client.written()
    assert client.fault(data) == code


def test_a_server_that_speaks_http1_is_refused() -> None:
    assert Scripted(client=True).fault(b"HTTP/1.1 400 Bad Request\r\n\r\n") == FRAME_SIZE


def test_a_request_is_the_preface_and_a_block_without_a_table(client: Scripted) -> None:
    stream_id = client.connection.send_request(
        "POST", "/cart?a=1", "reviews:9080", fields(host="no", connection="x", te="trailers", x_a="b"), end_stream=False, scheme="https"
    )
    (head,) = client.written()
    assert (head.kind, head.flags, head.stream_id, stream_id) == (HEADERS, END_HEADERS, 1, 1)
    assert head.payload[0] == 0x20
    assert client.decoded(head) == [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "reviews:9080"),
        (":path", "/cart?a=1"),
        ("te", "trailers"),
        ("x-a", "b"),
    ]


def test_an_answer_comes_back(client: Scripted) -> None:
    client.connection.send_request("GET", "/", "a", {}, end_stream=True)
    client.send(
        client.headers(1, [(":status", "103"), ("link", "x")], END_HEADERS),
        client.headers(1, [*OK, ("content-length", "3")], END_HEADERS),
        frame(DATA, 0, 1, b"abc"),
        client.headers(1, [("grpc-status", "0")]),
    )
    assert client.calls == [
        ("response", 1, 103, {"link": "x"}, False),
        ("response", 1, 200, {"content-length": "3"}, False),
        ("data", 1, b"abc", False),
        ("trailers", 1, {"grpc-status": "0"}),
    ]
    assert client.connection.open_streams == 0


def test_window_updates_above_the_most_reset_their_stream() -> None:
    server = make_server()
    server.send(server.headers(1, POST, END_HEADERS))
    assert server.stream_fault(1, window_update(1, 2**31 - 1)) == FLOW_CONTROL
    assert server.calls[-1] == ("reset", 1, FLOW_CONTROL)
