"""Outlier detection: endpoints that fail are left alone for a while, and then get another chance."""

import pytest

from lab import checks
from lab.trial import Trial

SETTLED_SECONDS = 20.0


def call_b(mesh: Trial, status: int, count: int = 1) -> list[dict[str, object]]:
    """``a`` calls ``b``, which answers so, one call after the other."""
    order = {"url": f"http://b:8080/?status={status}", "count": count, "rps": 10}
    with mesh.client() as client:
        answer = client.post("/forward", json=order, timeout_seconds=60)
    calls: list[dict[str, object]] = answer.json()["calls"]
    return calls


def reached(calls: list[dict[str, object]]) -> int:
    return sum(call["seen"] is not None for call in calls)


@pytest.mark.mesh("echo")
def test_who_fails_is_left_alone_and_gets_another_chance(mesh: Trial) -> None:
    """Without the policy every call reaches b. With it each endpoint fails once, then nobody is asked until the time is over."""
    checks.equal("failing calls that reach b without the policy", reached(call_b(mesh, 500, 10)), 10)

    mesh.apply("out-after-one.yaml")
    call_b(mesh, 500, 10)
    mesh.wait(lambda: reached(call_b(mesh, 500)) == 0, "all endpoints are ejected")
    left_alone = call_b(mesh, 200)[0]
    checks.equal("what a gets while b is left alone", left_alone["status"], 503)
    checks.equal("calls that reach b meanwhile", reached([left_alone]), 0)

    mesh.wait(lambda: call_b(mesh, 200)[0]["status"] == 200, "b gets another chance", SETTLED_SECONDS)
