"""CORS: preflights, simple requests, origins that match and that do not."""

import pytest

from mesh.model.match import MatchKind, StringMatch
from mesh.policy.cors import CorsPolicy
from mesh.policy.redirect import Redirect
from mesh.sidecar.filters import cors

GOOD = "https://good.example"
POLICY = CorsPolicy(
    allow_origins=(StringMatch(MatchKind.EXACT, GOOD), StringMatch(MatchKind.REGEX, r"https://.*\.ok\.example")),
    allow_methods="GET,POST",
    allow_headers="x-a,x-b",
    expose_headers="x-c",
    max_age="86400",
    allow_credentials=True,
)


def preflight(origin):
    return ("origin", origin), ("access-control-request-method", "PUT"), ("access-control-request-headers", "x-q")


def test_a_route_without_the_policy_is_left_alone(scope, world):
    assert cors.build(scope(), world) is None
    assert cors.build(scope(Redirect(), POLICY, no_cluster=()), world) is None


async def test_a_preflight_is_answered_here(scope, world, make, upstream):
    response = await cors.build(scope(POLICY), world)(make("/", *preflight(GOOD), method="OPTIONS"), upstream)
    assert (response.status, response.details, upstream.seen) == (200, "cors_response", [])
    assert dict(response.headers.items()) == {
        "access-control-allow-origin": GOOD,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET,POST",
        "access-control-allow-headers": "x-a,x-b",
        "access-control-expose-headers": "x-c",
        "access-control-max-age": "86400",
    }


async def test_a_star_echoes_what_was_asked_for(scope, world, make, upstream):
    policy = CorsPolicy((StringMatch(MatchKind.EXACT, "*"),), allow_methods="*", allow_headers="*")
    response = await cors.build(scope(policy), world)(make("/", *preflight("http://any"), method="OPTIONS"), upstream)
    assert dict(response.headers.items()) == {
        "access-control-allow-origin": "http://any",
        "access-control-allow-methods": "PUT",
        "access-control-allow-headers": "x-q",
    }


async def test_a_foreign_preflight_goes_to_the_application(scope, world, make, upstream):
    response = await cors.build(scope(POLICY), world)(make("/", *preflight("http://bad"), method="OPTIONS"), upstream)
    assert (len(upstream.seen), list(response.headers.items())) == (1, [])


async def test_a_foreign_preflight_is_answered_without_an_origin_when_told(scope, world, make, upstream):
    policy = CorsPolicy(POLICY.allow_origins, allow_methods="GET", forward_not_matching_preflights=False)
    response = await cors.build(scope(policy), world)(make("/", *preflight("http://bad"), method="OPTIONS"), upstream)
    assert (upstream.seen, dict(response.headers.items())) == ([], {"access-control-allow-methods": "GET"})


@pytest.mark.parametrize(("origin", "allowed"), [(GOOD, True), ("https://a.ok.example", True), ("https://ok.example", False), ("", False)])
async def test_a_simple_request_is_marked_for_allowed_origins(scope, world, make, upstream, origin, allowed):
    response = await cors.build(scope(POLICY), world)(make("/", ("origin", origin)), upstream)
    marks = {"access-control-allow-origin": origin, "access-control-allow-credentials": "true", "access-control-expose-headers": "x-c"}
    assert dict(response.headers.items()) == (marks if allowed else {})
    assert len(upstream.seen) == 1


async def test_options_without_a_requested_method_is_no_preflight(scope, world, make, upstream):
    await cors.build(scope(POLICY), world)(make("/", ("origin", GOOD), method="OPTIONS"), upstream)
    assert len(upstream.seen) == 1


async def test_no_origin_no_cors(scope, world, make, upstream):
    response = await cors.build(scope(POLICY), world)(make(), upstream)
    assert list(response.headers.items()) == []
