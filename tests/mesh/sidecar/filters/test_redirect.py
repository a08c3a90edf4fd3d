"""Redirects: each part of the Location, Envoy's rules for the port."""

import pytest

from mesh.model.match import MatchKind, StringMatch
from mesh.policy.redirect import Redirect
from mesh.sidecar.filters import redirect

PREFIX = StringMatch(MatchKind.PREFIX, "/old")
EXACT = StringMatch(MatchKind.EXACT, "/old")


def test_a_route_without_the_policy_is_left_alone(scope, world):
    assert redirect.build(scope(), world) is None


@pytest.mark.parametrize(
    ("policy", "match", "path", "authority", "location"),
    [
        (Redirect(), PREFIX, "/old?q=1", "a:80", "http://a:80/old?q=1"),
        (Redirect(path="/new"), PREFIX, "/old/x", "a", "http://a/new"),
        (Redirect(path="/new"), PREFIX, "/old/x?q=1", "a", "http://a/new?q=1"),
        (Redirect(path="/new?z"), PREFIX, "/old?q=1", "a", "http://a/new?z"),
        (Redirect(path="new"), PREFIX, "/old", "a", "http://a/new"),
        (Redirect(prefix="/new"), PREFIX, "/old/x?q=1", "a", "http://a/new/x?q=1"),
        (Redirect(prefix="/new"), EXACT, "/old?q=1", "a", "http://a/new?q=1"),
        (Redirect(regex=("/(.*)", r"/n/\1")), PREFIX, "/old/x?q=1", "a", "http://a/n/old/x?q=1"),
        (Redirect(authority="b"), PREFIX, "/old", "a:80", "http://b/old"),
        (Redirect(authority="b:81"), PREFIX, "/old", "a:80", "http://b:81/old"),
        (Redirect(port=81), PREFIX, "/old", "a:80", "http://a:81/old"),
        (Redirect(port=81, authority="b"), PREFIX, "/old", "a:80", "http://b:81/old"),
        (Redirect(port=81), PREFIX, "/old", "[::1]:80", "http://[::1]:81/old"),
        (Redirect(scheme="https"), PREFIX, "/old", "a:80", "https://a/old"),
        (Redirect(scheme="https"), PREFIX, "/old", "a:8080", "https://a:8080/old"),
        (Redirect(scheme="https"), PREFIX, "/old", "[::1]", "https://[::1]/old"),
        (Redirect(scheme="http"), PREFIX, "/old", "a:80", "http://a:80/old"),
    ],
)
async def test_location(scope, world, make, upstream, policy, match, path, authority, location):
    filter_ = redirect.build(scope(policy, match=match, no_cluster=()), world)
    response = await filter_(make(path, authority=authority), upstream)
    assert response.headers.get("location") == location
    assert (response.status, response.details, upstream.seen) == (301, "direct_response", [])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_status(scope, world, make, upstream, status):
    assert (await redirect.build(scope(Redirect(status), no_cluster=()), world)(make(), upstream)).status == status


async def test_the_port_is_judged_by_what_the_connection_spoke(scope, world, make, upstream):
    filter_ = redirect.build(scope(Redirect(scheme="http"), no_cluster=()), world)
    response = await filter_(make("/", ("x-forwarded-proto", "https"), authority="a:443"), upstream)
    assert response.headers.get("location") == "http://a/"
