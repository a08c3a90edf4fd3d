"""Fault injection, abort: a service that fails on purpose, for one user, then for a share of requests."""

from lab import checks
from lab.trial import Trial

UNAVAILABLE = "Ratings service is currently unavailable"
STARS = "★★★★☆"


def test_an_abort_for_one_user_leaves_the_others_alone(mesh: Trial) -> None:
    """ratings answers jason with 500 at once: his page says so, in no time; everybody else sees stars."""
    mesh.apply("subsets.yaml", "reviews-v2.yaml", "ratings-abort.yaml")
    jason = mesh.get("/productpage", headers={"end-user": "jason"})
    checks.status(jason, 200)
    checks.contains(jason, UNAVAILABLE)
    checks.took(jason, below_seconds=3.0)
    others = mesh.get("/productpage")
    checks.lacks(others, UNAVAILABLE)
    checks.contains(others, STARS)


def test_an_abort_for_a_share_of_requests_keeps_that_share(mesh: Trial) -> None:
    """With 40 % aborted, the share of 503 among the answers lies within exact binomial bounds."""
    mesh.apply("ratings-abort-40-percent.yaml")
    shares = {"200": 0.6, "503": 0.4}
    load = mesh.load("/api/v1/products/0/ratings", requests=checks.requests_for(shares, notice=0.1))
    checks.split({str(status): count for status, count in load.statuses.items()}, shares)
