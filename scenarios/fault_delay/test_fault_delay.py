"""Fault injection, delay: seven seconds on one service uncover a time-out in another."""

from lab import checks
from lab.trial import Trial

UNAVAILABLE = "Sorry, product reviews are currently unavailable for this book."
STARS = "★★★★☆"


def test_a_delay_uncovers_the_hard_coded_timeout(mesh: Trial) -> None:
    """ratings answers jason 7 s late. reviews would wait 10 s, but productpage gives up after 3 s, twice: jason waits 6 s for an error."""
    mesh.apply("subsets.yaml", "reviews-v2.yaml", "ratings-delay.yaml")
    jason = mesh.get("/productpage", headers={"end-user": "jason"})
    checks.status(jason, 200)
    checks.contains(jason, UNAVAILABLE)
    checks.took(jason, at_least_seconds=6.0, below_seconds=7.0)

    others = mesh.get("/productpage")
    checks.status(others, 200)
    checks.lacks(others, UNAVAILABLE)
    checks.contains(others, STARS)
    checks.took(others, below_seconds=3.0)
