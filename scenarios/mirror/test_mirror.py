"""Mirroring: v3 gets a copy of every request, callers see v1 only."""

from lab import checks
from lab.trial import Trial

REVIEWS = "/api/v1/products/0/reviews"


def shadowed(mesh: Trial) -> int:
    """Lines of v3's access log for requests whose Host carries the mark of a mirrored request."""
    return sum("reviews-shadow" in line for line in mesh.lab.logs("reviews-v3-0", container="access").splitlines())


def test_a_mirrored_version_sees_all_and_answers_nobody(mesh: Trial) -> None:
    """Every one of 100 requests is answered by v1 and arrives at v3 too, marked by -shadow in its Host."""
    mesh.apply("subsets.yaml", "mirror-to-v3.yaml")
    before = shadowed(mesh)
    load = mesh.load(REVIEWS, requests=100, label="podname")
    checks.none_failed(load)
    checks.only(load.labels, "reviews-v1-0")
    mesh.wait(lambda: shadowed(mesh) - before >= 100, "v3 has logged the copies")
    checks.equal("copies that reached v3", shadowed(mesh) - before, 100)
