"""Direct responses answer without an upstream."""

import pytest

from mesh.policy.direct_response import DirectResponse
from mesh.sidecar.filters import direct_response


def test_a_route_without_the_policy_is_left_alone(scope, world):
    assert direct_response.build(scope(), world) is None


async def test_status_and_body_come_as_configured(scope, world, make, upstream):
    answer = direct_response.build(scope(DirectResponse(503, b"gone fishing"), no_cluster=()), world)
    for _ in range(2):
        response = await answer(make(), upstream)
        assert (response.status, response.body.take(), response.details) == (503, b"gone fishing", "direct_response")
        assert dict(response.headers.items()) == {"content-type": "text/plain", "content-length": "12"}
    assert upstream.seen == []


async def test_no_body_means_no_content_type(scope, world, make, upstream):
    response = await direct_response.build(scope(DirectResponse(204), no_cluster=()), world)(make(), upstream)
    assert (response.status, list(response.headers.items())) == (204, [])


@pytest.mark.parametrize(("status", "located"), [(200, False), (201, True), (302, True), (400, False)])
async def test_a_created_or_moved_thing_gets_a_location(scope, world, make, upstream, status, located):
    response = await direct_response.build(scope(DirectResponse(status), no_cluster=()), world)(make("/x?q", authority="a:80"), upstream)
    assert response.headers.get("location") == ("http://a:80/x?q" if located else None)
