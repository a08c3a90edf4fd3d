"""Fault injection: independent dice, delay then abort, Envoy's body and flags."""

import pytest

from mesh.policy.fault import Fault
from mesh.sidecar.filter import Flag
from mesh.sidecar.filters import fault

DELAY = Fault(delay_seconds=7, delay_percent=50)
ABORT = Fault(abort_status=418, abort_percent=50)
BOTH = Fault(delay_seconds=2, delay_percent=100, abort_status=503, abort_percent=100)


def test_a_route_without_the_policy_is_left_alone(scope, world):
    assert fault.build(scope(), world) is None


async def test_a_delayed_request_waits_and_goes_on(scope, world, make, upstream):
    world.rolls = [0.49, 0.99]
    request = make()
    response = await fault.build(scope(DELAY), world)(request, upstream)
    assert (response.status, world.slept, request.stream.flags) == (200, [7], Flag.DI)


async def test_the_other_half_is_not_delayed(scope, world, make, upstream):
    world.rolls = [0.5, 0.0]
    request = make()
    assert (await fault.build(scope(DELAY), world)(request, upstream)).status == 200
    assert (world.slept, request.stream.flags) == ([], 0)


async def test_an_aborted_request_never_leaves(scope, world, make, upstream):
    world.rolls = [0.0, 0.49]
    response = await fault.build(scope(ABORT), world)(make(), upstream)
    assert (response.status, response.body.take(), response.flags) == (418, b"fault filter abort", Flag.FI)
    assert response.details == "fault_filter_abort"
    assert upstream.seen == []


async def test_a_delay_comes_before_the_abort(scope, world, make, upstream):
    world.rolls = [0.0, 0.0]
    request = make()
    response = await fault.build(scope(BOTH), world)(request, upstream)
    assert (response.status, world.slept) == (503, [2])
    assert request.stream.flags | response.flags == Flag.DI | Flag.FI


async def test_zero_percent_never_hits(scope, world, make, upstream):
    world.rolls = [0.0, 0.0]
    never = Fault(delay_seconds=1, delay_percent=0, abort_status=500, abort_percent=0)
    assert (await fault.build(scope(never), world)(make(), upstream)).status == 200


@pytest.mark.parametrize("level", ["cluster", "virtual_host", "configuration"])
def test_the_policy_may_stand_on_any_level(scope, world, level):
    assert fault.build(scope(**{level: (ABORT,)}), world) is not None
