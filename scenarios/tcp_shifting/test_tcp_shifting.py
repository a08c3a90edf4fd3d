"""TCP: connections, not requests, are shared out by weight; and a server may speak first."""

from collections import Counter

import pytest

from lab import checks
from lab.trial import Trial


def versions(mesh: Trial, url: str, count: int) -> Counter[str]:
    """``a`` opens ``count`` connections to b and says a line on each; which version of b it came back from."""
    order = {"url": url, "body": "hello", "count": count, "concurrency": 4}
    with mesh.client() as client:
        answer = client.post("/forward", json=order, timeout_seconds=60)
    checks.status(answer, 200)
    return Counter(str(call["seen"]).split(" ")[1] if call["seen"] else call["error"] for call in answer.json()["calls"])


@pytest.mark.mesh("echo")
def test_connections_move_to_a_new_version_by_weight(mesh: Trial) -> None:
    """All go to v1 first, then a fifth of them to v2."""
    mesh.apply("subsets.yaml", "all-v1.yaml")
    checks.equal("versions reached", set(versions(mesh, "tcp://b:9000", 50)), {"v1"})

    mesh.apply("80-20.yaml")
    shares = {"v1": 0.8, "v2": 0.2}
    checks.split(versions(mesh, "tcp://b:9000", checks.requests_for(shares, notice=0.1)), shares)


@pytest.mark.mesh("echo")
def test_a_server_that_speaks_first_is_heard(mesh: Trial) -> None:
    """b's port 9001 greets whoever connects. Declared as tcp, nobody waits for the client's first word."""
    answered = versions(mesh, "tcp://b:9001", 20)
    checks.equal("connections that were greeted", sum(answered[version] for version in ("v1", "v2")), 20)
