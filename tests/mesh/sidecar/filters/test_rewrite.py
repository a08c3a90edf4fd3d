"""Rewrites: prefix, whole path, regex, authority; what was there before goes along."""

import pytest

from mesh.model.match import MatchKind, StringMatch
from mesh.policy.rewrite import Rewrite
from mesh.sidecar.filters import rewrite


def test_a_route_without_the_policy_is_left_alone(scope, world):
    assert rewrite.build(scope(), world) is None


@pytest.mark.parametrize(
    ("policy", "kind", "path", "expected"),
    [
        (Rewrite(path="/new"), MatchKind.PREFIX, "/old/x?q=/old", "/new/x?q=/old"),
        (Rewrite(path="/"), MatchKind.PREFIX, "/old/x", "//x"),
        (Rewrite(path="/new"), MatchKind.PATH_PREFIX, "/old/x", "/new/x"),
        (Rewrite(path="/new"), MatchKind.EXACT, "/old?q=1", "/new?q=1"),
        (Rewrite(path="/new"), MatchKind.REGEX, "/old/x?q=1", "/new?q=1"),
        (Rewrite(regex=("/old/([0-9]+)", r"/new/\1/\\")), MatchKind.PREFIX, "/old/12?q=/old/3", "/new/12/\\?q=/old/3"),
        (Rewrite(regex=("o", r"\0\0")), MatchKind.PREFIX, "/old/foo", "/oold/foooo"),
        (Rewrite(regex=("l", r"\g<0>".replace("\\", "\\\\"))), MatchKind.PREFIX, "/old", r"/o\g<0>d"),
    ],
)
async def test_path(scope, world, make, upstream, policy, kind, path, expected):
    request = make(path)
    await rewrite.build(scope(policy, match=StringMatch(kind, "/old")), world)(request, upstream)
    assert upstream.seen[0]["path"] == expected
    assert upstream.seen[0]["headers"] == {"x-envoy-original-path": path}
    assert request.stream.original_path == path


async def test_authority(scope, world, make, upstream):
    await rewrite.build(scope(Rewrite(authority="ratings")), world)(make(authority="reviews"), upstream)
    assert upstream.seen[0]["authority"] == "ratings"
    assert upstream.seen[0]["headers"] == {"x-envoy-original-host": "reviews"}


async def test_the_clusters_authority_comes_before_the_routes(scope, world, make, upstream):
    await rewrite.build(scope(Rewrite(authority="far"), cluster=(Rewrite(authority="near"),)), world)(make(), upstream)
    assert upstream.seen[0]["authority"] == "near"


@pytest.mark.parametrize(("regex", "reason"), [(("(", ""), "bad regex")])
def test_a_bad_regex_is_refused_when_configuration_arrives(scope, world, regex, reason):
    with pytest.raises(ValueError, match=reason):
        rewrite.build(scope(Rewrite(regex=regex)), world)
