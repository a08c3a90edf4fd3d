"""Circuit breaking: what finds no room is turned away at once, before it reaches a service that is busy."""

from collections import Counter

import pytest

from lab import checks
from lab.trial import Trial

COUNT = 60


def call_b(mesh: Trial, concurrency: int) -> list[dict[str, object]]:
    """``a`` calls ``b``, which takes a while."""
    order = {"url": "http://b:8080/?delay=50ms", "count": COUNT, "concurrency": concurrency}
    with mesh.client() as client:
        answer = client.post("/forward", json=order, timeout_seconds=60)
    checks.status(answer, 200)
    calls: list[dict[str, object]] = answer.json()["calls"]
    return calls


def statuses(calls: list[dict[str, object]]) -> Counter[str]:
    return Counter(str(call["status"]) for call in calls)


@pytest.mark.mesh("echo")
def test_only_as_many_come_through_as_there_is_room_for(mesh: Trial) -> None:
    """Without limits twenty callers are all served. With one connection and one place to wait most are turned away; one caller is not."""
    checks.only(statuses(call_b(mesh, concurrency=20)), "200")

    mesh.apply("one-at-a-time.yaml")
    checks.only(statuses(call_b(mesh, concurrency=1)), "200")
    calls = call_b(mesh, concurrency=20)
    found = statuses(calls)
    checks.check("some come through, some are turned away, nothing else happens", set(found) == {"200", "503"}, dict(found))
    checks.check("most are turned away", found["503"] > found["200"], dict(found))
    reached = sum(call["status"] == 503 and call["seen"] is not None for call in calls)
    checks.equal("calls that were turned away and still reached b", reached, 0)
