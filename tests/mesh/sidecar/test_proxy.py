"""A proxy as a whole: what it is given, it serves; what cannot be, it refuses and serves on; drained, it loses nobody's request."""

import asyncio
import socket
from typing import Any

import pytest

from mesh.model.cluster import Cluster, Discovery
from mesh.model.endpoint import Endpoint, LoadAssignment, LocalityEndpoints
from mesh.model.listener import AccessLogFile
from mesh.model.match import MatchKind, RouteMatch, StringMatch
from mesh.model.route import Route, WeightedCluster
from mesh.policy.headers import HeaderOperations
from mesh.sidecar.proxy import Refused


async def test_a_request_reaches_its_upstream_and_the_answer_comes_back(bench: Any) -> None:
    upstream = await bench.upstream()
    await bench.forward_to(upstream.port)
    answer = await (await bench.client()).get("/a?b=c", "x-some: thing")
    assert (answer.status, answer.body) == (200, b"hi")
    (seen,) = upstream.seen
    assert (seen.method, seen.path, seen.headers["host"], seen.headers["x-some"]) == ("GET", "/a?b=c", "reviews:9080", "thing")


async def test_a_listener_is_not_bound_before_its_routes_are_here(bench: Any, make: Any, free_port: Any) -> None:
    upstream, port = await bench.upstream(), free_port()
    proxy = await bench.start(listeners=[make.listener(port=port)], clusters=[make.cluster("up", upstream.port)])
    assert (proxy.listener_addresses(), proxy.state.warming) == ({}, {"in"})
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await proxy.apply(routes=[make.routes(make.route("up"))])
    assert (proxy.listener_addresses(), proxy.state.warming) == ({"in": ("127.0.0.1", port)}, set())
    assert (await (await bench.client()).get()).status == 200


async def test_new_routes_count_for_the_next_request_on_an_open_connection(bench: Any, make: Any) -> None:
    v1, v2 = await bench.upstream(), await bench.upstream()
    clusters = [make.cluster("v1", v1.port), make.cluster("v2", v2.port)]
    proxy = await bench.start(listeners=[make.listener()], routes=[make.routes(make.route("v1"))], clusters=clusters)
    client = await bench.client()
    await client.get()
    await proxy.apply(routes=[make.routes(make.route("v2"))])
    await client.get()
    assert (len(v1.seen), len(v2.seen)) == (1, 1)


async def test_a_request_under_way_ends_under_the_rules_it_began_with(bench: Any, make: Any) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def wait(seen: Any, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await go.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nv1")

    v1 = await bench.upstream(wait)
    proxy = await bench.start(
        listeners=[make.listener()],
        routes=[make.routes(make.route("v1", HeaderOperations(response_set=(("x-rules", "old"),))))],
        clusters=[make.cluster("v1", v1.port)],
    )
    client = await bench.client()
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    await asyncio.wait_for(asked.wait(), 5)
    await proxy.apply(routes=[make.routes(make.route("gone"))], clusters=[])
    go.set()
    answer = await client.answer()
    assert (answer.status, answer.body, answer.headers["x-rules"]) == (200, b"v1", "old")
    assert (await client.get()).status == 503


async def test_endpoints_come_by_name(bench: Any, make: Any) -> None:
    one, two = await bench.upstream(), await bench.upstream()

    def assignment(*ports: int) -> LoadAssignment:
        return LoadAssignment("outbound|9080||reviews", (LocalityEndpoints(tuple(Endpoint("127.0.0.1", port) for port in ports)),))

    cluster = Cluster("outbound|9080||reviews", Discovery.EDS)
    proxy = await bench.start(listeners=[make.listener()], routes=[make.routes(make.route(cluster.name))], clusters=[cluster])
    client = await bench.client()
    assert (await client.get()).status == 503
    await proxy.apply(load_assignments=[assignment(one.port)])
    assert (await client.get()).status == 200
    await proxy.apply(load_assignments=[assignment(two.port)])
    assert (await client.get()).status == 200
    assert (len(one.seen), len(two.seen)) == (1, 1)
    hosts = [(view.cluster, view.endpoint.port, view.stats.rq_total) for view in proxy.hosts()]
    assert hosts == [("outbound|9080||reviews", two.port, 1)]


async def test_an_endpoint_that_stays_keeps_its_connections(bench: Any, make: Any) -> None:
    one, two = await bench.upstream(), await bench.upstream()
    proxy = await bench.forward_to(one.port)
    client = await bench.client()
    await client.get()
    await proxy.apply(clusters=[make.cluster("up", one.port, two.port)])
    for _ in range(4):
        await client.get()
    assert (one.connections, two.connections, len(two.seen)) == (1, 1, 2)


async def test_a_changed_listener_keeps_its_socket_and_its_connections(bench: Any, make: Any) -> None:
    upstream = await bench.upstream()
    proxy = await bench.forward_to(upstream.port)
    before = proxy.listener_addresses()
    client = await bench.client()
    assert (await client.get()).headers["server"] == "istio-envoy"
    await proxy.apply(listeners=[make.listener(server_name="seatrial")])
    assert proxy.listener_addresses() == before
    assert (await client.get()).headers["server"] == "seatrial"


async def test_a_listener_that_is_gone_listens_no_more_and_ends_its_connections_with_an_answer(bench: Any, make: Any) -> None:
    upstream = await bench.upstream()
    proxy = await bench.forward_to(upstream.port)
    client, address = await bench.client(), proxy.listener_addresses()["in"]
    assert (await client.get()).status == 200
    await proxy.apply(listeners=[])
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)
    answer = await client.get()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await client.is_closed()


def _bad_route(make: Any) -> dict[str, Any]:
    bad = Route(RouteMatch(StringMatch(MatchKind.REGEX, "(")), (WeightedCluster("up"),))
    return {"routes": [make.routes(bad)]}


def _bad_policy(make: Any) -> dict[str, Any]:
    return {"routes": [make.routes(make.route("up", HeaderOperations(request_set=(("x-a", "a\r\nx-b: c"),))))]}


def _bad_route_nobody_uses(make: Any) -> dict[str, Any]:
    bad = make.routes(make.route("up", HeaderOperations(request_set=(("x-a", "\x00"),))), name="unused")
    return {"routes": [make.routes(make.route("other")), bad]}


def _bad_log(make: Any) -> dict[str, Any]:
    return {"listeners": [make.listener(access_logs=(AccessLogFile(text_format="%NONSENSE%\n"),))]}


def _twice(make: Any) -> dict[str, Any]:
    return {"listeners": [make.listener(), make.listener()]}


def _same_address(make: Any) -> dict[str, Any]:
    return {"listeners": [make.listener("one", 45678), make.listener("two", 45678)]}


@pytest.mark.parametrize(
    ("change", "kind", "name"),
    [
        (_bad_route, "route", "routes"),
        (_bad_policy, "route", "routes"),
        (_bad_route_nobody_uses, "route", "unused"),
        (_bad_log, "listener", "in"),
        (_twice, "listener", "in"),
        (_same_address, "listener", "two"),
    ],
)
async def test_what_cannot_be_is_refused_and_the_last_good_state_serves_on(
    bench: Any, make: Any, change: Any, kind: str, name: str
) -> None:
    upstream = await bench.upstream()
    proxy = await bench.forward_to(upstream.port)
    client, state = await bench.client(), proxy.state
    with pytest.raises(Refused) as refused:
        await proxy.apply(**change(make), clusters=[])
    assert (refused.value.kind, refused.value.name) == (kind, name)
    assert refused.value.message
    assert proxy.state is state
    assert (await client.get()).status == 200
    assert (await (await bench.client()).get()).status == 200


async def test_an_address_that_is_taken_is_refused_and_nothing_else_of_the_change_happens(bench: Any, make: Any, free_port: Any) -> None:
    proxy = await bench.forward_to((await bench.upstream()).port)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken, free = other.getsockname()[1], free_port()
        with pytest.raises(Refused, match="Address already in use"):
            await proxy.apply(listeners=[make.listener(), make.listener("free", free), make.listener("taken", taken)])
    assert list(proxy.listener_addresses()) == ["in"]
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", free)
    assert (await (await bench.client()).get()).status == 200


async def test_draining_loses_no_request(bench: Any) -> None:
    async def slow(seen: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")

    proxy = await bench.forward_to((await bench.upstream(slow)).port)
    address = proxy.listener_addresses()["in"]
    draining, busy = asyncio.Event(), asyncio.Event()
    answers: list[int] = []

    async def ask_until_told_to_leave() -> None:
        client = await bench.client()
        while True:
            answer = await client.get()
            answers.append(answer.status)
            if len(answers) >= 40:
                busy.set()
            if answer.headers.get("connection") == "close":
                assert draining.is_set()
                assert await client.is_closed()
                return

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(ask_until_told_to_leave())
        await asyncio.wait_for(busy.wait(), 10)
        draining.set()
        await proxy.drain(5)
    assert set(answers) == {200}
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)


async def test_draining_waits_for_an_answer_but_not_for_ever(bench: Any) -> None:
    asked = asyncio.Event()

    async def never(seen: Any, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.sleep(60)

    proxy = await bench.forward_to((await bench.upstream(never)).port)
    client = await bench.client()
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    await asyncio.wait_for(asked.wait(), 5)
    began = asyncio.get_running_loop().time()
    await proxy.drain(0.8)
    assert 0.7 < asyncio.get_running_loop().time() - began < 2


async def test_changes_under_load_lose_nothing(bench: Any, make: Any) -> None:
    upstreams = [await bench.upstream() for _ in range(3)]
    proxy = await bench.forward_to(upstreams[0].port)
    done = asyncio.Event()

    async def ask() -> None:
        client = await bench.client()
        while not done.is_set():
            assert (await client.get()).status == 200

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(ask())
        for number in range(60):
            await proxy.apply(
                listeners=[make.listener(server_name=f"s{number}")],
                routes=[make.routes(make.route("up", name_of(number)))],
                clusters=[make.cluster("up", upstreams[number % 3].port)],
            )
            await asyncio.sleep(0.005)
        done.set()


def name_of(number: int) -> HeaderOperations:
    return HeaderOperations(response_set=(("x-number", str(number)),))


async def test_it_counts_by_envoys_names(bench: Any) -> None:
    proxy = await bench.forward_to((await bench.upstream()).port)
    client = await bench.client()
    await client.get()
    client.send(b"nonsense\r\n\r\n")
    await client.answer()
    stats = proxy.stats()
    assert stats["http.test.downstream_rq_total"] == 1
    assert stats["http.test.downstream_rq_2xx"] == 1
    assert stats["http.test.downstream_cx_protocol_error"] == 1
    assert stats["cluster.up.upstream_rq_total"] == 1
    text = proxy.prometheus()
    assert '# TYPE envoy_cluster_upstream_rq_total counter\nenvoy_cluster_upstream_rq_total{envoy_cluster_name="up"} 1\n' in text
    assert (
        '# TYPE envoy_http_downstream_cx_active gauge\nenvoy_http_downstream_cx_active{envoy_http_conn_manager_prefix="test"} 1\n' in text
    )
