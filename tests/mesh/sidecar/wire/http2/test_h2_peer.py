"""The ``h2`` library as the peer, in each role: it checks what we say as strictly as it can."""

from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import pytest
from scripted_peer import Clock, Recorder, fields

from mesh.sidecar.wire.http2 import Http2Connection, Http2Settings

GET = [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "a")]
POST = [(":method", "POST"), *GET[1:]]


class Pair:
    """Ours and theirs, and the bytes between them."""

    def __init__(self, *, client: bool, table: int = 4096, window: int = 65_535, **settings: Any) -> None:
        self.handler = Recorder()
        self.ours = Http2Connection(self.handler, client=client, clock=Clock(), settings=Http2Settings(**settings))
        self.theirs = h2.connection.H2Connection(h2.config.H2Configuration(client_side=not client, header_encoding="utf-8"))
        self.theirs.local_settings = h2.settings.Settings(
            client=not client,
            initial_values={
                h2.settings.SettingCodes.HEADER_TABLE_SIZE: table,
                h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window,
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 100,
            },
        )
        self.theirs.initiate_connection()
        self.events: list[Any] = []
        self.exchange()

    def exchange(self) -> list[Any]:
        """Until both are silent; answers what the library saw."""
        before = len(self.events)
        while True:
            up, down = self.ours.take(), self.theirs.data_to_send()
            if not up and not down:
                return self.events[before:]
            if up:
                self.events += self.theirs.receive_data(up)
            if down:
                self.ours.receive(down)
            assert not self.ours.over, self.handler.calls


def of(events: list[Any], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.parametrize("table", [0, 4096, 65_536])
def test_a_library_client_asks_and_is_answered(table: int) -> None:
    pair = Pair(client=False, table=table)
    for number in range(6):
        stream_id = pair.theirs.get_next_available_stream_id()
        pair.theirs.send_headers(stream_id, [*POST, ("x-n", str(number)), ("cookie", "a=1"), ("cookie", "b=2")])
        pair.theirs.send_data(stream_id, b"question")
        pair.theirs.send_headers(stream_id, [("x-sum", "8")], end_stream=True)
        pair.exchange()
        assert [call[0] for call in pair.handler.calls[-3:]] == ["request", "data", "trailers"]
        head = pair.handler.calls[-3][2]
        assert (head.fields["x-n"][0], head.fields["cookie"][0]) == (str(number), "a=1; b=2")
        pair.ours.send_response(stream_id, 103, fields(link="x"), end_stream=False)
        pair.ours.send_response(stream_id, 200, fields(content_type="text/plain", x_n=str(number)), end_stream=False)
        pair.ours.send_data(stream_id, b"answer", end_stream=False)
        pair.ours.send_trailers(stream_id, fields(grpc_status="0"))
        events = pair.exchange()
        assert len(of(events, h2.events.InformationalResponseReceived)) == 1
        (response,) = of(events, h2.events.ResponseReceived)
        assert dict(response.headers)["x-n"] == str(number)
        assert of(events, h2.events.DataReceived)[0].data == b"answer"
        assert of(events, h2.events.TrailersReceived)[0].headers == [("grpc-status", "0")]
        assert of(events, h2.events.StreamEnded)
    assert pair.ours._reader.stateless
    assert pair.ours.open_streams == 0


@pytest.mark.parametrize("table", [0, 4096, 65_536])
def test_a_library_server_is_asked_and_answers(table: int) -> None:
    pair = Pair(client=True, table=table)
    for number in range(6):
        stream_id = pair.ours.send_request("POST", f"/{number}", "reviews:9080", fields(x_n=str(number)), end_stream=False)
        assert stream_id is not None
        pair.ours.send_data(stream_id, b"question", end_stream=True)
        events = pair.exchange()
        (request,) = of(events, h2.events.RequestReceived)
        assert dict(request.headers) == {
            ":method": "POST",
            ":scheme": "http",
            ":authority": "reviews:9080",
            ":path": f"/{number}",
            "x-n": str(number),
        }
        pair.theirs.send_headers(stream_id, [(":status", "200"), ("x-n", str(number)), ("content-length", "6")])
        pair.theirs.send_data(stream_id, b"answer", end_stream=True)
        pair.exchange()
        assert pair.handler.calls[-2:] == [
            ("response", stream_id, 200, {"x-n": str(number), "content-length": "6"}, False),
            ("data", stream_id, b"answer", True),
        ]
    assert pair.ours._reader.stateless


def test_large_bodies_pass_through_small_windows_both_ways() -> None:
    pair = Pair(client=False, window=1_000, initial_stream_window_bytes=2_000, connection_window_bytes=70_000)
    pair.theirs.send_headers(1, POST)
    pair.exchange()
    pair.ours.send_response(1, 200, {}, end_stream=False)
    got, received, sent = b"", b"", 0
    body = bytes(range(256)) * 500
    assert pair.ours.send_data(1, body, end_stream=True) > 0
    while len(got) < len(body) or len(received) < len(body):
        left = len(body) - sent
        room = min(pair.theirs.local_flow_control_window(1), pair.theirs.max_outbound_frame_size, left) if left else 0
        if room:
            pair.theirs.send_data(1, body[sent : sent + room], end_stream=room == left)
            sent += room
        for event in of(pair.exchange(), h2.events.DataReceived):
            got += event.data
            if event.flow_controlled_length:
                pair.theirs.acknowledge_received_data(event.flow_controlled_length, 1)
        pieces = [call[2] for call in pair.handler.calls if call[0] == "data"]
        pair.handler.calls.clear()
        for piece in pieces:
            received += piece
            pair.ours.consume(1, len(piece))
    assert got == body
    assert received == body


def test_resets_and_goaway_are_understood_by_the_library() -> None:
    pair = Pair(client=False)
    for stream_id in (1, 3):
        pair.theirs.send_headers(stream_id, POST)
    pair.exchange()
    pair.ours.reset(1, 8)
    pair.ours.drain()
    pair.ours.goaway()
    events = pair.exchange()
    assert (of(events, h2.events.StreamReset)[0].stream_id, of(events, h2.events.StreamReset)[0].error_code) == (1, 8)
    assert [event.last_stream_id for event in of(events, h2.events.ConnectionTerminated)] == [2**31 - 1, 3]


def test_a_ping_of_ours_is_answered_by_the_library() -> None:
    pair = Pair(client=True)
    pair.ours.ping()
    pair.exchange()
    assert pair.ours.pings_unanswered == 0


def test_a_library_client_that_resets_ends_the_stream() -> None:
    pair = Pair(client=False)
    pair.theirs.send_headers(1, POST)
    pair.theirs.reset_stream(1, 8)
    pair.exchange()
    assert [call[0] for call in pair.handler.calls] == ["request", "reset"]


def test_what_a_library_server_refuses_is_a_reset() -> None:
    pair = Pair(client=True)
    pair.ours.send_request("GET", "/", "a", {}, end_stream=True)
    pair.exchange()
    pair.theirs.reset_stream(1, 7)
    pair.exchange()
    assert pair.handler.calls == [("reset", 1, 7)]


def test_a_head_of_many_frames_is_read_by_the_library() -> None:
    pair = Pair(client=True)
    pair.ours.send_request("GET", "/", "a", fields(x_long="v" * 50_000), end_stream=True)
    (request,) = of(pair.exchange(), h2.events.RequestReceived)
    assert dict(request.headers)["x-long"] == "v" * 50_000


def test_the_library_says_nothing_against_extended_connect() -> None:
    pair = Pair(client=False)
    assert pair.theirs.remote_settings.enable_connect_protocol == 1
    pair.theirs.send_headers(1, [(":method", "CONNECT"), (":protocol", "websocket"), *GET[1:]])
    pair.exchange()
    assert pair.handler.calls[0][2].protocol == "websocket"
    with pytest.raises(h2.exceptions.ProtocolError):
        pair.theirs.send_data(3, b"x")
