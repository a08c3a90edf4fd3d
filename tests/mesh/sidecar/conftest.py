"""A proxy on real sockets, with upstreams that do as told and a client that writes bytes as they are."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import uvloop

from mesh.model.cluster import CircuitBreakers, Cluster, Discovery, LbPolicy
from mesh.model.endpoint import Endpoint, LoadAssignment, LocalityEndpoints
from mesh.model.listener import Direction, FilterChain, HttpConnectionManager, Listener
from mesh.model.match import MatchKind, RouteMatch, StringMatch
from mesh.model.node import Node
from mesh.model.route import Route, RouteConfiguration, VirtualHost, WeightedCluster
from mesh.policy.circuit_breaker import UNLIMITED
from mesh.sidecar.proxy import Proxy

LOCALHOST = "127.0.0.1"
GIVE_UP_SECONDS = 5.0

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    raw_head: bytes = b""


class Client:
    """One connection to the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def get(self, path: str = "/", *lines: str, method: str = "GET", body: bytes = b"") -> Answer:
        head = [f"{method} {path} HTTP/1.1", "host: reviews:9080", *lines]
        if body:
            head.append(f"content-length: {len(body)}")
        self.send("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        return await self.answer(method)

    async def answer(self, method: str = "GET") -> Answer:
        async with asyncio.timeout(GIVE_UP_SECONDS):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1")[:-4].split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            status = int(lines[0].split(" ")[1])
            return Answer(status, headers, await self._body(method, status, headers), head)

    async def _body(self, method: str, status: int, headers: dict[str, str]) -> bytes:
        if method == "HEAD" or status in (100, 101, 204, 304):
            return b""
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readexactly(2)
            return body
        if "content-length" in headers:
            return await self.reader.readexactly(int(headers["content-length"]))
        return await self.reader.read()

    async def is_closed(self) -> bool:
        """Waits for the end; False if something else comes."""
        async with asyncio.timeout(GIVE_UP_SECONDS):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True

    def close(self) -> None:
        self.writer.close()


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class Upstream:
    """Answers every request with ``answer``; bytes are sent as they are, a function answers by itself."""

    port: int = 0
    answer: bytes | Callable[[Seen, asyncio.StreamWriter], Awaitable[None]] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = self.connections
        try:
            while True:
                await self._one(connection, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _one(self, connection: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")[:-4].split("\r\n")
        method, path, _ = lines[0].split(" ")
        headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await reader.readuntil(b"\r\n"), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readexactly(2)
        else:
            body = await reader.readexactly(int(headers.get("content-length", "0")))
        seen = Seen(method, path, headers, body, connection)
        self.seen.append(seen)
        if isinstance(self.answer, bytes):
            writer.write(self.answer)
        else:
            await self.answer(seen, writer)
        await writer.drain()


@dataclass
class Bench:
    """Everything a test opens is closed at its end."""

    stack: AsyncExitStack
    log_path: Path
    proxy: Proxy = None  # type: ignore[assignment]

    async def server(self, handler: Handler) -> int:
        """A bare TCP server; its port."""
        tasks: set[asyncio.Task[None]] = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await handler(reader, writer)
            finally:
                tasks.discard(task)
                writer.close()

        async def stop() -> None:
            server.close()
            for task in list(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        server = await asyncio.start_server(handle, LOCALHOST, 0, limit=1 << 20)
        self.stack.push_async_callback(stop)
        return int(server.sockets[0].getsockname()[1])

    async def upstream(self, answer: Any = None) -> Upstream:
        upstream = Upstream()
        if answer is not None:
            upstream.answer = answer
        upstream.port = await self.server(upstream.serve)
        return upstream

    async def start(self, **resources: Any) -> Proxy:
        node = Node(LOCALHOST, "reviews-v1-0")
        proxy = Proxy(node, time.monotonic, random.random, str(self.log_path), **resources.pop("options", {}))
        self.proxy = await self.stack.enter_async_context(proxy)
        if resources:
            await self.proxy.apply(**resources)
        return self.proxy

    async def forward_to(self, port: int, *policies: object, **changes: Any) -> Proxy:
        """A proxy whose one listener sends everything to one port."""
        return await self.start(
            listeners=[listener(**changes)], routes=[routes(route("up", *policies))], clusters=[static_cluster("up", port)]
        )

    async def client(self, name: str = "in") -> Client:
        host, port = self.proxy.listener_addresses()[name]
        reader, writer = await asyncio.open_connection(host, port, limit=1 << 24)
        self.stack.callback(writer.close)
        return Client(reader, writer)


def listener(name: str = "in", port: int = 0, direction: Direction = Direction.INBOUND, **manager: Any) -> Listener:
    settings = {"stat_prefix": "test", "route_config_name": "routes"} | manager
    return Listener(name, LOCALHOST, port, (FilterChain(HttpConnectionManager(**settings)),), direction=direction)


def static_cluster(name: str, *ports: int, **changes: Any) -> Cluster:
    endpoints = tuple(Endpoint(LOCALHOST, port) for port in ports)
    assignment = LoadAssignment(name, (LocalityEndpoints(endpoints),))
    breakers = CircuitBreakers(max_retries=UNLIMITED)  # as Istio has it
    whole = Cluster(name, Discovery.STATIC, LbPolicy.ROUND_ROBIN, load_assignment=assignment, circuit_breakers=breakers)
    return replace(whole, **changes)


def route(cluster: str, *policies: object, prefix: str = "/") -> Route:
    clusters = (WeightedCluster(cluster),) if cluster else ()
    return Route(RouteMatch(StringMatch(MatchKind.PREFIX, prefix)), clusters, policies, name="default")


def routes(*all_routes: Route, name: str = "routes", **host: Any) -> RouteConfiguration:
    return RouteConfiguration(name, (VirtualHost("all", ("*",), all_routes, **host),))


@dataclass(frozen=True)
class Make:
    listener: Callable[..., Listener] = listener
    cluster: Callable[..., Cluster] = static_cluster
    route: Callable[..., Route] = route
    routes: Callable[..., RouteConfiguration] = routes


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Everything on both loops."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture
def make() -> Make:
    return Make()


@pytest.fixture
async def bench(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        yield Bench(stack, tmp_path / "access.log")
    assert [record.getMessage() for record in caplog.get_records("call") if record.name.startswith("mesh")] == []


@pytest.fixture
def free_port() -> Callable[[], int]:
    import socket

    def find() -> int:
        with socket.socket() as probe:
            probe.bind((LOCALHOST, 0))
            return int(probe.getsockname()[1])

    return find
