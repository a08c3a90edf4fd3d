"""Retries: which failures, how often, how long between; the request's own wishes; per-try time-outs."""

import asyncio

import pytest

from mesh.policy.redirect import Redirect
from mesh.policy.retry import RetryPolicy
from mesh.policy.timeout import Timeout
from mesh.sidecar.filter import Body, Flag, Headers, Reset, Response, local_reply
from mesh.sidecar.filters import retry

THRICE = RetryPolicy(3, ("5xx",))
NOTHING = RetryPolicy(1, ())


def on(*tokens, attempts=1, **options):
    return RetryPolicy(attempts, tokens, **options)


async def tries(scope, world, make, upstream, policy, answer, *pairs):
    world.rolls = [0.5] * 10
    upstream.answers = [answer]
    response = await retry.build(scope(policy), world)(make("/", *pairs), upstream)
    return len(upstream.seen), response


def test_a_route_without_the_policy_is_left_alone(scope, world):
    assert retry.build(scope(), world) is None


def test_a_route_that_answers_itself_needs_none(scope, world):
    assert retry.build(scope(Redirect(), THRICE, no_cluster=()), world) is None


@pytest.mark.parametrize(
    ("token", "statuses"),
    [
        ("5xx", {500, 502, 503, 504, 599}),
        ("gateway-error", {502, 503, 504}),
        ("retriable-4xx", {409}),
        ("retriable-status-codes", {418}),
        ("connect-failure", set()),
        ("reset", set()),
        ("unavailable", set()),
    ],
)
async def test_statuses(scope, world, make, upstream, token, statuses):
    retried = set()
    for status in (200, 301, 400, 404, 409, 418, 500, 502, 503, 504, 599):
        upstream.seen.clear()
        count, _ = await tries(scope, world, make, upstream, on(token, retriable_status_codes=(418,)), Response(status))
        if count == 2:
            retried.add(status)
    assert retried == statuses


@pytest.mark.parametrize(
    ("token", "kinds"),
    [
        ("5xx", set(Reset) - {Reset.OVERFLOW, Reset.NO_CLUSTER, Reset.NO_HEALTHY_UPSTREAM}),
        ("gateway-error", set(Reset) - {Reset.OVERFLOW, Reset.NO_CLUSTER, Reset.NO_HEALTHY_UPSTREAM}),
        ("reset", set(Reset) - {Reset.OVERFLOW, Reset.NO_CLUSTER, Reset.NO_HEALTHY_UPSTREAM}),
        ("connect-failure", {Reset.CONNECTION_FAILURE, Reset.CONNECTION_TIMEOUT}),
        ("reset-before-request", {Reset.CONNECTION_FAILURE, Reset.CONNECTION_TIMEOUT}),
        ("refused-stream", {Reset.REFUSED_STREAM}),
        ("retriable-status-codes", set()),
    ],
)
async def test_resets(scope, world, make, upstream, answer_reset, token, kinds):
    retried = set()
    for kind in Reset:
        upstream.seen.clear()
        count, _ = await tries(scope, world, make, upstream, on(token), answer_reset(kind))
        if count == 2:
            retried.add(kind)
    assert retried == kinds


@pytest.mark.parametrize(
    ("code", "token"), [("1", "cancelled"), ("4", "deadline-exceeded"), ("8", "resource-exhausted"), ("14", "unavailable")]
)
async def test_grpc_statuses(scope, world, make, upstream, code, token):
    count, _ = await tries(scope, world, make, upstream, on(token), Response(200, Headers([("grpc-status", code)])))
    assert count == 2
    upstream.seen.clear()
    count, _ = await tries(scope, world, make, upstream, on(token), Response(200, Headers([("grpc-status", "0")])))
    assert count == 1


async def test_a_rate_limited_answer_is_retried_only_when_named(scope, world, make, upstream):
    limited = Response(503, Headers([("x-envoy-ratelimited", "true")]))
    assert (await tries(scope, world, make, upstream, on("5xx"), limited))[0] == 1
    upstream.seen.clear()
    assert (await tries(scope, world, make, upstream, on("envoy-ratelimited"), limited))[0] == 2


async def test_an_answer_made_here_is_not_taken_for_the_upstreams(scope, world, make, upstream):
    assert (await tries(scope, world, make, upstream, on("5xx"), local_reply(503, details="x")))[0] == 1


async def test_the_first_good_answer_is_given(scope, world, make, upstream):
    world.rolls = [0.5, 0.5]
    bad = Response(503, body=Body())
    upstream.answers = [bad, Response(500), Response(200)]
    response = await retry.build(scope(THRICE), world)(make(), upstream)
    assert (response.status, response.flags, len(upstream.seen)) == (200, 0, 3)
    assert bad.body.failed == "closed"


async def test_the_last_bad_answer_is_given_and_marked(scope, world, make, upstream):
    count, response = await tries(scope, world, make, upstream, THRICE, Response(503))
    assert (count, response.status, response.flags) == (4, 503, Flag.URX)


async def test_the_back_off_doubles_under_full_jitter_up_to_its_cap(scope, world, make, upstream):
    await tries(scope, world, make, upstream, on("5xx", attempts=6), Response(503))
    assert world.slept == pytest.approx([0.0125, 0.025, 0.05, 0.1, 0.125, 0.125])


async def test_other_hosts_are_preferred(scope, world, make, upstream):
    await tries(scope, world, make, upstream, on("5xx"), Response(200))
    await tries(scope, world, make, upstream, on("5xx", avoid_previous_hosts=False), Response(200))
    assert [seen["host_attempts"] for seen in upstream.seen] == [6, 1]


async def test_a_request_may_ask_for_retries_by_itself(scope, world, make, upstream):
    pairs = ("x-envoy-retry-on", "nonsense, 5xx"), ("x-envoy-max-retries", "2")
    count, _ = await tries(scope, world, make, upstream, NOTHING, Response(503), *pairs)
    assert (count, upstream.seen[0]["fields"]) == (3, [])


async def test_it_asks_for_one_unless_it_says_more(scope, world, make, upstream):
    assert (await tries(scope, world, make, upstream, NOTHING, Response(503), ("x-envoy-retry-on", "5xx")))[0] == 2


async def test_its_conditions_are_added_and_its_number_takes_precedence(scope, world, make, upstream):
    pairs = ("x-envoy-retry-on", "retriable-4xx"), ("x-envoy-max-retries", "0")
    count, response = await tries(scope, world, make, upstream, THRICE, Response(409), *pairs)
    assert (count, response.flags) == (1, Flag.URX)


@pytest.mark.parametrize(
    ("pairs", "answer"),
    [
        ((("x-envoy-retry-on", "retriable-status-codes"), ("x-envoy-retriable-status-codes", "418, x")), Response(418)),
        ((("x-envoy-retry-on", "retriable-headers"), ("x-envoy-retriable-header-names", "X-Try")), Response(200, Headers([("x-try", "")]))),
        ((("x-envoy-retry-grpc-on", "unavailable"),), Response(200, Headers([("grpc-status", "14")]))),
    ],
)
async def test_it_may_name_codes_headers_and_grpc_statuses(scope, world, make, upstream, pairs, answer):
    assert (await tries(scope, world, make, upstream, NOTHING, answer, *pairs))[0] == 2


async def test_without_condition_or_wish_nothing_is_retried_or_timed(scope, world, make, upstream):
    assert (await tries(scope, world, make, upstream, NOTHING, Response(503)))[0] == 1
    assert world.timers == []


async def test_the_whole_body_goes_with_every_try(scope, world, make, upstream):
    world.rolls = [0.5]
    upstream.answers = [Response(503), Response(200)]
    await retry.build(scope(THRICE), world)(make(body=b"data", method="POST"), upstream)
    assert [seen["body"] for seen in upstream.seen] == [b"data", b"data"]


async def test_a_body_that_is_gone_cannot_be_sent_again(scope, world, make, upstream):
    upstream.answers = [Response(503)]
    response = await retry.build(scope(THRICE), world)(make(body=b"x" * (retry.BODY_LIMIT_BYTES + 1)), upstream)
    assert (len(upstream.seen), response.status) == (1, 503)


async def test_a_try_that_takes_too_long_is_given_up(scope, world, make, upstream):
    world.rolls = [0.5]
    upstream.answers = ["never", Response(200)]
    answer = asyncio.ensure_future(retry.build(scope(on("5xx", per_try_timeout_seconds=1)), world)(make(), upstream))
    await world.settle()
    assert world.running == [1]
    world.advance(1)
    assert (await answer).status == 200
    assert (upstream.cancelled, world.running) == (1, [])


async def test_the_last_one_too_becomes_504(scope, world, make, upstream):
    upstream.answers = ["never"]
    answer = asyncio.ensure_future(retry.build(scope(on("connect-failure", per_try_timeout_seconds=1)), world)(make(), upstream))
    await world.settle()
    world.advance(1)
    response = await answer
    assert (response.status, response.flags, response.details) == (504, Flag.UT, "upstream_per_try_timeout")


async def test_a_per_try_limit_not_below_the_routes_is_ignored(scope, world, make, upstream):
    await retry.build(scope(on("5xx", per_try_timeout_seconds=1), Timeout(1)), world)(make(), upstream)
    assert world.timers == []


async def test_the_request_may_set_the_per_try_limit(scope, world, make, upstream):
    await retry.build(scope(NOTHING), world)(make("/", ("x-envoy-upstream-rq-per-try-timeout-ms", "70")), upstream)
    assert [timer.due for timer in world.timers] == [0.07]
    assert upstream.seen[0]["fields"] == []
