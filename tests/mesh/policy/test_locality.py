"""Priorities, panic and localities. The loads are those of Envoy's documentation (priority levels, panic threshold)."""

import pytest

from mesh.model.endpoint import Endpoint, Health, LoadAssignment, Locality, LocalityEndpoints
from mesh.policy.locality import Level, Share, loads, shares


@pytest.mark.parametrize(
    ("percents", "expected"),
    [
        ((100, 100), (100, 0)),
        ((72, 100), (100, 0)),
        ((71, 100), (99, 1)),
        ((50, 100), (70, 30)),
        ((25, 100), (35, 65)),
        ((0, 100), (0, 100)),
        ((25, 25), (50, 50)),
    ],
)
def test_what_a_priority_cannot_carry_goes_to_the_next(percents: tuple[int, int], expected: tuple[int, int]) -> None:
    assert loads([Level(percent, 0, 100) for percent in percents], 0.0).healthy == expected


def test_the_degraded_carry_what_the_healthy_of_all_priorities_cannot() -> None:
    found = loads([Level(50, 50, 100), Level(0, 0, 0)], 0.0)
    assert (found.healthy, found.degraded) == ((70, 0), (30, 0))


@pytest.mark.parametrize(("healthy", "panics"), [(50, False), (49, True), (0, True)])
def test_health_is_ignored_where_too_few_are_healthy(healthy: int, panics: bool) -> None:
    assert loads([Level(healthy, 0, 100)], 50.0).panic == (panics,)


def test_where_all_panic_size_decides() -> None:
    found = loads([Level(1, 0, 10), Level(1, 0, 30)], 50.0)
    assert (found.healthy, found.panic) == ((25, 75), (True, True))


def test_without_a_threshold_nobody_panics_and_nobody_is_there() -> None:
    found = loads([Level(0, 0, 4), Level(0, 0, 4)], 0.0)
    assert (found.healthy, found.panic) == ((100, 0), (False, False))


NEAR, FAR = Locality("region1", "zone1"), Locality("region2", "zone2")


def endpoints(count: int, port: int, health: Health = Health.HEALTHY) -> tuple[Endpoint, ...]:
    return tuple(Endpoint("10.0.0.1", port + index, health) for index in range(count))


def test_localities_divide_the_traffic_by_weight() -> None:
    near, far = endpoints(1, 1), endpoints(3, 10)
    assignment = LoadAssignment("a", (LocalityEndpoints(near, NEAR, weight=80), LocalityEndpoints(far, FAR, weight=20)))
    assert shares(assignment, lambda _: False, 0.0, by_locality=True) == (Share(80.0, near), Share(20.0, far))
    assert shares(assignment, lambda _: False, 0.0) == (Share(100, near + far),)


def test_the_next_priority_serves_while_the_first_is_ejected() -> None:
    near, far = endpoints(2, 1), endpoints(2, 10)
    assignment = LoadAssignment("a", (LocalityEndpoints(near, NEAR), LocalityEndpoints(far, FAR, priority=1)))
    assert shares(assignment, lambda _: False, 0.0) == (Share(100, near),)
    assert shares(assignment, lambda e: e in near, 0.0) == (Share(100, far),)
    assert shares(assignment, lambda e: e == near[0], 0.0) == (Share(70, near[1:]), Share(30, far))


def test_who_drains_or_is_ill_is_not_asked() -> None:
    group = endpoints(1, 1, Health.DRAINING) + endpoints(1, 2, Health.UNHEALTHY)
    assignment = LoadAssignment("a", (LocalityEndpoints(group),))
    assert shares(assignment, lambda _: False, 0.0) == ()
    assert shares(assignment, lambda _: False, 50.0) == (Share(100, group),)
