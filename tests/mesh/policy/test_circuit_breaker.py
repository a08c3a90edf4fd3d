"""Circuit breakers, the decision."""

import pytest

from mesh.model.cluster import CircuitBreakers
from mesh.policy.circuit_breaker import Limits, limits, may_connect, may_retry, may_send, may_wait


def test_what_is_not_given_is_as_envoy_has_it() -> None:
    assert limits(CircuitBreakers()) == Limits(1024, 1024, 1024, 3)
    assert limits(CircuitBreakers(1, 2, 3, 0)) == Limits(1, 2, 3, 0)


@pytest.mark.parametrize(("connections", "own", "allowed"), [(0, 0, True), (1, 1, True), (2, 1, False), (2, 0, True), (9, 0, True)])
def test_a_host_without_a_connection_always_gets_its_first(connections: int, own: int, allowed: bool) -> None:
    assert may_connect(Limits(connections=2), connections, own) is allowed


def test_each_limit_is_the_number_that_may_be_there_at_once() -> None:
    tight = Limits(pending=1, requests=2, retries=0)
    assert [may_wait(tight, pending) for pending in (0, 1, 2)] == [True, False, False]
    assert [may_send(tight, active) for active in (1, 2)] == [True, False]
    assert not may_retry(tight, 0)
