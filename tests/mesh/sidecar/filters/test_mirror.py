"""Mirroring: a copy beside the request, bounded, never in its way."""

import asyncio

import pytest

from mesh.policy.mirror import Mirror, shadow_authority
from mesh.policy.redirect import Redirect
from mesh.policy.timeout import Timeout
from mesh.sidecar.filter import Body, Response
from mesh.sidecar.filters import mirror

V2 = Mirror("v2")


class Drain:
    """An upstream connection that takes all."""

    def body_data(self, data: bytes) -> None: ...

    def body_end(self) -> None: ...

    def body_failed(self, reason: str) -> None: ...


def test_a_route_without_the_policy_is_left_alone(scope, world):
    assert mirror.build(scope(), world) is None
    assert mirror.build(scope(Redirect(), V2, no_cluster=()), world) is None


@pytest.mark.parametrize(
    ("authority", "shadow"),
    [("reviews", "reviews-shadow"), ("reviews:9080", "reviews-shadow:9080"), ("[::1]", "[::1]-shadow"), ("[::1]:80", "[::1]-shadow:80")],
)
def test_the_copys_host_says_what_it_is(authority, shadow):
    assert shadow_authority(authority) == shadow


async def test_the_copy_is_the_same_request(scope, world, make, upstream):
    world.rolls = [0.0]
    request = make("/x", ("a", "b"), ("x-envoy-retry-on", "5xx"), body=b"data", method="POST")
    response = await mirror.build(scope(V2), world)(request, upstream)
    await world.settle()
    [(cluster, copy)] = world.sent
    assert (cluster, copy.method, copy.path, copy.authority) == ("v2", "POST", "/x", "reviews-shadow:9080")
    assert (list(copy.headers.items()), copy.body.take()) == (
        [("a", "b"), ("x-envoy-internal", "true"), ("x-forwarded-for", "10.0.0.1")],
        b"data",
    )
    assert (response.status, upstream.seen[0]["body"], upstream.seen[0]["authority"]) == (200, b"data", "reviews:9080")


async def test_only_the_share_is_mirrored(scope, world, make, upstream):
    world.rolls = [0.25, 0.24, 0.99]
    filter_ = mirror.build(scope(Mirror("v2", 25), Mirror("v3", 25)), world)
    world.rolls.append(0.0)
    await filter_(make(), upstream)
    await filter_(make(), upstream)
    await world.settle()
    assert [cluster for cluster, _ in world.sent] == ["v3", "v3"]


async def test_the_request_does_not_wait_for_the_copy(scope, world, make, upstream):
    world.rolls, world.send_answer = [0.0], asyncio.Event().wait
    assert (await mirror.build(scope(V2), world)(make(), upstream)).status == 200
    await world.settle()
    assert (len(world.sent), world.running) == (1, [15])
    world.advance(15)
    await world.settle()
    assert all(task.done() and task.exception() is None for task in world.tasks)


async def test_the_copy_has_the_routes_time(scope, world, make, upstream):
    world.rolls, world.send_answer = [0.0], asyncio.Event().wait
    await mirror.build(scope(V2, Timeout(3)), world)(make(), upstream)
    await world.settle()
    assert world.running == [3]
    world.advance(3)
    await world.settle()


async def test_a_streamed_body_is_copied_when_it_is_whole(scope, world, make, upstream):
    world.rolls = [0.0]
    body = Body()
    await mirror.build(scope(V2), world)(make(body=body), upstream)
    body.feed(b"one")
    body.feed(b"two")
    await world.settle()
    assert world.sent == []
    body.finish()
    await world.settle()
    assert world.sent[0][1].body.take() == b"onetwo"


@pytest.mark.parametrize("end", ["too long", "broken"])
async def test_a_body_that_cannot_be_kept_is_not_mirrored(scope, world, make, upstream, end):
    world.rolls = [0.0]
    body = Body()
    await mirror.build(scope(V2), world)(make(body=body), upstream)
    if end == "broken":
        body.feed(b"x")
        body.fail("reset")
    else:
        body.attach(Drain())
        body.feed(b"x" * mirror.BODY_LIMIT_BYTES)
        body.feed(b"x")
        body.finish()
    await world.settle()
    assert world.sent == []


async def test_copies_under_way_are_bounded(scope, world, make, upstream):
    world.send_answer = asyncio.Event().wait
    world.rolls = [0.0] * 2 * mirror.MAX_UNDER_WAY
    filter_ = mirror.build(scope(V2), world)
    for _ in range(2 * mirror.MAX_UNDER_WAY):
        await filter_(make(), upstream)
    await world.settle()
    assert len(world.sent) == mirror.MAX_UNDER_WAY
    world.advance(15)
    await world.settle()
    world.rolls, world.send_answer = [0.0], None
    await filter_(make(), upstream)
    await world.settle()
    assert len(world.sent) == mirror.MAX_UNDER_WAY + 1


@pytest.mark.parametrize("end", ["whole", "broken"])
async def test_the_answer_is_read_to_its_end(scope, world, make, upstream, end):
    world.rolls = [0.0]
    answer = Response(200, body=Body())

    async def send():
        return answer

    world.send_answer = send
    await mirror.build(scope(V2), world)(make(), upstream)
    await world.settle()
    answer.body.feed(b"x" * 100_000)
    assert (world.running, answer.body.failed) == ([15], "")
    answer.body.finish() if end == "whole" else answer.body.fail("reset")
    await world.settle()
    assert world.running == []
    assert all(task.done() and task.exception() is None for task in world.tasks)


async def test_an_answer_without_an_end_is_let_go_of_in_time(scope, world, make, upstream):
    world.rolls = [0.0]
    answer = Response(500, body=Body())

    async def send():
        return answer

    world.send_answer = send
    assert (await mirror.build(scope(V2), world)(make(), upstream)).status == 200
    await world.settle()
    assert answer.body.failed == ""
    world.advance(15)
    await world.settle()
    assert answer.body.failed == "closed"


async def test_the_routes_mirrors_replace_the_virtual_hosts(scope, world, make, upstream):
    world.rolls = [0.0]
    await mirror.build(scope(V2, virtual_host=(Mirror("other"),)), world)(make(), upstream)
    await world.settle()
    assert [cluster for cluster, _ in world.sent] == ["v2"]
