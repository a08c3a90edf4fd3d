"""The load's histogram, against exact percentiles of the same numbers."""

import math

from hypothesis import given
from hypothesis import strategies as st

from lab.load.histogram import Histogram, bucket_of


@given(st.integers(0, 10**9))
def test_a_bucket_is_exact_when_small_and_within_a_hundredth_when_large(microseconds: int) -> None:
    bucket = bucket_of(microseconds)
    assert bucket <= microseconds
    assert microseconds - bucket <= microseconds * 0.0079
    if microseconds < 256:
        assert bucket == microseconds


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=300), st.floats(0.01, 1.0))
def test_percentiles_are_those_of_the_numbers(values: list[int], share: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    exact = sorted(values)[math.ceil(len(values) * share) - 1]
    assert histogram.percentile(share) == bucket_of(exact)


@given(st.lists(st.integers(0, 10**6)), st.lists(st.integers(0, 10**6)))
def test_merging_is_recording_both_and_json_loses_nothing(left: list[int], right: list[int]) -> None:
    one, two, both = Histogram(), Histogram(), Histogram()
    for value in left:
        one.record(value)
        both.record(value)
    for value in right:
        two.record(value)
        both.record(value)
    one.merge(Histogram.from_json(two.to_json()))
    assert one.counts == both.counts


def test_nothing_recorded_has_no_percentile() -> None:
    assert Histogram().percentile(0.5) == 0
