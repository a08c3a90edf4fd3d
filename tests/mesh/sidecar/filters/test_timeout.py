"""Time-outs: from the end of the request to the end of the answer."""

import asyncio

import pytest

from mesh.policy.redirect import Redirect
from mesh.policy.timeout import Timeout
from mesh.sidecar.filter import Body, Flag, Response
from mesh.sidecar.filters import timeout

HEADER = "x-envoy-upstream-rq-timeout-ms"


def test_a_route_that_answers_itself_needs_none(scope, world):
    assert timeout.build(scope(Redirect(), Timeout(1), no_cluster=()), world) is None


def test_a_route_without_the_policy_is_left_alone(scope, world):
    assert timeout.build(scope(), world) is None


async def test_zero_seconds_mean_no_limit(scope, world, make, upstream):
    assert (await timeout.build(scope(Timeout(0)), world)(make(), upstream)).status == 200
    assert world.timers == []


async def test_a_late_answer_becomes_504(scope, world, make, upstream):
    upstream.answers = ["never"]
    answer = asyncio.ensure_future(timeout.build(scope(Timeout(2)), world)(make(), upstream))
    await world.settle()
    world.advance(1.9)
    await world.settle()
    assert not answer.done()
    world.advance(0.1)
    response = await answer
    assert (response.status, response.body.take(), response.flags) == (504, b"upstream request timeout", Flag.UT)
    assert (response.details, upstream.cancelled) == ("response_timeout", 1)


async def test_a_quick_answer_stops_the_timer(scope, world, make, upstream):
    response = await timeout.build(scope(Timeout(2)), world)(make(), upstream)
    assert (response.status, world.running) == (200, [])


@pytest.mark.parametrize(("wish", "running"), [("50", [0.05]), ("0", []), ("nonsense", [2.0]), ("", [2.0])])
async def test_the_requests_own_limit_takes_precedence_and_ends_here(scope, world, make, upstream, wish, running):
    upstream.answers = ["never"]
    answer = asyncio.ensure_future(timeout.build(scope(Timeout(2)), world)(make("/", (HEADER, wish)), upstream))
    await world.settle()
    assert (world.running, upstream.seen[0]["fields"]) == (running, [])
    answer.cancel()
    await world.settle()
    assert world.running == []


async def test_the_time_runs_from_the_end_of_the_request(scope, world, make, upstream):
    upstream.answers = ["never"]
    body = Body()
    answer = asyncio.ensure_future(timeout.build(scope(Timeout(2)), world)(make(body=body), upstream))
    await world.settle()
    assert world.running == []
    world.advance(10)
    body.finish()
    assert world.running == [2]
    world.advance(2)
    assert (await answer).status == 504


async def test_an_answer_that_began_is_cut_off(scope, world, make, upstream):
    body = Body()
    upstream.answers = [Response(200, body=body)]
    request = make()
    response = await timeout.build(scope(Timeout(2)), world)(request, upstream)
    assert (response.status, world.running) == (200, [2])
    body.feed(b"x")
    world.advance(2)
    assert (body.failed, request.stream.flags) == ("response timeout", Flag.UT)


async def test_an_answer_that_ends_in_time_is_whole(scope, world, make, upstream):
    body = Body()
    upstream.answers = [Response(200, body=body)]
    await timeout.build(scope(Timeout(2)), world)(make(), upstream)
    body.finish()
    assert (world.running, body.failed) == ([], "")


async def test_an_upgraded_connection_has_no_limit(scope, world, make, upstream):
    request = make()
    request.upgrade = "websocket"
    await timeout.build(scope(Timeout(2)), world)(request, upstream)
    assert world.timers == []


async def test_anothers_time_out_is_not_taken_for_ours(scope, world, make):
    async def broken(request):
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await timeout.build(scope(Timeout(2)), world)(make(), broken)
