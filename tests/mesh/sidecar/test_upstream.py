"""What an upstream may do to us, and what the client and the access log hear of it: status, body, flags and details as Envoy has them."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from mesh.model.cluster import LbPolicy
from mesh.model.endpoint import Endpoint, Health, LoadAssignment, LocalityEndpoints
from mesh.model.listener import AccessLogFile
from mesh.policy.mirror import Mirror
from mesh.policy.retry import RetryPolicy
from mesh.policy.timeout import Timeout

LOG = AccessLogFile(
    json_format=(
        ("status", "%RESPONSE_CODE%"),
        ("flags", "%RESPONSE_FLAGS%"),
        ("details", "%RESPONSE_CODE_DETAILS%"),
        ("attempts", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"),
        ("failure", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
    )
)
BEFORE = "upstream_reset_before_response_started"
RESET = "upstream connect error or disconnect/reset before headers. reset reason: "
TWO_LENGTHS = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n"


async def last_log(bench: Any) -> dict[str, Any]:
    """The newest line; the stream may end just after its last byte was read."""
    async with asyncio.timeout(3):
        while True:
            bench.proxy.flush()
            lines = bench.log_path.read_text().splitlines() if bench.log_path.exists() else []
            if lines:
                entry: dict[str, Any] = json.loads(lines[-1])
                return entry
            await asyncio.sleep(0.01)


async def raw(bench: Any, data: bytes) -> int:
    """An upstream that reads a request, sends these bytes and hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()

    port: int = await bench.server(answer)
    return port


@pytest.mark.parametrize(
    ("data", "status", "body", "flags", "details"),
    [
        (b"", 503, RESET + "connection termination", "UC", BEFORE + "{connection_termination}"),
        (b"HTTP/1.1 200 OK\r\nx: a\r\n", 503, RESET + "connection termination", "UC", BEFORE + "{connection_termination}"),
        (b"this is no HTTP\r\n\r\n", 502, RESET + "protocol error", "UPE", BEFORE + "{protocol_error}"),
        (TWO_LENGTHS, 502, RESET + "protocol error", "UPE", BEFORE + "{protocol_error}"),
    ],
)  # fmt: skip
async def test_an_upstream_that_does_not_answer_properly(bench: Any, data: bytes, status: int, body: str, flags: str, details: str) -> None:
    await bench.forward_to(await raw(bench, data), access_logs=(LOG,))
    client = await bench.client()
    answer = await client.get()
    assert (answer.status, answer.body.decode()) == (status, body)
    assert await last_log(bench) == {"status": status, "flags": flags, "details": details, "attempts": 1, "failure": None}
    assert (await client.get()).status == status, "the client's connection goes on"


async def test_a_refused_connection(bench: Any, free_port: Callable[[], int]) -> None:
    await bench.forward_to(free_port(), access_logs=(LOG,))
    answer = await (await bench.client()).get()
    assert (answer.status, answer.body.decode()) == (503, RESET + "remote connection failure")
    log = await last_log(bench)
    assert (log["flags"], log["attempts"], log["failure"]) == ("UF", 1, "delayed_connect_error:_Connection_refused")
    assert log["details"] == "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"


@pytest.mark.parametrize("head", [b"content-length: 10", b"transfer-encoding: chunked"])
async def test_a_body_cut_short_is_cut_short_downstream_too(bench: Any, head: bytes) -> None:
    await bench.forward_to(await raw(bench, b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n5\r\nab"), access_logs=(LOG,))
    client = await bench.client()
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.answer()
    log = await last_log(bench)
    assert (log["status"], log["details"].partition("{")[0]) == (200, "upstream_reset_after_response_started")


async def test_a_body_until_close_is_whole(bench: Any) -> None:
    await bench.forward_to(await raw(bench, b"HTTP/1.1 200 OK\r\n\r\nall of it"))
    client = await bench.client()
    for _ in range(2):
        assert (await client.get()).body == b"all of it"


async def test_an_upstream_that_never_answers_meets_the_time_out(bench: Any) -> None:
    async def never(seen: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    await bench.forward_to((await bench.upstream(never)).port, Timeout(0.1), access_logs=(LOG,))
    client = await bench.client()
    answer = await client.get()
    assert (answer.status, answer.body) == (504, b"upstream request timeout")
    log = await last_log(bench)
    assert (log["flags"], log["details"]) == ("UT", "response_timeout")
    assert (await client.get()).status == 504, "the client's connection goes on"


async def test_a_time_out_amid_the_body_cuts_it_off(bench: Any) -> None:
    async def half(seen: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
        await asyncio.sleep(60)

    await bench.forward_to((await bench.upstream(half)).port, Timeout(0.1), access_logs=(LOG,))
    client = await bench.client()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.get()
    log = await last_log(bench)
    assert (log["status"], log["flags"], log["details"]) == (200, "UT", "response_timeout")


async def test_retries_end_in_the_last_failure_and_say_so(bench: Any) -> None:
    await bench.forward_to(await raw(bench, b""), RetryPolicy(retry_on=("reset",), attempts=2), access_logs=(LOG,))
    answer = await (await bench.client()).get()
    assert answer.body.decode() == RESET.replace("reset reason", "retried and the latest reset reason") + "connection termination"
    log = await last_log(bench)
    assert (log["flags"], log["attempts"]) == ("URX,UC", 3)


async def test_a_pooled_connection_that_upstream_closes_meanwhile_costs_nobody_a_request(bench: Any) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
        await writer.drain()

    await bench.forward_to(await bench.server(once))
    client = await bench.client()
    for _ in range(5):
        assert (await client.get()).status == 200
        await asyncio.sleep(0.03)


async def test_bytes_that_nobody_asked_for_end_the_pooled_connection(bench: Any) -> None:
    async def chatty(seen: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")

    upstream = await bench.upstream(chatty)
    await bench.forward_to(upstream.port)
    client = await bench.client()
    for _ in range(3):
        assert (await client.get()).body == b"hi"
    assert upstream.connections == 3


async def test_interim_answers_are_swallowed(bench: Any) -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
    await bench.forward_to((await bench.upstream(answer)).port)
    assert (await (await bench.client()).get()).status == 200


async def test_no_endpoint_no_cluster_no_route(bench: Any, make: Any) -> None:
    await bench.start(
        listeners=[make.listener(access_logs=(LOG,))],
        routes=[make.routes(make.route("none", prefix="/none"), make.route("missing", prefix="/missing"))],
        clusters=[make.cluster("none")],
    )
    client = await bench.client()
    expected = [
        ("/none", 503, b"no healthy upstream", "UH", "no_healthy_upstream"),
        ("/missing", 503, b"", "NC", "cluster_not_found"),
        ("/else", 404, b"", "NR", "route_not_found"),
    ]
    for path, status, body, flags, details in expected:
        answer = await client.get(path)
        assert (answer.status, answer.body, answer.headers["server"]) == (status, body, "istio-envoy")
        log = await last_log(bench)
        assert (log["flags"], log["details"]) == (flags, details)


async def test_unhealthy_endpoints_get_nothing_even_if_there_is_no_other(bench: Any, make: Any) -> None:
    good, bad = await bench.upstream(), await bench.upstream()
    both = (Endpoint("127.0.0.1", good.port), Endpoint("127.0.0.1", bad.port, Health.UNHEALTHY))
    cluster = make.cluster("up", load_assignment=LoadAssignment("up", (LocalityEndpoints(both),)))
    await bench.start(listeners=[make.listener()], routes=[make.routes(make.route("up"))], clusters=[cluster])
    client = await bench.client()
    for _ in range(4):
        assert (await client.get()).status == 200
    assert (len(good.seen), len(bad.seen)) == (4, 0)
    assert [view.endpoint for view in bench.proxy.hosts()] == list(both)
    only_bad = make.cluster("up", load_assignment=LoadAssignment("up", (LocalityEndpoints(both[1:]),)))
    await bench.proxy.apply(clusters=[only_bad])
    answer = await client.get()
    assert (answer.status, answer.body) == (503, b"no healthy upstream")


@pytest.mark.parametrize("policy", [LbPolicy.ROUND_ROBIN, LbPolicy.RANDOM, LbPolicy.LEAST_REQUEST])
async def test_endpoints_share_the_work(bench: Any, make: Any, policy: LbPolicy) -> None:
    upstreams = [await bench.upstream() for _ in range(3)]
    cluster = make.cluster("up", *[upstream.port for upstream in upstreams], lb_policy=policy)
    await bench.start(listeners=[make.listener()], routes=[make.routes(make.route("up"))], clusters=[cluster])
    client = await bench.client()
    for _ in range(90):
        assert (await client.get()).status == 200
    counts = [len(upstream.seen) for upstream in upstreams]
    if policy is LbPolicy.ROUND_ROBIN:
        assert counts == [30, 30, 30]
    assert all(count > 5 for count in counts)


async def test_a_mirror_gets_a_copy_and_nobody_waits_for_it(bench: Any, make: Any) -> None:
    copied = asyncio.Event()

    async def slow(seen: Any, writer: asyncio.StreamWriter) -> None:
        copied.set()
        await asyncio.sleep(60)

    upstream, shadow = await bench.upstream(), await bench.upstream(slow)
    await bench.start(
        listeners=[make.listener()],
        routes=[make.routes(make.route("up", Mirror("shadow", 100.0)))],
        clusters=[make.cluster("up", upstream.port), make.cluster("shadow", shadow.port)],
    )
    assert (await (await bench.client()).get(method="POST", body=b"abc")).status == 200
    await asyncio.wait_for(copied.wait(), 5)
    assert (shadow.seen[0].headers["host"], shadow.seen[0].body) == ("reviews-shadow:9080", b"abc")


async def test_upstream_hears_how_often_and_how_long(bench: Any, make: Any) -> None:
    upstream = await bench.upstream()
    await bench.start(
        listeners=[make.listener()],
        routes=[make.routes(make.route("up", Timeout(2.5)), include_request_attempt_count=True)],
        clusters=[make.cluster("up", upstream.port)],
    )
    answer = await (await bench.client()).get("/", "x-envoy-expected-rq-timeout-ms: 1", "x-envoy-retry-on: 5xx")
    headers = upstream.seen[0].headers
    assert (headers["x-envoy-attempt-count"], headers["x-envoy-expected-rq-timeout-ms"]) == ("1", "2500")
    assert "x-envoy-retry-on" not in headers
    assert len(headers["x-request-id"]) == 36
    assert answer.headers["x-envoy-upstream-service-time"].isdigit()
