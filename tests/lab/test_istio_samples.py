"""Istio's own Bookinfo samples, unmodified, on a running bookshop: each must do here what Istio's documentation says it does."""

import os
from pathlib import Path

import pytest

from lab import checks
from lab.trial import Trial

SAMPLES = Path(os.environ.get("SEATRIAL_CORPUS") or Path(__file__).parents[3] / "shared" / "corpus") / "istio-samples" / "bookinfo"
pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no samples in {SAMPLES}; set SEATRIAL_CORPUS")

REVIEWS = "/api/v1/products/0/reviews"
V1, V2, V3 = "reviews-v1-0", "reviews-v2-0", "reviews-v3-0"
JASON = {"end-user": "jason"}
SUPPORTED = sorted(path.name for path in SAMPLES.glob("networking-*.yaml")) if SAMPLES.is_dir() else []


def sample(name: str) -> str:
    return str(SAMPLES / f"networking-{name}.yaml")


def who_answers(mesh: Trial, **headers: str) -> str:
    response = mesh.get(REVIEWS, headers={name.replace("_", "-"): value for name, value in headers.items()})
    checks.status(response, 200)
    return str(response.json()["podname"])


@pytest.mark.parametrize("name", SUPPORTED)
def test_every_sample_is_taken_as_it_is_and_used_by_every_proxy(mesh: Trial, name: str) -> None:
    applied = mesh.lab.apply(str(SAMPLES / name))
    assert applied.complete


def test_all_v1(mesh: Trial) -> None:
    mesh.apply(sample("destination-rule-all"), sample("virtual-service-all-v1"))
    checks.only(mesh.load(REVIEWS, requests=60, label="podname").labels, V1)


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("virtual-service-reviews-90-10", {V1: 0.9, V2: 0.1}),
        ("virtual-service-reviews-80-20", {V1: 0.8, V2: 0.2}),
        ("virtual-service-reviews-50-v3", {V1: 0.5, V3: 0.5}),
        ("virtual-service-reviews-v2-v3", {V2: 0.5, V3: 0.5}),
    ],
)
def test_a_split_has_its_shares(mesh: Trial, name: str, shares: dict[str, float]) -> None:
    mesh.apply(sample("destination-rule-all"), sample("virtual-service-all-v1"), sample(name))
    checks.split(mesh.load(REVIEWS, requests=checks.requests_for(shares, notice=0.1), label="podname").labels, shares)


@pytest.mark.parametrize(
    ("name", "jason", "others"), [("virtual-service-reviews-test-v2", V2, V1), ("virtual-service-reviews-jason-v2-v3", V2, V3)]
)
def test_one_user_is_sent_elsewhere(mesh: Trial, name: str, jason: str, others: str) -> None:
    mesh.apply(sample("destination-rule-all"), sample("virtual-service-all-v1"), sample(name))
    checks.equal("who answers jason", who_answers(mesh, end_user="jason"), jason)
    checks.equal("who answers others", who_answers(mesh), others)


def test_ratings_are_broken_for_jason_only(mesh: Trial) -> None:
    mesh.apply(sample("destination-rule-all"), sample("virtual-service-ratings-test-abort"))
    mesh.apply(sample("virtual-service-reviews-test-v2"))
    page = mesh.get("/productpage", headers=JASON)
    checks.contains(page, "Ratings service is currently unavailable")
    checks.lacks(mesh.get("/productpage"), "Ratings service is currently unavailable")


def test_seven_seconds_break_the_page_after_six(mesh: Trial) -> None:
    mesh.apply(sample("destination-rule-all"), sample("virtual-service-ratings-test-delay"), sample("virtual-service-reviews-test-v2"))
    late = mesh.get("/productpage", headers=JASON)
    checks.contains(late, "Sorry, product reviews are currently unavailable for this book.")
    checks.took(late, at_least_seconds=6.0, below_seconds=7.0)


def test_details_are_aborted(mesh: Trial) -> None:
    mesh.apply(sample("destination-rule-all"), sample("fault-injection-details-v1"))
    checks.contains(mesh.get("/productpage"), "Sorry, product details are currently unavailable for this book.")


def test_a_version_that_nobody_runs_is_unavailable(mesh: Trial) -> None:
    mesh.apply(sample("destination-rule-all"), sample("virtual-service-details-v2"))
    checks.contains(mesh.get("/productpage"), "Sorry, product details are currently unavailable for this book.")
    mesh.delete(sample("virtual-service-details-v2"))
    checks.contains(mesh.get("/productpage"), "PublisherA")


def test_one_after_the_other_each_takes_the_place_of_the_last(mesh: Trial) -> None:
    """As the tasks of Istio's documentation are done: nothing is deleted in between."""
    mesh.apply(sample("destination-rule-all"))
    for name, jason, others in (
        ("virtual-service-all-v1", V1, V1),
        ("virtual-service-reviews-test-v2", V2, V1),
        ("virtual-service-reviews-v3", V3, V3),
        ("virtual-service-reviews-jason-v2-v3", V2, V3),
        ("virtual-service-all-v1", V1, V1),
    ):
        mesh.apply(sample(name))
        checks.equal(f"who answers jason after {name}", who_answers(mesh, end_user="jason"), jason)
        checks.equal(f"who answers others after {name}", who_answers(mesh), others)
    mesh.delete(sample("virtual-service-all-v1"))
    checks.equal("who answers", set(mesh.load(REVIEWS, requests=200, label="podname").labels), {V1, V2, V3})
