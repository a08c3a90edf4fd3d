"""Endpoints that speak HTTP/2: few connections, many streams, and what becomes of them when something breaks."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from h2.errors import ErrorCodes

from mesh.model.cluster import HttpProtocol
from mesh.model.listener import AccessLogFile
from mesh.policy.retry import RetryPolicy
from mesh.policy.timeout import Timeout

sys.path.insert(0, str(Path(__file__).parent))  # test folders are no packages

from http2_peer import Message, Peer

Told = Callable[[Peer, Message], "Awaitable[None] | None"]


def ok(peer: Peer, message: Message) -> None:
    peer.answer(message, 200, ("content-length", "2"), body=b"hi")


@dataclass
class Server:
    """Tells ``told`` of each request that is whole."""

    told: Told = ok
    port: int = 0
    max_streams: int = 100
    peers: list[Peer] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer, client=False, max_streams=self.max_streams)
        self.peers.append(peer)
        self.came.set()
        await peer.run(lambda message: self.told(peer, message))

    @property
    def seen(self) -> list[Message]:
        return [message for peer in self.peers for message in peer.streams.values()]


Start = Callable[..., Awaitable[Server]]


@pytest.fixture
def start(bench: Any, make: Any) -> Start:
    async def start(told: Told = ok, *policies: object, max_streams: int = 100, **cluster: Any) -> Server:
        server = Server(told, max_streams=max_streams)
        server.port = await bench.server(server.serve)
        log = AccessLogFile(
            "/dev/stdout", text_format="%PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %GRPC_STATUS%\n"
        )
        await bench.start(
            listeners=[make.listener(access_logs=(log,))],
            routes=[make.routes(make.route("up", *policies))],
            clusters=[make.cluster("up", server.port, **{"http_protocol": HttpProtocol.HTTP2} | cluster)],
        )
        return server

    return start


@pytest.fixture
async def connect(bench: Any) -> AsyncIterator[Callable[[], Awaitable[Peer]]]:
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
    return str(bench.log_path.read_text().splitlines()[-1])


async def test_http_1_clients_share_one_connection(bench: Any, start: Start) -> None:
    server = await start()
    clients = [await bench.client() for _ in range(5)]
    answers = await asyncio.gather(*[client.get(f"/{number}", "x-a: 1") for number, client in enumerate(clients)])
    assert [(answer.status, answer.body, answer.headers["content-length"]) for answer in answers] == [(200, b"hi", "2")] * 5
    assert len(server.peers) == 1
    head = server.seen[0].headers
    assert (head[":method"], head[":authority"], head[":scheme"], head["x-a"]) == ("GET", "reviews:9080", "http", "1")


async def test_a_body_of_http_1_goes_up(bench: Any, start: Start) -> None:
    server = await start()
    client = await bench.client()
    assert (await client.get("/", method="POST", body=b"abc")).status == 200
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await asyncio.sleep(0.02)
    client.send(b"3\r\ndef\r\n0\r\n\r\n")
    assert (await client.answer()).status == 200
    assert [message.body for message in server.seen] == [b"abc", b"abcdef"]


async def test_trailers_pass_both_ways(bench: Any, start: Start, connect: Any) -> None:
    def answer(peer: Peer, message: Message) -> None:
        peer.answer(message, 200, ("content-type", "application/grpc"), body=b"abc", trailers=[("grpc-status", "5"), ("x-b", "2")])

    server = await start(answer)
    client = await connect()
    stream = client.request("/", ("te", "trailers"), ("content-type", "application/grpc"), method="POST", body=b"xyz", ends=False)
    client.trail(stream, ("x-a", "1"))
    await client.whole(stream)
    assert (stream.status, stream.body, stream.trailers) == (200, b"abc", {"grpc-status": "5", "x-b": "2"})
    seen = server.seen[0]
    assert (seen.body, seen.trailers, seen.headers["te"]) == (b"xyz", {"x-a": "1"}, "trailers")
    assert last_log(bench) == "HTTP/2 200 - via_upstream NotFound"


async def test_both_sides_stream_at_the_same_time(start: Start, connect: Any) -> None:
    server = await start()
    client = await connect()
    stream = client.request("/", method="POST", ends=False)
    client.data(stream, b"one")
    async with asyncio.timeout(5):
        await server.came.wait()
    peer = server.peers[0]
    await peer.until(lambda: server.seen and server.seen[0].body == b"one")
    peer.answer(server.seen[0], 200, body=b"1", ends=False)
    await client.until(lambda: stream.body == b"1")
    client.data(stream, b"two", ends=False)
    await peer.until(lambda: server.seen[0].body == b"onetwo")
    peer.h2.send_headers(server.seen[0].id, [("grpc-status", "0")], end_stream=True)
    peer.flush()
    await client.whole(stream)
    assert (stream.trailers, stream.ended) == ({"grpc-status": "0"}, True)
    await peer.until(lambda: server.seen[0].reset is not None)  # nobody reads the rest of the request


async def test_another_connection_where_the_peer_takes_no_more_streams(bench: Any, start: Start) -> None:
    held: list[tuple[Peer, Message]] = []
    all_here = asyncio.Event()

    def hold(peer: Peer, message: Message) -> None:
        held.append((peer, message))
        if len(held) == 5:
            all_here.set()

    server = await start(hold, max_concurrent_streams=2)
    clients = [await bench.client() for _ in range(5)]
    asking = asyncio.gather(*[client.get() for client in clients])
    async with asyncio.timeout(5):
        await all_here.wait()
    assert sorted(len(peer.streams) for peer in server.peers) == [1, 2, 2]
    for peer, message in held:
        ok(peer, message)
    assert [answer.status for answer in await asking] == [200] * 5


async def test_a_connection_takes_as_many_requests_as_it_may(bench: Any, start: Start) -> None:
    server = await start(max_requests_per_connection=2)
    client = await bench.client()
    for _ in range(5):
        assert (await client.get()).status == 200
    assert [len(peer.streams) for peer in server.peers] == [2, 2, 1]
    await server.peers[0].until(lambda: server.peers[0].ended)


@pytest.mark.parametrize("code", [ErrorCodes.REFUSED_STREAM, ErrorCodes.INTERNAL_ERROR])
async def test_a_reset_stream_is_that_requests_only(bench: Any, start: Start, code: ErrorCodes) -> None:
    def told(peer: Peer, message: Message) -> None:
        if message.headers[":path"] == "/bad":
            peer.reset(message, code)
        else:
            ok(peer, message)

    server = await start(told)
    client = await bench.client()
    answer = await client.get("/bad")
    word = "remote refused stream reset" if code is ErrorCodes.REFUSED_STREAM else "remote reset"
    assert (answer.status, word in answer.body.decode()) == (503, True)
    assert last_log(bench) == f"HTTP/1.1 503 UR upstream_reset_before_response_started{{{word.replace(' ', '_')}}} -"
    assert (await client.get("/good")).status == 200
    assert len(server.peers) == 1


async def test_refused_streams_are_tried_again(bench: Any, start: Start) -> None:
    refused: list[Message] = []

    def told(peer: Peer, message: Message) -> None:
        if refused:
            ok(peer, message)
            return
        refused.append(message)
        peer.reset(message, ErrorCodes.REFUSED_STREAM)

    await start(told, RetryPolicy(attempts=1, retry_on=("refused-stream",)))
    assert (await (await bench.client()).get()).status == 200
    assert len(refused) == 1


async def test_streams_above_the_last_of_a_goaway_are_tried_again_elsewhere(bench: Any, start: Start) -> None:
    def told(peer: Peer, message: Message) -> None:
        if len(server.peers) == 1:
            peer.h2.close_connection(last_stream_id=0)
            peer.flush()
        else:
            ok(peer, message)

    server = await start(told, RetryPolicy(attempts=1, retry_on=("refused-stream",)))
    assert (await (await bench.client()).get()).status == 200
    assert len(server.peers) == 2


async def test_a_lost_connection_ends_all_its_streams(bench: Any, start: Start) -> None:
    def told(peer: Peer, message: Message) -> None:
        if len(peer.streams) == 3:
            peer.writer.transport.abort()

    server = await start(told)
    clients = [await bench.client() for _ in range(3)]
    answers = await asyncio.gather(*[client.get() for client in clients])
    assert [answer.status for answer in answers] == [503] * 3
    assert last_log(bench) == "HTTP/1.1 503 UC upstream_reset_before_response_started{connection_termination} -"
    assert (len(server.peers), bench.proxy.hosts()[0].stats.rq_active) == (1, 0)


async def test_a_time_out_resets_the_stream_and_not_the_connection(bench: Any, start: Start) -> None:
    server = await start(lambda peer, message: None, Timeout(0.05))
    client = await bench.client()
    assert [(await client.get()).status for _ in range(2)] == [504, 504]
    peer = server.peers[0]
    await peer.until(lambda: [message.reset for message in peer.streams.values()] == [ErrorCodes.CANCEL] * 2)
    assert len(server.peers) == 1


async def test_who_does_not_read_holds_the_upstream(bench: Any, start: Start, connect: Any) -> None:
    def told(peer: Peer, message: Message) -> None:
        peer.h2.send_headers(message.id, [(":status", "200")])
        peer.flush()

    server = await start(told)
    client = await connect()
    client.credits = False
    stream = client.request()
    await client.until(lambda: stream.headers)
    peer, sent = server.peers[0], 0
    while room := min(peer.h2.local_flow_control_window(stream.id), 16_384):
        peer.data(server.seen[0], bytes(room))
        sent += room
        await asyncio.sleep(0.001)
    assert 65_535 < sent < 1_000_000
    client.credits = True
    client.h2.acknowledge_received_data(65_535, stream.id)
    client.flush()
    await peer.until(lambda: peer.h2.local_flow_control_window(stream.id) > 0)
    peer.data(server.seen[0], b"", ends=True)
    assert len((await client.whole(stream)).body) == sent


async def test_the_clients_protocol_may_decide(bench: Any, start: Start, connect: Any) -> None:
    server = await start(http_protocol=HttpProtocol.DOWNSTREAM)
    client = await connect()
    assert (await client.whole(client.request())).status == 200
    old = await bench.client()
    old.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert (await old.answer()).status in (502, 503)  # what speaks HTTP/2 only answers HTTP/1 with its SETTINGS
    assert len(server.seen) == 1
