"""Who is in the mesh: as long as a stream is open, and well as far as its agent says."""

from collections.abc import Callable

import pytest

from mesh.model.node import Node
from mesh.pilot.registry import GRACE_SECONDS, Registry, Workload


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(clock: Clock) -> Registry:
    return Registry(clock)


@pytest.fixture
def reviews(make_node: Callable[..., Node]) -> Node:
    return make_node("reviews", "v1", "10.0.0.1")


def health(registry: Registry) -> list[bool]:
    return [workload.healthy for workload in registry.workloads]


def test_a_workload_is_there_while_a_stream_is_open(registry: Registry, reviews: Node) -> None:
    registry.opened(reviews)
    registry.opened(reviews)
    registry.closed(reviews.id)
    assert len(registry.workloads) == 1
    registry.closed(reviews.id)
    assert registry.workloads == ()


def test_it_is_not_healthy_before_its_agent_says_so(registry: Registry, reviews: Node) -> None:
    registry.opened(reviews)
    assert health(registry) == [False]
    registry.report(reviews.id, None)
    assert health(registry) == [True]
    registry.report(reviews.id, "connection refused")
    assert (health(registry), registry.workloads[0].health_message) == ([False], "connection refused")


def test_only_what_others_can_see_counts_as_a_change(registry: Registry, reviews: Node) -> None:
    changes = []
    registry.on_change = lambda: changes.append(1)
    registry.opened(reviews)
    registry.opened(reviews)
    registry.report(reviews.id, None)
    registry.report(reviews.id, None)
    assert len(changes) == 2


def test_a_report_of_a_stranger_is_passed_over(registry: Registry) -> None:
    registry.report("nobody", None)
    assert registry.workloads == ()


def test_after_a_restart_a_remembered_workload_stands_in_until_its_time_is_over(registry: Registry, clock: Clock, reviews: Node) -> None:
    registry.remember([Workload(reviews, True)])
    assert (health(registry), registry.missing()) == ([True], (reviews.id,))
    clock.now = GRACE_SECONDS - 0.1
    registry.expire()
    assert health(registry) == [True]
    clock.now = GRACE_SECONDS
    registry.expire()
    assert registry.workloads == ()


def test_a_remembered_workload_that_comes_back_keeps_its_health_and_stays(registry: Registry, clock: Clock, reviews: Node) -> None:
    registry.remember([Workload(reviews, True)])
    registry.opened(reviews)
    clock.now = GRACE_SECONDS * 2
    registry.expire()
    assert (health(registry), registry.missing()) == ([True], ())
