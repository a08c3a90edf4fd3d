"""Request time-outs: the mesh stops waiting before the application does."""

from lab import checks
from lab.trial import Trial

UNAVAILABLE = "Sorry, product reviews are currently unavailable for this book."


def test_a_route_timeout_ends_the_wait(mesh: Trial) -> None:
    """ratings is 2 s late; reviews may take 0.5 s. productpage tries twice, so the page fails after 1 s instead of 2."""
    mesh.apply("subsets.yaml", "reviews-v2.yaml", "ratings-delay.yaml")
    patient = mesh.get("/productpage")
    checks.lacks(patient, UNAVAILABLE)
    checks.took(patient, at_least_seconds=2.0, below_seconds=3.0)

    mesh.apply("reviews-timeout.yaml")
    hasty = mesh.get("/productpage")
    checks.status(hasty, 200)
    checks.contains(hasty, UNAVAILABLE)
    checks.took(hasty, at_least_seconds=1.0, below_seconds=2.0)
