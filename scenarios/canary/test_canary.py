"""Canary release: 90/10, 50/50, then all, under one continuous load that must not lose a request."""

from lab import checks
from lab.trial import Trial

REVIEWS = "/api/v1/products/0/reviews"
OLD, NEW = "reviews-v1-0", "reviews-v3-0"
NOTICE = 0.07  # a split that is seven points off must not pass


def test_a_canary_takes_over_without_losing_a_request(mesh: Trial) -> None:
    """Shift reviews from v1 to v3 in three steps. Each split is checked by exact bounds; the load through all of it has zero failures."""
    mesh.apply("subsets.yaml", "0-all-v1.yaml")
    with mesh.start_load(REVIEWS, users=2, rps=40, label="podname") as background:
        checks.only(mesh.load(REVIEWS, requests=100, label="podname").labels, OLD)

        mesh.apply("1-90-10.yaml")
        shares = {OLD: 0.9, NEW: 0.1}
        step = mesh.load(REVIEWS, requests=checks.requests_for(shares, NOTICE), label="podname")
        checks.none_failed(step)
        checks.split(step.labels, shares)

        mesh.apply("2-50-50.yaml")
        shares = {OLD: 0.5, NEW: 0.5}
        step = mesh.load(REVIEWS, requests=checks.requests_for(shares, NOTICE), label="podname")
        checks.none_failed(step)
        checks.split(step.labels, shares)

        mesh.apply("3-all-v3.yaml")
        checks.only(mesh.load(REVIEWS, requests=100, label="podname").labels, NEW)
    checks.none_failed(background.result)
