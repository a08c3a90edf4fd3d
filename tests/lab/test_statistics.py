"""Exact binomial bounds, against scipy and against published figures."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.statistics import (
    binomial_bounds,
    miss_probability,
    probability_at_least,
    probability_at_most,
    sample_size,
    zero_failures_bound,
)

binom = pytest.importorskip("scipy.stats").binom


@settings(max_examples=200, deadline=None)
@given(n=st.integers(1, 5000), p=st.floats(0.001, 0.999), share=st.floats(0, 1))
def test_tails_agree_with_scipy(n: int, p: float, share: float) -> None:
    k = round(n * share)
    assert probability_at_most(k, n, p) == pytest.approx(binom.cdf(k, n, p), rel=1e-8, abs=1e-14)
    assert probability_at_least(k, n, p) == pytest.approx(binom.sf(k - 1, n, p), rel=1e-8, abs=1e-14)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 3000), p=st.floats(0.0, 1.0))
def test_bounds_keep_the_false_alarm_rate_and_are_the_tightest_that_do(n: int, p: float) -> None:
    bounds = binomial_bounds(n, p, 1e-4)
    assert binom.cdf(bounds.low - 1, n, p) <= 5e-5 * (1 + 1e-9)
    assert binom.sf(bounds.high, n, p) <= 5e-5 * (1 + 1e-9)
    if bounds.low < int(n * p):
        assert binom.cdf(bounds.low, n, p) > 5e-5 * (1 - 1e-9)
    if bounds.high > -(-n * p // 1):
        assert binom.sf(bounds.high - 1, n, p) > 5e-5 * (1 - 1e-9)


@pytest.mark.parametrize(
    ("p", "n", "low", "high"),
    [(0.9, 2737, 2384, 2537), (0.5, 6374, 2992, 3382), (0.7, 5585, 3741, 4075), (0.1, 7141, 593, 841), (0.01, 8955, 47, 139)],
)
def test_bounds_are_those_worked_out_by_hand(p: float, n: int, low: int, high: int) -> None:
    bounds = binomial_bounds(n, p)
    assert (bounds.low, bounds.high) == (low, high)


@pytest.mark.parametrize(("p", "delta", "published"), [(0.9, 0.05, 2737), (0.1, 0.03, 7141), (0.01, 0.01, 8955)])
def test_sample_size_has_the_power_it_promises_and_is_near_the_published_one(p: float, delta: float, published: int) -> None:
    n = sample_size(p, delta)
    assert n == pytest.approx(published, rel=0.03)
    bounds = binomial_bounds(n, p)
    assert miss_probability(bounds, p - delta) <= 1e-3
    assert p + delta > 1 or miss_probability(bounds, p + delta) <= 1e-3


def test_certainty_leaves_no_room() -> None:
    assert 1000 in binomial_bounds(1000, 1.0)
    assert 999 not in binomial_bounds(1000, 1.0)
    assert 1 not in binomial_bounds(1000, 0.0)


def test_zero_failures_still_leave_a_bound() -> None:
    assert zero_failures_bound(100_000) == pytest.approx(13.8e-5, rel=0.01)
    assert zero_failures_bound(0) == 1.0


@pytest.mark.parametrize(("n", "p", "alpha"), [(-1, 0.5, 0.1), (10, 1.5, 0.1), (10, 0.5, 0.0)])
def test_nonsense_is_refused(n: int, p: float, alpha: float) -> None:
    with pytest.raises(ValueError, match="no binomial bounds"):
        binomial_bounds(n, p, alpha)
