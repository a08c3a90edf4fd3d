"""What a client may do on one connection, and what it may not."""

import asyncio
import contextlib
from typing import Any

import pytest

from mesh.policy.retry import RetryPolicy


async def test_one_connection_carries_many_requests_on_one_upstream_connection(bench: Any) -> None:
    upstream = await bench.upstream()
    await bench.forward_to(upstream.port)
    client = await bench.client()
    for number in range(5):
        assert (await client.get(f"/{number}")).status == 200
    assert [seen.path for seen in upstream.seen] == ["/0", "/1", "/2", "/3", "/4"]
    assert upstream.connections == 1


async def test_pipelined_requests_are_answered_in_order(bench: Any) -> None:
    async def echo_path(seen: Any, writer: asyncio.StreamWriter) -> None:
        if seen.path == "/0":
            await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n" + seen.path.encode())

    await bench.forward_to((await bench.upstream(echo_path)).port)
    client = await bench.client()
    client.send(b"".join(b"POST /%d HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc" % number for number in range(4)))
    assert [(await client.answer()).body for _ in range(4)] == [b"/0", b"/1", b"/2", b"/3"]


async def test_a_body_in_chunks_goes_up_and_comes_down(bench: Any) -> None:
    upstream = await bench.upstream(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n")
    await bench.forward_to(upstream.port)
    client = await bench.client()
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await asyncio.sleep(0.02)
    client.send(b"3\r\ndef\r\n0\r\n\r\n")
    answer = await client.answer()
    assert (answer.status, answer.body, upstream.seen[0].body) == (200, b"hello world", b"abcdef")
    assert (await client.get()).status == 200


async def test_who_expects_100_gets_it_and_upstream_does_not_hear_of_it(bench: Any) -> None:
    upstream = await bench.upstream()
    await bench.forward_to(upstream.port)
    client = await bench.client()
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n")
    assert (await client.answer()).status == 100
    client.send(b"abc")
    assert (await client.answer()).status == 200
    assert (upstream.seen[0].body, "expect" in upstream.seen[0].headers) == (b"abc", False)


async def test_the_answer_to_head_has_a_length_and_no_body(bench: Any) -> None:
    await bench.forward_to((await bench.upstream(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")).port)
    client = await bench.client()
    for _ in range(2):
        answer = await client.get(method="HEAD")
        assert (answer.status, answer.headers["content-length"]) == (200, "1000")


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_has_no_length_either(bench: Any, status: int) -> None:
    await bench.forward_to((await bench.upstream(b"HTTP/1.1 %d X\r\netag: a\r\n\r\n" % status)).port)
    client = await bench.client()
    for _ in range(2):
        answer = await client.get()
        assert (answer.status, "content-length" in answer.headers) == (status, False)


async def test_connection_close_is_kept(bench: Any) -> None:
    upstream = await bench.upstream()
    await bench.forward_to(upstream.port)
    client = await bench.client()
    answer = await client.get("/", "connection: close")
    assert (answer.headers["connection"], "connection" in upstream.seen[0].headers) == ("close", False)
    assert await client.is_closed()


async def test_http_1_0_is_told_to_upgrade_and_closed(bench: Any) -> None:
    await bench.forward_to((await bench.upstream()).port)
    client = await bench.client()
    client.send(b"GET / HTTP/1.0\r\nhost: a\r\n\r\n")
    answer = await client.answer()
    assert (answer.status, answer.body) == (426, b"Upgrade Required")
    assert await client.is_closed()


REFUSED = {
    "header of 100 kB": (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"a" * 100_000 + b"\r\n\r\n", 431),
    "101 headers": (b"GET / HTTP/1.1\r\nhost: a\r\n" + b"".join(b"x-%d: a\r\n" % n for n in range(101)) + b"\r\n", 431),
    "no http": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "length and chunked": (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc", 400),
    "two lengths in a list": (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3, 3\r\n\r\nabc", 400),
    "signed length": (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc", 400),
    "unknown coding": (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    "folded line": (b"GET / HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\n\r\n", 400),
    "blank before the colon": (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length : 3\r\n\r\nabc", 400),
    "bare newlines": (b"GET / HTTP/1.1\nhost: a\n\n", 400),
    "bare carriage return": (b"GET / HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
    "nul in a value": (b"GET / HTTP/1.1\r\nhost: a\r\nx: \x00\r\n\r\n", 400),
    "connection names host": (b"GET / HTTP/1.1\r\nhost: a\r\nconnection: host\r\n\r\n", 400),
    "newer version": (b"GET / HTTP/2.0\r\nhost: a\r\n\r\n", 426),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_no_request_is_refused_and_never_forwarded(bench: Any, case: str) -> None:
    data, status = REFUSED[case]
    upstream = await bench.upstream()
    await bench.forward_to(upstream.port)
    client = await bench.client()
    client.send(data)
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    assert await client.is_closed()
    assert upstream.seen == []


@pytest.mark.parametrize("garbage", [b"zz\r\nabc\r\n", b"3\r\nabcd\r\n", b"-1\r\n", b"0x3\r\nabc\r\n", b"3\nabc\n"])
async def test_garbage_for_a_chunk_is_400_and_the_upstream_connection_is_not_reused(bench: Any, garbage: bytes) -> None:
    upstream = await bench.upstream()
    await bench.forward_to(upstream.port)
    client = await bench.client()
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
    await asyncio.sleep(0.02)
    client.send(garbage)
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert await client.is_closed()
    assert (await (await bench.client()).get("/next")).status == 200
    assert [seen.path for seen in upstream.seen] == ["/next"]


async def test_what_comes_behind_a_refused_request_is_not_read_as_one(bench: Any) -> None:
    upstream = await bench.upstream()
    await bench.forward_to(upstream.port)
    client = await bench.client()
    client.send(
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\ntransfer-encoding: chunked\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"
    )
    assert (await client.answer()).status == 400
    assert await client.is_closed()
    assert upstream.seen == []


async def test_a_head_that_comes_slowly_is_cut_off(bench: Any) -> None:
    await bench.forward_to((await bench.upstream()).port, request_headers_timeout_seconds=0.3)
    client = await bench.client()
    for piece in (b"GET / HT", b"TP/1.1\r\n", b"host: a\r\n", b"x-a: b\r\n"):
        client.send(piece)
        await asyncio.sleep(0.05)
    answer = await client.answer()
    assert answer.status == 408
    assert await client.is_closed()


async def test_a_head_byte_by_byte_is_read(bench: Any) -> None:
    upstream = await bench.upstream()
    await bench.forward_to(upstream.port)
    client = await bench.client()
    for byte in b"\r\nGET /slow HTTP/1.1\r\nhost: a\r\n\r\n":
        client.send(bytes([byte]))
        await asyncio.sleep(0.001)
    assert (await client.answer()).status == 200
    assert upstream.seen[0].path == "/slow"


async def test_a_body_that_stops_coming_is_cut_off(bench: Any) -> None:
    await bench.forward_to((await bench.upstream()).port, request_timeout_seconds=0.3)
    client = await bench.client()
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc")
    assert (await client.answer()).status == 408
    assert await client.is_closed()


async def test_a_stream_on_which_nothing_moves_is_given_up(bench: Any) -> None:
    async def never(seen: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    await bench.forward_to((await bench.upstream(never)).port, stream_idle_timeout_seconds=0.2)
    client = await bench.client()
    answer = await client.get()
    assert (answer.status, answer.body) == (504, b"stream timeout")


async def test_ten_megabytes_pass_both_ways(bench: Any) -> None:
    size = 10 * 1024 * 1024

    async def echo(seen: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(seen.body) + seen.body)

    await bench.forward_to((await bench.upstream(echo)).port)
    client = await bench.client()
    data = bytes(range(256)) * (size // 256)
    answer = await client.get(method="POST", body=data)
    assert answer.body == data
    assert (await client.get()).status == 200


async def test_a_client_that_does_not_read_holds_the_upstream_back(bench: Any) -> None:
    sent = 0

    async def pour(seen: Any, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n")
        while sent < 100_000_000:
            writer.write(b"x" * 100_000)
            sent += 100_000
            await writer.drain()

    await bench.forward_to((await bench.upstream(pour)).port)
    host, port = bench.proxy.listener_addresses()["in"]
    reader, writer = await asyncio.open_connection(host, port, limit=1024)
    bench.stack.callback(writer.close)
    writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    before = -1
    async with asyncio.timeout(5):
        while before != sent or sent == 0:
            before = sent
            await asyncio.sleep(0.1)
    assert 0 < sent < 60_000_000
    read = 0
    async with asyncio.timeout(20):
        await reader.readuntil(b"\r\n\r\n")
        while read < 100_000_000:
            read += len(await reader.read(1 << 20))


async def test_an_upstream_that_does_not_read_holds_the_client_back(bench: Any) -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    await bench.forward_to(await bench.server(deaf))
    client = await bench.client()
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n\r\n")
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < 100_000_000:
            client.send(b"x" * 100_000)
            sent += 100_000
            await asyncio.wait_for(client.writer.drain(), 0.5)
    assert sent < 60_000_000
    client.writer.transport.abort()


async def test_a_websocket_passes_both_ways_until_either_side_ends_it(bench: Any) -> None:
    async def websocket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"upgrade: websocket\r\n" in head
        assert b"connection: upgrade\r\n" in head.lower()
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\nhello")
        while data := await reader.read(100):
            writer.write(data.upper())
        writer.write(b"bye")

    await bench.forward_to(await bench.server(websocket))
    client = await bench.client()
    answer = await client.get("/", "connection: Upgrade", "upgrade: websocket")
    assert (answer.status, answer.headers["upgrade"], answer.headers["connection"].lower()) == (101, "websocket", "upgrade")
    assert await client.reader.readexactly(5) == b"hello"
    client.send(b"abc")
    assert await client.reader.readexactly(3) == b"ABC"
    client.writer.write_eof()
    assert await client.reader.read() == b"bye"


async def test_an_upgrade_that_upstream_declines_is_answered_without_a_body(bench: Any) -> None:
    await bench.forward_to((await bench.upstream()).port)
    client = await bench.client()
    answer = await client.get("/", "connection: Upgrade", "upgrade: websocket")
    assert (answer.status, answer.body, answer.headers["connection"]) == (200, b"", "close")


async def test_a_client_that_leaves_takes_its_upstream_request_with_it(bench: Any) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def notice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        assert await reader.read() == b""
        left.set()

    await bench.forward_to(await bench.server(notice))
    client = await bench.client()
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    await asyncio.wait_for(asked.wait(), 5)
    client.close()
    await asyncio.wait_for(left.wait(), 5)


async def test_two_hundred_clients_at_once(bench: Any) -> None:
    upstream = await bench.upstream()
    await bench.forward_to(upstream.port)

    async def one() -> None:
        client = await bench.client()
        for _ in range(5):
            assert (await client.get()).body == b"hi"

    async with asyncio.TaskGroup() as group:
        for _ in range(200):
            group.create_task(one())
    assert len(upstream.seen) == 1000


async def test_clients_that_leave_at_the_very_moment_of_their_answer_hurt_nobody(bench: Any) -> None:
    upstream = await bench.upstream()
    await bench.forward_to(upstream.port)
    host, port = bench.proxy.listener_addresses()["in"]

    async def leave(number: int) -> None:
        for _ in range(20):
            _, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            await asyncio.sleep(0.0002 * (number % 8))
            writer.transport.abort() if number % 2 else writer.close()

    async def stay() -> None:
        client = await bench.client()
        for _ in range(50):
            assert (await client.get()).status == 200

    async with asyncio.TaskGroup() as group:
        for number in range(24):
            group.create_task(leave(number))
        for _ in range(4):
            group.create_task(stay())


async def test_upstreams_that_hang_up_after_each_answer_cost_nobody_a_request(bench: Any) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
        await writer.drain()

    await bench.forward_to(await bench.server(once), RetryPolicy(retry_on=("reset",), attempts=3))

    async def ask() -> None:
        client = await bench.client()
        for _ in range(30):
            assert (await client.get()).status == 200

    async with asyncio.TaskGroup() as group:
        for _ in range(16):
            group.create_task(ask())


@pytest.mark.parametrize(
    ("head", "status"),
    [(b"", 400), (b"host: a\r\nconnection: upgrade\r\nupgrade: foo\r\n", 403)],
    ids=["no host", "upgrade to what is not allowed"],
)
async def test_http_that_the_listener_does_not_take_is_refused_without_a_word(bench: Any, head: bytes, status: int) -> None:
    await bench.forward_to((await bench.upstream()).port)
    client = await bench.client()
    client.send(b"GET / HTTP/1.1\r\n" + head + b"\r\n")
    answer = await client.answer()
    assert (answer.status, answer.body, answer.headers["connection"]) == (status, b"", "close")
