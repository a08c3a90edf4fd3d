"""What a client may do on an HTTP/2 connection, with an HTTP/1 upstream behind."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from h2.errors import ErrorCodes

from mesh.model.listener import AccessLogFile, Codec
from mesh.policy.timeout import Timeout

sys.path.insert(0, str(Path(__file__).parent))  # test folders are no packages

from http2_peer import Message, Peer

Connect = Callable[[], Awaitable[Peer]]


@pytest.fixture
async def connect(bench: Any) -> AsyncIterator[Connect]:
    async with asyncio.TaskGroup() as tasks:
        peers: list[Peer] = []

        async def connect() -> Peer:
            client = await bench.client()
            peer = Peer(client.reader, client.writer, client=True)
            tasks.create_task(peer.run())
            peers.append(peer)
            return peer

        yield connect
        for peer in peers:
            peer.writer.close()


def last_log(bench: Any) -> str:
    bench.proxy.flush()
    return bench.log_path.read_text().splitlines()[-1]


async def test_many_streams_of_one_connection_are_requests_each(bench: Any, connect: Connect) -> None:
    upstream = await bench.upstream()
    await bench.forward_to(upstream.port)
    client = await connect()
    streams = [client.request(f"/{number}") for number in range(20)]
    for stream in streams:
        assert ((await client.whole(stream)).status, stream.body) == (200, b"hi")
    assert sorted(seen.path for seen in upstream.seen) == sorted(f"/{number}" for number in range(20))


@pytest.mark.parametrize("codec", [Codec.AUTO, Codec.HTTP2])
async def test_a_body_and_trailers_go_up_and_the_answer_comes_down(bench: Any, connect: Connect, codec: Codec) -> None:
    upstream = await bench.upstream(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    await bench.forward_to(upstream.port, codec=codec)
    client = await connect()
    stream = client.request("/", ("x-a", "1"), method="POST", ends=False)
    client.data(stream, b"abc")
    await asyncio.sleep(0.01)
    client.data(stream, b"def")
    client.trail(stream, ("x-trailer", "1"))
    assert ((await client.whole(stream)).status, stream.body) == (200, b"hello")
    seen = upstream.seen[0]
    assert (seen.method, seen.body, seen.headers["host"], seen.headers["x-a"]) == ("POST", b"abcdef", "reviews:9080", "1")


async def test_the_preface_may_come_byte_by_byte(bench: Any) -> None:
    await bench.forward_to((await bench.upstream()).port)
    client = await bench.client()
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":
        client.send(bytes([byte]))
        await asyncio.sleep(0)
    assert (await client.reader.readexactly(9))[3] == 4  # SETTINGS


async def test_an_http_1_listener_takes_no_preface(bench: Any) -> None:
    await bench.forward_to((await bench.upstream()).port, codec=Codec.HTTP1)
    client = await bench.client()
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert (await client.answer()).status == 400


async def test_a_large_answer_waits_for_the_clients_window(bench: Any, connect: Connect) -> None:
    size = 4_000_000
    upstream = await bench.upstream(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + bytes(size))
    await bench.forward_to(upstream.port)
    client = await connect()
    client.credits = False
    stream = client.request()
    await client.until(lambda: len(stream.body) == 65_535)
    other = client.request("/other")
    await asyncio.sleep(0.05)
    assert (len(stream.body), other.ended) == (65_535, False)
    client.credits = True
    client.h2.acknowledge_received_data(65_535, stream.id)
    client.flush()
    assert len((await client.whole(stream)).body) == size
    assert len((await client.whole(other)).body) == size


async def test_a_large_request_waits_for_the_upstream(bench: Any, connect: Connect) -> None:
    released = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await released.wait()
        size = 0
        while size < 8_000_000:
            size += len(await reader.read(1 << 16))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await writer.drain()

    await bench.forward_to(await bench.server(slow))
    client = await connect()
    stream = client.request("/", ("content-length", "8000000"), method="POST", ends=False)
    sent = 0
    while True:
        room = min(client.h2.local_flow_control_window(stream.id), 16_384, 8_000_000 - sent)
        if room > 0:
            client.data(stream, bytes(room), ends=sent + room == 8_000_000)
            sent += room
        elif sent == 8_000_000:
            break
        elif not released.is_set():
            await asyncio.sleep(0.1)
            if client.h2.local_flow_control_window(stream.id) <= 0:
                assert sent < 8_000_000
                released.set()
        else:
            await client.until(lambda: client.h2.local_flow_control_window(stream.id) > 0)
    assert (await client.whole(stream)).body == b"ok"


async def test_a_reset_stream_ends_the_upstreams_work_and_no_other_stream(bench: Any, connect: Connect) -> None:
    gone = asyncio.Event()
    came = asyncio.Event()

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        came.set()
        await reader.read()
        gone.set()

    await bench.forward_to(await bench.server(watch))
    client = await connect()
    slow = client.request("/slow")
    await came.wait()
    client.reset(slow)
    async with asyncio.timeout(2):
        await gone.wait()
    assert bench.proxy.stats()["http.test.downstream_rq_rx_reset"] == 1
    assert not client.ended


async def test_an_upstream_that_breaks_off_resets_the_stream_only(bench: Any, connect: Connect) -> None:
    async def cut(seen: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
        await writer.drain()
        writer.close()

    await bench.forward_to((await bench.upstream(cut)).port)
    client = await connect()
    first = await client.whole(client.request())
    assert (first.status, first.body, first.reset) == (200, b"abc", ErrorCodes.INTERNAL_ERROR)
    assert (await client.whole(client.request())).status == 200


async def test_an_answer_that_overtakes_its_request_resets_without_an_error(bench: Any, connect: Connect) -> None:
    await bench.forward_to(1)  # nobody is there
    client = await connect()
    stream = client.request("/", method="POST", body=b"abc", ends=False)
    await client.until(lambda: stream.reset is not None)
    assert (stream.status, stream.ended, stream.reset) == (503, True, ErrorCodes.NO_ERROR)


async def test_local_replies_and_time_outs(bench: Any, connect: Connect) -> None:
    async def never(seen: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    await bench.forward_to((await bench.upstream(never)).port, Timeout(0.05))
    client = await connect()
    stream = await client.whole(client.request())
    assert (stream.status, stream.body) == (504, b"upstream request timeout")
    call = await client.whole(client.request("/", ("content-type", "application/grpc"), ("te", "trailers"), method="POST", body=b"x"))
    assert (call.status, call.headers["grpc-status"], call.body, call.trailers) == (200, "14", b"", None)


async def test_a_draining_proxy_says_goaway_twice_and_answers_what_runs(bench: Any, connect: Connect) -> None:
    came, go = asyncio.Event(), asyncio.Event()

    async def waits(seen: Any, writer: asyncio.StreamWriter) -> None:
        came.set()
        await go.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")

    await bench.forward_to((await bench.upstream(waits)).port)
    client = await connect()
    first = client.request()
    await came.wait()
    await bench.proxy.apply(listeners=[])
    second = client.request()  # was under way when the first GOAWAY came
    await client.until(lambda: len(client.goaways) == 2)
    assert client.goaways == [(2**31 - 1, 0), (second.id, 0)]
    go.set()
    assert [(await client.whole(stream)).status for stream in (first, second)] == [200, 200]
    await client.until(lambda: client.ended)


async def test_a_stream_that_is_idle_for_too_long_is_answered(bench: Any, connect: Connect) -> None:
    await bench.forward_to((await bench.upstream()).port, stream_idle_timeout_seconds=0.05)
    client = await connect()
    stream = client.request("/", method="POST", ends=False)
    assert ((await client.whole(stream)).status, stream.body) == (408, b"stream timeout")
    assert (await client.whole(client.request())).status == 200


async def test_a_head_that_is_too_large_gets_431(bench: Any, connect: Connect) -> None:
    await bench.forward_to((await bench.upstream()).port)
    client = await connect()
    stream = client.request("/", *[(f"x-{number}", "1") for number in range(150)])
    assert (await client.whole(stream)).status == 431
    assert (await client.whole(client.request())).status == 200


async def test_extended_connect_is_an_upgrade(bench: Any, connect: Connect) -> None:
    async def websocket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert (b"upgrade: websocket" in head, head.split(b"\r\n")[0]) == (True, b"GET /chat HTTP/1.1")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        while data := await reader.read(100):
            writer.write(data.upper())
        writer.close()

    await bench.forward_to(await bench.server(websocket))
    client = await connect()
    stream_id = client.h2.get_next_available_stream_id()
    head = [(":method", "CONNECT"), (":protocol", "websocket"), (":path", "/chat"), (":scheme", "http"), (":authority", "a")]
    client.h2.config.validate_outbound_headers = False
    client.h2.send_headers(stream_id, head)
    client.flush()
    stream: Message = client.stream(stream_id)
    await client.until(lambda: stream.headers)
    assert stream.status == 200
    client.data(stream, b"abc")
    await client.until(lambda: stream.body == b"ABC")
    client.data(stream, b"", ends=True)
    assert (await client.whole(stream)).reset is None


async def test_the_log_and_the_counters_know_http_2(bench: Any, connect: Connect, make: Any) -> None:
    upstream = await bench.upstream()
    log = AccessLogFile("/dev/stdout", text_format="%PROTOCOL% %RESPONSE_CODE% %BYTES_SENT%\n")
    await bench.start(
        listeners=[make.listener(access_logs=(log,))], routes=[make.routes(make.route("up"))], clusters=[make.cluster("up", upstream.port)]
    )
    client = await connect()
    await client.whole(client.request())
    assert last_log(bench) == "HTTP/2 200 2"
    stats = bench.proxy.stats()
    assert (stats["http.test.downstream_cx_http2_total"], stats["http.test.downstream_rq_http2_total"], stats["http2.rx_reset"]) == (
        1,
        1,
        0,
    )
