"""Header operations: remove, set, add; from the weighted cluster outward; up and down."""

import pytest

from mesh.policy.headers import HeaderOperations
from mesh.sidecar.filter import Headers, Response, local_reply
from mesh.sidecar.filters import headers


def test_a_route_without_the_policy_is_left_alone(scope, world):
    assert headers.build(scope(), world) is None


@pytest.mark.parametrize("name", ["host", ":authority"])
def test_the_authority_is_none_of_its_business(scope, world, name):
    with pytest.raises(ValueError, match=":-prefixed or host headers may not be modified"):
        headers.build(scope(HeaderOperations(request_set=((name, "x"),))), world)


OPERATIONS = HeaderOperations(
    request_remove=("gone", "both"),
    request_set=(("set", "new"), ("both", "again"), ("empty", ""), ("percent", "100%%")),
    request_add=(("add", "2"), ("fresh", "1")),
)


async def test_removal_comes_first_then_set_then_add(scope, world, make, upstream):
    request = make("/", ("gone", "x"), ("both", "old"), ("set", "old"), ("set", "older"), ("add", "1"))
    await headers.build(scope(OPERATIONS), world)(request, upstream)
    assert sorted(upstream.seen[0]["fields"]) == [
        ("add", "1"),
        ("add", "2"),
        ("both", "again"),
        ("fresh", "1"),
        ("percent", "100%"),
        ("set", "new"),
    ]


@pytest.mark.parametrize("side", ["request", "response"])
async def test_the_outermost_set_has_the_last_word(scope, world, make, upstream, side):
    def level(name):
        return HeaderOperations(**{f"{side}_set": (("x", name), (name, "1")), f"{side}_add": (("all", name),)})

    filter_ = headers.build(
        scope(level("route"), cluster=(level("cluster"),), virtual_host=(level("vhost"),), configuration=(level("configuration"),)), world
    )
    response = await filter_(make(), upstream)
    found = Headers(upstream.seen[0]["fields"]) if side == "request" else response.headers
    assert found.get("x") == "configuration"
    assert found.get("all") == "cluster,route,vhost,configuration"


async def test_the_response_is_changed_on_its_way_down(scope, world, make, upstream):
    upstream.answers = [Response(200, Headers([("server", "app"), ("secret", "x")]))]
    operations = HeaderOperations(response_set=(("server", "mesh"),), response_add=(("a", "1"),), response_remove=("secret",))
    response = await headers.build(scope(operations), world)(make(), upstream)
    assert dict(response.headers.items()) == {"server": "mesh", "a": "1"}
    assert upstream.seen[0]["fields"] == []


@pytest.mark.parametrize(("details", "marked"), [("direct_response", True), ("fault_filter_abort", False)])
async def test_a_route_that_answers_itself_marks_that_answer_only(scope, world, make, upstream, details, marked):
    upstream.answers = [local_reply(200, "x", details=details)]
    operations = HeaderOperations(request_set=(("up", "1"),), response_set=(("down", "1"),))
    response = await headers.build(scope(operations, no_cluster=()), world)(make(), upstream)
    assert ("down" in response.headers) is marked
    assert upstream.seen[0]["fields"] == []


async def test_one_requests_change_does_not_reach_the_next(scope, world, make, upstream):
    filter_ = headers.build(scope(OPERATIONS), world)
    for _ in range(2):
        await filter_(make(), upstream)
    assert upstream.seen[0]["fields"] == upstream.seen[1]["fields"]


def test_a_value_that_would_break_out_of_its_line_is_refused(scope, world):
    with pytest.raises(ValueError, match="not a header field"):
        headers.build(scope(HeaderOperations(request_set=(("x", "a\r\nb: c"),))), world)
