"""Hostile HTTP/2 clients on real sockets: what is malformed never reaches an upstream, and floods end their connection only."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hpack
import pytest

from mesh.sidecar.wire.http2.frames import PREFACE

sys.path.insert(0, str(Path(__file__).parent / "wire" / "http2"))  # test folders are no packages

from scripted_peer import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GET,
    GOAWAY,
    HEADERS,
    PING,
    POST,
    RST_STREAM,
    SETTINGS,
    Frame,
    frame,
    rst,
    settings,
    window_update,
)

GIVE_UP_SECONDS = 5.0
PROTOCOL_ERROR, CALM = 1, 11


class Hostile:
    """A connection on which this test writes what it likes."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.encoder = hpack.Encoder()
        client.send(PREFACE + settings())

    def headers(self, stream_id: int, pairs: list[tuple[str, str]], flags: int = END_HEADERS | END_STREAM) -> bytes:
        return frame(HEADERS, flags, stream_id, self.encoder.encode(pairs))

    async def next(self) -> Frame:
        reader = self.client.reader
        head = await reader.readexactly(9)
        payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
        return Frame(head[3], head[4], int.from_bytes(head[5:9], "big"), payload)

    async def until(self, wanted: Callable[[Frame], bool]) -> Frame:
        async with asyncio.timeout(GIVE_UP_SECONDS):
            while not wanted(found := await self.next()):
                pass
            return found

    async def ending(self) -> int:
        """Reads to the end; the code of the GOAWAY (or of none, where the reset of a socket that was written to came first)."""
        code = CALM
        async with asyncio.timeout(GIVE_UP_SECONDS):
            try:
                while True:
                    found = await self.next()
                    code = found.code if found.kind == GOAWAY else code
            except (asyncio.IncompleteReadError, ConnectionError):
                return code


async def hostile(bench: Any) -> tuple[Hostile, Any]:
    upstream = await bench.upstream()
    await bench.forward_to(upstream.port)
    return Hostile(await bench.client()), upstream


def but(name: str, value: str) -> list[tuple[str, str]]:
    return [(found, value if found == name else old) for found, old in GET]


MALFORMED = {
    "connection": [*GET, ("connection", "x-a")],
    "transfer-encoding": [*POST, ("transfer-encoding", "chunked")],
    "te": [*GET, ("te", "gzip")],
    "CRLF in a value": [*GET, ("x-a", "b\r\nx-admin: yes")],
    "LF in :path": but(":path", "/\nx-admin: yes"),
    "a space in :path": but(":path", "/ HTTP/1.1"),
    ":path without a slash": but(":path", "admin"),
    ":method with a space": but(":method", "GET /admin HTTP/1.1\r\n"),
    ":scheme that is a URL": but(":scheme", "http://x/?"),
    ":authority with a path": but(":authority", "a/admin"),
    ":authority with userinfo": but(":authority", "u@a"),
    "host that differs": [*GET, ("host", "b")],
    "two content-lengths": [*POST, ("content-length", "1"), ("content-length", "2")],
    "content-length and no DATA": [*POST, ("content-length", "5")],
    "an upper-case name": [*GET, ("X-A", "b")],
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_request_is_reset_and_no_upstream_hears_of_it(bench: Any, name: str) -> None:
    peer, upstream = await hostile(bench)
    peer.client.send(peer.headers(1, MALFORMED[name]) + peer.headers(3, GET))
    reset = await peer.until(lambda found: found.kind == RST_STREAM)
    assert (reset.stream_id, reset.code) == (1, PROTOCOL_ERROR)
    answer = await peer.until(lambda found: found.kind == HEADERS)
    assert answer.stream_id == 3
    assert [seen.path for seen in upstream.seen] == ["/"]


@pytest.mark.parametrize(("length", "body"), [("3", b"abcdef"), ("9", b"abc"), ("0", b"GET /admin HTTP/1.1\r\nhost: a\r\n\r\n")])
async def test_a_body_that_lies_about_its_length_is_never_a_request(bench: Any, length: str, body: bytes) -> None:
    peer, upstream = await hostile(bench)
    peer.client.send(peer.headers(1, [*POST, ("content-length", length)], END_HEADERS) + frame(DATA, END_STREAM, 1, body))
    reset = await peer.until(lambda found: found.kind == RST_STREAM)
    assert (reset.stream_id, reset.code) == (1, PROTOCOL_ERROR)
    peer.client.send(peer.headers(3, GET))
    assert (await peer.until(lambda found: found.kind == HEADERS)).stream_id == 3
    assert [seen.path for seen in upstream.seen] == ["/"]


async def test_rapid_resets_end_the_connection_and_no_other(bench: Any) -> None:
    peer, _ = await hostile(bench)
    other = Hostile(await bench.client())
    peer.client.send(b"".join(peer.headers(stream_id, GET) + rst(stream_id) for stream_id in range(1, 2_001, 2)))
    assert await peer.ending() == CALM
    other.client.send(other.headers(1, GET))
    assert (await other.until(lambda found: found.kind == HEADERS)).stream_id == 1


FLOODS = {
    "PING": frame(PING, payload=bytes(8)),
    "SETTINGS": frame(SETTINGS),
    "WINDOW_UPDATE": window_update(0, 1),
    "unknown": frame(0xBB),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_ends_the_connection(bench: Any, name: str) -> None:
    peer, _ = await hostile(bench)
    peer.client.send(FLOODS[name] * 20_000)
    assert await peer.ending() == CALM


async def test_continuations_without_end_end_the_connection(bench: Any) -> None:
    peer, upstream = await hostile(bench)
    peer.client.send(peer.headers(1, GET, END_STREAM) + frame(9, 0, 1, bytes(16_000)) * 10)
    assert await peer.ending() == CALM
    assert upstream.seen == []


async def test_a_head_too_large_is_answered_with_431(bench: Any) -> None:
    peer, upstream = await hostile(bench)
    peer.client.send(peer.headers(1, [*GET, *[(f"x-{number}", "v") for number in range(200)]]))
    answer = await peer.until(lambda found: found.kind == HEADERS)
    assert (":status", "431") in [(str(name), str(value)) for name, value in hpack.Decoder().decode(answer.payload)]
    assert upstream.seen == []
