"""Retries: the sidecar asks again, so the caller sees far fewer failures, and the service far more requests."""

from collections import Counter

import pytest

from lab import checks
from lab.trial import Trial

FAILING = 0.4  # b fails so often
ATTEMPTS = 1 + 3


def call_b(mesh: Trial, count: int) -> list[dict[str, object]]:
    """``a`` calls ``b``, which fails by its own dice; what came of each call."""
    order = {"url": f"http://b:8080/?failure_percent={FAILING * 100:g}", "count": count, "concurrency": 4}
    with mesh.client() as client:
        answer = client.post("/forward", json=order, timeout_seconds=60)
    checks.status(answer, 200)
    calls: list[dict[str, object]] = answer.json()["calls"]
    return calls


def statuses(calls: list[dict[str, object]]) -> Counter[str]:
    return Counter(str(call["status"]) for call in calls)


@pytest.mark.mesh("echo")
def test_retries_hide_failures_and_cost_requests(mesh: Trial) -> None:
    """b fails 40 % of its answers. Without retries its callers see just that, with three 0.4⁴ = 2.6 %."""
    mesh.apply("no-retries.yaml")
    bare = {"200": 1 - FAILING, "503": FAILING}
    checks.split(statuses(call_b(mesh, checks.requests_for(bare, notice=0.1))), bare)

    mesh.apply("three-retries.yaml")
    left = FAILING**ATTEMPTS
    calls = call_b(mesh, checks.requests_for(bare, notice=0.1))
    checks.split(statuses(calls), {"200": 1 - left, "503": left})
    tries = Counter(int(value) for call in calls for name, value in seen_headers(call) if name == "x-envoy-attempt-count")
    checks.check(f"nobody is asked more than {ATTEMPTS} times, some are", set(tries) == set(range(1, ATTEMPTS + 1)), dict(tries))


def seen_headers(call: dict[str, object]) -> list[tuple[str, str]]:
    """The request's headers as b saw them, the last try's."""
    seen = call["seen"]
    return [(name, value) for name, value in seen["headers"]] if isinstance(seen, dict) else []
