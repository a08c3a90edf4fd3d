"""Checks: each holds when it should, fails when it should, and writes both down."""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from lab import checks
from lab.checks import CheckFailed
from lab.client import Headers, Response
from lab.load.model import LoadResult
from lab.story import Story, telling


@pytest.fixture(autouse=True)
def story() -> Iterator[Story]:
    with telling(Story("a test")) as story:
        yield story


def answer(text: str = "", status: int = 200, seconds: float = 0.0) -> Response:
    return Response(status, text.encode(), Headers([]), seconds)


HALVES = {"v1": 0.5, "v2": 0.5}

HOLD: list[Callable[[], None]] = [
    lambda: checks.split({"v1": 480, "v2": 520}, HALVES),
    lambda: checks.split({"v1": 1000, "v2": 0}, {"v1": 1.0, "v2": 0.0}),
    lambda: checks.only({"v1": 3}, "v1"),
    lambda: checks.only({"v1": 3, "v2": 0}, "v1"),
    lambda: checks.none_failed(LoadResult(Counter({200: 10, 301: 1}))),
    lambda: checks.status(answer(status=503), 503),
    lambda: checks.statuses({200: 5, 503: 1, 404: 0}, (200, 503)),
    lambda: checks.contains(answer("a book"), "book"),
    lambda: checks.lacks(answer("a book"), "sorry"),
    lambda: checks.took(answer(seconds=6.2), at_least_seconds=6.0, below_seconds=7.0),
    lambda: checks.equal("it", 1, 1),
]
FAIL: list[tuple[Callable[[], None], str]] = [
    (lambda: checks.split({"v1": 600, "v2": 400}, HALVES), "v1 600 (allowed"),
    (lambda: checks.split({"v1": 480, "v2": 519, "v3": 1}, HALVES), "unexpected {'v3': 1}"),
    (lambda: checks.split({"v1": 999, "v2": 1}, {"v1": 1.0, "v2": 0.0}), "v2 1 (allowed 0..0)"),
    (lambda: checks.split({}, HALVES), "of 0"),
    (lambda: checks.only({"v1": 3, "v2": 1}, "v1"), "{'v1': 3, 'v2': 1}"),
    (lambda: checks.only({}, "v1"), "{}"),
    (lambda: checks.none_failed(LoadResult(Counter({200: 10, 503: 1}))), "statuses {200: 10, 503: 1}"),
    (lambda: checks.none_failed(LoadResult(Counter({200: 10, 0: 1}), errors=Counter(["refused"]))), "errors {'refused': 1}"),
    (lambda: checks.none_failed(LoadResult()), "0 of 0"),
    (lambda: checks.status(answer(status=404), 503), "saw 404"),
    (lambda: checks.statuses({200: 5}, (200, 503)), "{200: 5}"),
    (lambda: checks.statuses({200: 5, 503: 1, 500: 1}, (200, 503)), "500: 1"),
    (lambda: checks.contains(answer("a" * 400), "book"), "400 bytes without it"),
    (lambda: checks.lacks(answer("so sorry"), "sorry"), "it does"),
    (lambda: checks.took(answer(seconds=5.9), at_least_seconds=6.0), "5.90 s"),
    (lambda: checks.took(answer(seconds=7.0), below_seconds=7.0), "7.00 s"),
    (lambda: checks.equal("it", 1, 2), "it is 2: saw 1"),
]


@pytest.mark.parametrize("check", HOLD)
def test_a_check_that_holds_is_in_the_story(story: Story, check: Callable[[], None]) -> None:
    check()
    assert [(step.kind, step.ok) for step in story.steps] == [("check", True)]


@pytest.mark.parametrize(("check", "seen"), FAIL)
def test_a_check_that_fails_says_what_it_saw_and_is_in_the_story(story: Story, check: Callable[[], None], seen: str) -> None:
    with pytest.raises(CheckFailed) as failed:
        check()
    assert seen in str(failed.value)
    assert [(step.kind, step.ok) for step in story.steps] == [("check", False)]


def test_as_many_requests_as_it_takes_to_notice() -> None:
    few, many = checks.requests_for(HALVES, notice=0.2), checks.requests_for(HALVES, notice=0.05)
    assert few < many
    with pytest.raises(CheckFailed):
        checks.split({"v1": round(many * 0.6), "v2": many - round(many * 0.6)}, HALVES)


def test_a_load_without_failures_says_what_that_proves(story: Story) -> None:
    checks.none_failed(LoadResult(Counter({200: 1000})))
    assert story.steps[0].detail["failure_rate_below"] == pytest.approx(0.0137, rel=0.05)
