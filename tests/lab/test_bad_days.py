"""What a mesh must bear: its control plane gone under load, configuration that points nowhere, apps that die, messages of odd sizes."""

import pytest

from lab import checks
from lab.api import ControlPlaneUnreachable
from lab.trial import Trial

REVIEWS = "/api/v1/products/0/reviews"
SUBSETS = """apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}, {name: v3, labels: {version: v3}}]}
"""
MEGABYTES = 10 * 1024 * 1024


def route_to(*destinations: str) -> str:
    parts = "".join(f"\n    - {destination}" for destination in destinations)
    head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: reviews}\nspec:\n  hosts: [reviews]\n  http:\n"
    return f"{head}  - route:{parts}\n"


def only(version: str) -> str:
    return route_to(f"destination: {{host: reviews, subset: {version}}}")


def test_a_control_plane_killed_under_load_costs_no_request_and_comes_back_in_sync(mesh: Trial) -> None:
    mesh.apply(SUBSETS, only("v1"))
    with mesh.start_load(REVIEWS, users=2, rps=40, label="podname") as background:
        mesh.lab.kill("control")
        with pytest.raises(ControlPlaneUnreachable):
            mesh.lab.apply(only("v3"))
        checks.only(mesh.load(REVIEWS, requests=100, label="podname").labels, "reviews-v1-0")
        mesh.lab.start("control")
        mesh.wait(lambda: len(mesh.lab.status()) == 7 and all(row["synced"] for row in mesh.lab.status()), "all are in sync again", 30)
        checks.only(mesh.load(REVIEWS, requests=100, label="podname").labels, "reviews-v1-0")
        mesh.apply(only("v3"))
        checks.only(mesh.load(REVIEWS, requests=100, label="podname").labels, "reviews-v3-0")
    checks.none_failed(background.result)


def test_a_subset_that_nobody_defines_is_warned_about_and_answers_503(mesh: Trial) -> None:
    applied = mesh.lab.apply(only("v9"))
    assert any("v9" in str(warning) for warning in applied.warnings)
    checks.status(mesh.get(REVIEWS), 503)
    mesh.wait(lambda: " NC cluster_not_found " in mesh.lab.logs("productpage-v1-0", container="access"), "the flag is in the access log")


def test_weights_that_sum_to_99_are_warned_about_and_shared_in_proportion(mesh: Trial) -> None:
    mesh.apply(SUBSETS)
    parts = [f"{{destination: {{host: reviews, subset: {version}}}, weight: {weight}}}" for version, weight in (("v1", 33), ("v3", 66))]
    applied = mesh.lab.apply(route_to(*parts))
    assert any("99" in str(warning) for warning in applied.warnings)
    shares = {"reviews-v1-0": 1 / 3, "reviews-v3-0": 2 / 3}
    checks.split(mesh.load(REVIEWS, requests=checks.requests_for(shares, notice=0.1), label="podname").labels, shares)


def test_an_app_that_dies_gets_no_more_requests_and_one_that_comes_back_does(mesh: Trial) -> None:
    """reviews has three versions without a rule; v2's app is killed: its sidecar says so, and everybody leaves it out."""
    mesh.lab.kill("reviews-v2-0/app")
    try:
        mesh.wait(lambda: not healthy(mesh, "reviews-v2-0"), "v2 is known to be unhealthy")
        load = mesh.load(REVIEWS, requests=200, label="podname")
        checks.none_failed(load)
        checks.equal("who answered", set(load.labels), {"reviews-v1-0", "reviews-v3-0"})
    finally:
        mesh.lab.start("reviews-v2-0/app")
    mesh.wait(lambda: healthy(mesh, "reviews-v2-0"), "v2 is well again")
    mesh.wait(lambda: "reviews-v2-0" in mesh.load(REVIEWS, requests=50, label="podname").labels, "v2 gets requests again")


def healthy(mesh: Trial, workload: str) -> bool:
    return any(row["healthy"] and row["synced"] for row in mesh.lab.status() if row["node"]["name"] == workload) and all(
        row["synced"] for row in mesh.lab.status()
    )


@pytest.mark.mesh("echo")
def test_ten_megabytes_pass_both_ways(mesh: Trial) -> None:
    with mesh.client() as client:
        up = client.post("/upload", b"x" * MEGABYTES, timeout_seconds=60)
        down = client.get(f"/?size={MEGABYTES}")
    checks.equal("bytes that arrived above", up.json()["body_bytes"], MEGABYTES)
    checks.equal("bytes that came back", len(down.content), MEGABYTES)


@pytest.mark.mesh("echo")
def test_a_header_of_100_kilobytes_is_refused_and_the_next_request_is_not(mesh: Trial) -> None:
    checks.status(mesh.get("/", headers={"x-large": "y" * 100_000}), 431)
    checks.status(mesh.get("/", headers={"x-small": "y" * 10_000}), 200)
