"""Request routing: all traffic to one version, then one user to another."""

from lab import checks
from lab.trial import Trial

REVIEWS = "/api/v1/products/0/reviews"


def test_all_traffic_goes_to_version_1(mesh: Trial) -> None:
    """With one route to subset v1, no request reaches v2 or v3, though all three are up."""
    mesh.apply("subsets.yaml")
    spread = mesh.load(REVIEWS, requests=200, label="podname")
    checks.none_failed(spread)
    checks.equal("versions that answer before", sorted(spread.labels), ["reviews-v1-0", "reviews-v2-0", "reviews-v3-0"])

    mesh.apply("all-v1.yaml")
    pinned = mesh.load(REVIEWS, requests=200, label="podname")
    checks.none_failed(pinned)
    checks.only(pinned.labels, "reviews-v1-0")


def test_one_user_sees_version_2(mesh: Trial) -> None:
    """A match on the header end-user sends jason to v2; everybody else stays on v1."""
    mesh.apply("subsets.yaml", "jason-v2.yaml")
    jason = mesh.load(REVIEWS, requests=100, label="podname", headers={"end-user": "jason"})
    checks.none_failed(jason)
    checks.only(jason.labels, "reviews-v2-0")
    others = mesh.load(REVIEWS, requests=100, label="podname", headers={"end-user": "jasons-sister"})
    checks.only(others.labels, "reviews-v1-0")
    nobody = mesh.load(REVIEWS, requests=100, label="podname")
    checks.only(nobody.labels, "reviews-v1-0")
