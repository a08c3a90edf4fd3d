"""A connection on one side, a scripted peer on the other: frames written and read by hand, header blocks by the ``hpack`` library."""

import struct
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import hpack

from mesh.sidecar.headers import Headers
from mesh.sidecar.wire.http2 import Http2Connection, Http2Settings
from mesh.sidecar.wire.http2.frames import PREFACE

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, WITH_PRIORITY, ACK = 1, 4, 8, 0x20, 1

GET = [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "reviews:9080")]
POST = [(":method", "POST"), *GET[1:]]
OK = [(":status", "200")]


class Frame(NamedTuple):
    kind: int
    flags: int
    stream_id: int
    payload: bytes

    @property
    def code(self) -> int:
        return int.from_bytes(self.payload[4:8] if self.kind == GOAWAY else self.payload[:4], "big")


def frame(kind: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBL", kind, flags, stream_id) + payload


def frames_of(data: bytes) -> list[Frame]:
    found = []
    data = data.removeprefix(PREFACE)
    while data:
        length = int.from_bytes(data[:3], "big")
        kind, flags, stream_id = struct.unpack(">BBL", data[3:9])
        assert len(data) >= 9 + length, "a frame cut short"
        found.append(Frame(kind, flags, stream_id, data[9 : 9 + length]))
        data = data[9 + length :]
    return found


def settings(**values: int) -> bytes:
    names = ["", "header_table_size", "enable_push", "max_concurrent_streams", "initial_window_size", "max_frame_size", "", "", "connect"]
    return frame(SETTINGS, payload=b"".join(struct.pack(">HL", names.index(name), value) for name, value in values.items()))


def window_update(stream_id: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def rst(stream_id: int, code: int = 8) -> bytes:
    return frame(RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


def fields(**values: str) -> dict[str, Any]:
    return Headers((name.replace("_", "-"), value) for name, value in values.items()).fields


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Recorder:
    """What the connection called, in order: (name, stream, …)."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def on_request(self, stream_id: int, head: Any, end_stream: bool) -> None:
        self.calls.append(("request", stream_id, head, end_stream))

    def on_response(self, stream_id: int, status: int, found: Any, end_stream: bool) -> None:
        self.calls.append(("response", stream_id, status, {name: field[0] for name, field in found.items()}, end_stream))

    def on_data(self, stream_id: int, data: bytes, end_stream: bool) -> None:
        self.calls.append(("data", stream_id, data, end_stream))

    def on_trailers(self, stream_id: int, found: Any) -> None:
        self.calls.append(("trailers", stream_id, {name: field[0] for name, field in found.items()}))

    def on_head_too_large(self, stream_id: int, details: str) -> None:
        self.calls.append(("too large", stream_id))

    def on_reset(self, stream_id: int, code: int) -> None:
        self.calls.append(("reset", stream_id, int(code)))

    def on_window(self, stream_id: int) -> None:
        self.calls.append(("window", stream_id))

    def on_streams_available(self) -> None:
        self.calls.append(("available",))

    def on_goaway(self, last_stream_id: int, code: int) -> None:
        self.calls.append(("goaway", last_stream_id, code))

    def on_connection_error(self, code: int, reason: str) -> None:
        self.calls.append(("error", int(code)))


class Scripted:
    """The connection under test, its handler, and the peer that this test plays."""

    def __init__(self, *, client: bool, **settings_values: Any) -> None:
        self.clock = Clock()
        self.handler = Recorder()
        self.connection = Http2Connection(
            self.handler, client=client, clock=self.clock, settings=replace(Http2Settings(), **settings_values)
        )
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder()
        self._answer = 0

    @property
    def calls(self) -> list[tuple[Any, ...]]:
        return self.handler.calls

    def names(self) -> list[str]:
        return [call[0] for call in self.calls]

    def send(self, *data: bytes) -> list[Frame]:
        """Bytes to the connection; answers the frames it wrote."""
        self.connection.receive(b"".join(data))
        return self.written()

    def written(self) -> list[Frame]:
        return frames_of(self.connection.take())

    def block(self, pairs: Iterable[tuple[str, str]]) -> bytes:
        return self.encoder.encode(list(pairs))

    def headers(self, stream_id: int, pairs: Iterable[tuple[str, str]], flags: int = END_HEADERS | END_STREAM) -> bytes:
        return frame(HEADERS, flags, stream_id, self.block(pairs))

    def decoded(self, written: Frame) -> list[tuple[str, str]]:
        return [(str(name), str(value)) for name, value in self.decoder.decode(written.payload)]

    def become_stateless(self) -> None:
        """Two requests, and the peer gives up its table because the server asks for it."""
        pairs = [(":method", "GET"), (":path", "/first"), (":scheme", "http"), (":authority", "a")]
        written = self.send(self.headers(1, pairs), rst(1), self.headers(3, pairs), rst(3))
        assert (SETTINGS, 0, 0, b"\0\x01\0\0\0\0") in written
        self.send(frame(SETTINGS, ACK))
        self.encoder.header_table_size = 0
        self.send(self.headers(5, pairs), rst(5))
        self.calls.clear()

    def fault(self, *data: bytes) -> int:
        """Send; the connection must end, and its GOAWAY has this code."""
        written = self.send(*data)
        goaways = [found for found in written if found.kind == GOAWAY]
        assert goaways, f"no GOAWAY in {written}, calls {self.calls}"
        assert self.connection.over
        assert self.calls[-1] == ("error", goaways[-1].code)
        return goaways[-1].code

    def stream_fault(self, stream_id: int, *data: bytes) -> int:
        """Send; the stream must be reset and the connection go on."""
        written = self.send(*data)
        resets = [found for found in written if found.kind == RST_STREAM and found.stream_id == stream_id]
        assert resets, f"no RST_STREAM in {written}, calls {self.calls}"
        assert not self.connection.over
        assert [found.kind for found in self.send(frame(PING, payload=b"12345678"))] == [PING]
        return resets[0].code


def make_server(**settings_values: Any) -> Scripted:
    """Past the greetings of both sides."""
    scripted = Scripted(client=False, **settings_values)
    scripted.send(PREFACE, settings(), frame(SETTINGS, ACK))
    return scripted


def make_client(**settings_values: Any) -> Scripted:
    scripted = Scripted(client=True, **settings_values)
    greeting = scripted.connection.take()
    assert greeting.startswith(PREFACE)
    scripted.encoder.header_table_size = 0
    scripted.send(settings(), frame(SETTINGS, ACK))
    return scripted
