"""gRPC: one connection carries many calls, so it is the calls that have to be shared out."""

from collections import Counter

import pytest

from lab import checks
from lab.trial import Trial

EVEN = {"v1": 0.5, "v2": 0.5}


def call(mesh: Trial, url: str, count: int, **headers: str) -> Counter[str]:
    """``a`` makes the calls one after the other on one channel; which version answered, or the status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with mesh.client() as client:
        answer = client.post("/forward", json={"url": url, "count": count, "headers": named}, timeout_seconds=60)
    checks.status(answer, 200)
    return Counter(str(one["seen"]["version"] if one["seen"] else one["error"].partition(":")[0]) for one in answer.json()["calls"])


@pytest.mark.mesh("echo")
def test_a_connection_stays_where_it_is_and_its_calls_do_not(mesh: Trial) -> None:
    """The port that is declared as TCP sends all calls of a connection to one b; the one that is declared as gRPC spreads them."""
    piled = call(mesh, "grpc://b:7071", 100)
    checks.equal("versions that a TCP connection's calls reach", len(piled), 1)
    checks.split(call(mesh, "grpc://b:7070", checks.requests_for(EVEN, notice=0.15)), EVEN)


@pytest.mark.mesh("echo")
def test_routes_and_faults_are_for_grpc_too(mesh: Trial) -> None:
    """Weights share out calls; an aborted call is told so in gRPC's own words."""
    mesh.apply("subsets.yaml", "80-20.yaml")
    shares = {"v1": 0.8, "v2": 0.2}
    checks.split(call(mesh, "grpc://b:7070", checks.requests_for(shares, notice=0.1)), shares)
    checks.equal("what jason is told", dict(call(mesh, "grpc://b:7070", 10, x_user="jason")), {"UNAVAILABLE": 10})
