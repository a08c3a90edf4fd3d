"""Waiting for a condition."""

import itertools

import pytest

from lab.until import until


def test_the_first_true_value_is_returned() -> None:
    values = iter([0, None, "", "here"])
    assert until(lambda: next(values), 5, "a value") == "here"


def test_an_exception_counts_as_not_yet() -> None:
    count = itertools.count()

    def condition() -> bool:
        if next(count) < 3:
            raise ConnectionRefusedError("nobody there")
        return True

    assert until(condition, 5, "somebody")


def test_a_time_out_names_what_was_waited_for_and_what_was_seen() -> None:
    with pytest.raises(TimeoutError, match=r"the third answer: not within 0\.02 s; last seen: False"):
        until(lambda: False, 0.02, "the third answer")


def test_a_time_out_tells_the_last_exception() -> None:
    def condition() -> bool:
        raise ValueError("not a number")

    with pytest.raises(TimeoutError, match="ValueError: not a number") as raised:
        until(condition, 0.02, "a number")
    assert isinstance(raised.value.__cause__, ValueError)


def test_the_condition_is_asked_at_least_once_even_without_time() -> None:
    assert until(lambda: 42, 0, "the answer") == 42


def test_ctrl_c_is_not_swallowed() -> None:
    def condition() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        until(condition, 5, "nothing")
