"""Listening sockets: which chain takes a connection, by port and by where the client wanted to go; and connections that are no HTTP."""

import asyncio
import struct
from typing import Any

import pytest

from mesh.model.cluster import Cluster, Discovery, LbPolicy
from mesh.model.listener import AccessLogFile, Direction, FilterChain, HttpConnectionManager, Listener, TcpProxy
from mesh.sidecar.original_dst import original_dst

LOCALHOST = "127.0.0.1"
PASSTHROUGH = Cluster("PassthroughCluster", Discovery.ORIGINAL_DST, LbPolicy.CLUSTER_PROVIDED)
BLACK_HOLE = Cluster("BlackHoleCluster", Discovery.STATIC)


def http(route_config_name: str) -> HttpConnectionManager:
    return HttpConnectionManager("test", route_config_name=route_config_name)


class Kernel:
    """Says where a client wanted to go, as the kernel would: by the client's own port."""

    def __init__(self) -> None:
        self.wanted: tuple[str, int] | None = None

    def __call__(self, sock: object) -> tuple[str, int] | None:
        return self.wanted


async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        writer.write(data.upper())
    writer.write(b"-end")
    await writer.drain()


async def captured(bench: Any, make: Any, kernel: Kernel, owned: int, cluster: Cluster) -> None:
    """15001 as Istio has it: a port that has a listener goes there, everything else passes through."""
    outbound = Listener(
        "virtualOutbound",
        LOCALHOST,
        0,
        (FilterChain(TcpProxy("BlackHoleCluster", "BlackHoleCluster"), "blackhole", 15001),),
        FilterChain(TcpProxy("PassthroughCluster", "PassthroughCluster"), "passthrough"),
        Direction.OUTBOUND,
        use_original_dst=True,
    )
    by_port = Listener(f"0.0.0.0_{owned}", "0.0.0.0", owned, (FilterChain(http("9080")),), bind_to_port=False)
    await bench.start(
        listeners=[outbound, by_port],
        routes=[make.routes(make.route(cluster.name), name="9080")],
        clusters=[PASSTHROUGH, BLACK_HOLE, cluster],
        options={"find_original_dst": kernel},
    )


async def test_a_destination_that_has_a_listener_goes_to_it(bench: Any, make: Any) -> None:
    upstream, kernel = await bench.upstream(), Kernel()
    await captured(bench, make, kernel, 9080, make.cluster("reviews", upstream.port))
    assert list(bench.proxy.listener_addresses()) == ["virtualOutbound"]
    kernel.wanted = ("10.1.2.3", 9080)
    assert (await (await bench.client("virtualOutbound")).get()).status == 200
    assert len(upstream.seen) == 1


async def test_any_other_destination_is_passed_through_to_itself(bench: Any, make: Any) -> None:
    kernel = Kernel()
    await captured(bench, make, kernel, 9080, make.cluster("reviews"))
    kernel.wanted = (LOCALHOST, await bench.server(upper))
    client = await bench.client("virtualOutbound")
    client.send(b"hello")
    assert await client.reader.readexactly(5) == b"HELLO"
    client.writer.write_eof()
    assert await client.reader.read() == b"-end", "each direction ends by itself"
    stats = bench.proxy.stats()
    assert stats["tcp.PassthroughCluster.downstream_cx_total"] == 1


async def test_who_connects_to_the_capturing_port_itself_is_not_passed_on(bench: Any, make: Any) -> None:
    await captured(bench, make, Kernel(), 9080, make.cluster("reviews"))
    assert await (await bench.client("virtualOutbound")).is_closed()


async def test_inbound_chains_are_picked_by_the_port_the_client_wanted(bench: Any, make: Any) -> None:
    upstream, kernel = await bench.upstream(), Kernel()
    inbound = Listener(
        "virtualInbound",
        LOCALHOST,
        0,
        (FilterChain(http("inbound|9080||"), "9080", 9080), FilterChain(TcpProxy("tcp", "InboundPassthroughCluster"), "tcp")),
        direction=Direction.INBOUND,
        original_dst_filter=True,
    )
    passthrough = Cluster("InboundPassthroughCluster", Discovery.ORIGINAL_DST, LbPolicy.CLUSTER_PROVIDED, bind_address="127.0.0.6")
    await bench.start(
        listeners=[inbound],
        routes=[make.routes(make.route("app"), name="inbound|9080||")],
        clusters=[make.cluster("app", upstream.port), passthrough],
        options={"find_original_dst": kernel},
    )
    kernel.wanted = ("10.0.0.7", 9080)
    assert (await (await bench.client("virtualInbound")).get()).status == 200

    seen: list[str] = []

    async def who(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peername")[0])

    kernel.wanted = (LOCALHOST, await bench.server(who))
    assert await (await bench.client("virtualInbound")).is_closed()
    assert seen == ["127.0.0.6"]


async def test_http_to_an_original_destination(bench: Any, make: Any) -> None:
    upstream, kernel = await bench.upstream(), Kernel()
    listener = Listener("in", LOCALHOST, 0, (FilterChain(http("allow_any")),), original_dst_filter=True)
    await bench.start(
        listeners=[listener],
        routes=[make.routes(make.route("PassthroughCluster"), name="allow_any")],
        clusters=[PASSTHROUGH],
        options={"find_original_dst": kernel},
    )
    kernel.wanted = (LOCALHOST, upstream.port)
    client = await bench.client()
    for _ in range(2):
        assert (await client.get()).status == 200
    assert [(view.endpoint.port, view.stats.cx_total) for view in bench.proxy.hosts()] == [(upstream.port, 1)]
    kernel.wanted = None
    assert (await (await bench.client()).get()).status == 503


async def test_no_chain_for_a_port_closes_the_connection(bench: Any, make: Any) -> None:
    await bench.start(listeners=[Listener("in", LOCALHOST, 0, (FilterChain(TcpProxy("t", "up"), "a", 1),))], clusters=[make.cluster("up")])
    assert await (await bench.client()).is_closed()
    assert bench.proxy.stats()["listener.no_filter_chain_match"] == 1


async def tcp(bench: Any, make: Any, port: int) -> None:
    log = AccessLogFile(text_format="%RESPONSE_FLAGS% %PROTOCOL% %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_CLUSTER% %REQ(:METHOD)%\n")
    chain = FilterChain(TcpProxy("t", "up", (log,)))
    await bench.start(listeners=[Listener("in", LOCALHOST, 0, (chain,))], clusters=[make.cluster("up", port)])


async def test_ten_megabytes_pass_a_tcp_chain_both_ways(bench: Any, make: Any) -> None:
    await tcp(bench, make, await bench.server(upper))
    client = await bench.client()
    data = b"abcdefgh" * (10 * 1024 * 128)
    client.send(data)
    async with asyncio.timeout(20):
        assert await client.reader.readexactly(len(data)) == data.upper()
        client.writer.write_eof()
        assert await client.reader.read() == b"-end"
    async with asyncio.timeout(3):
        while not bench.proxy.stats()["tcp.t.downstream_cx_rx_bytes_total"]:  # noqa: ASYNC110 - the other side's end makes no event
            await asyncio.sleep(0.01)
    bench.proxy.flush()
    assert bench.log_path.read_text() == f"- - {len(data)} {len(data) + 4} up -\n"


async def test_a_tcp_upstream_that_is_not_there_closes_the_connection(bench: Any, make: Any, free_port: Any) -> None:
    await tcp(bench, make, free_port())
    client = await bench.client()
    client.send(b"hello")
    assert await client.is_closed()
    bench.proxy.flush()
    assert bench.log_path.read_text().startswith("UF,URX ")


async def test_a_tcp_client_that_does_not_read_holds_the_upstream_back(bench: Any, make: Any) -> None:
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while sent < 100_000_000:
            writer.write(b"x" * 100_000)
            sent += 100_000
            await writer.drain()

    await tcp(bench, make, await bench.server(pour))
    _, writer = await asyncio.open_connection(*bench.proxy.listener_addresses()["in"], limit=1024)
    bench.stack.callback(writer.transport.abort)
    before = -1
    async with asyncio.timeout(5):
        while before != sent or not sent:
            before = sent
            await asyncio.sleep(0.1)
    assert sent < 60_000_000


class Socket:
    """Answers like a socket that was, or was not, redirected."""

    def __init__(self, family: int, answer: bytes | OSError, own: tuple[str, int]) -> None:
        self.family, self._answer, self._own = family, answer, own

    def getsockopt(self, level: int, name: int, size: int) -> bytes:
        assert name == 80
        if isinstance(self._answer, OSError):
            raise self._answer
        assert len(self._answer) == size
        return self._answer

    def getsockname(self) -> tuple[str, int]:
        return self._own


V4 = struct.pack("!HH4s8x", 2, 9080, bytes([10, 1, 2, 3]))
V6 = struct.pack("!HHI16sI", 10, 9080, 0, bytes([*[0] * 15, 1]), 0)


@pytest.mark.parametrize(
    ("family", "answer", "own", "expected"),
    [
        (2, V4, ("10.0.0.9", 15001), ("10.1.2.3", 9080)),
        (10, V6, ("fd00::2", 15001), ("::1", 9080)),
        (2, OSError(2, "No such file or directory"), ("10.0.0.9", 15001), None),
        (2, V4, ("10.1.2.3", 9080), None),
    ],
)
def test_the_original_destination_is_what_the_kernel_says_but_never_we_ourselves(
    family: int, answer: bytes | OSError, own: tuple[str, int], expected: tuple[str, int] | None
) -> None:
    assert original_dst(Socket(family, answer, own)) == expected
