"""Waiting for a condition: the only place in the lab that sleeps.

Istio: pkg/test/util/retry. The pause grows from a millisecond to a twentieth of a second, so a condition that comes soon is seen soon.
"""

import time
from collections.abc import Callable
from typing import TypeVar

FIRST_PAUSE_SECONDS = 0.001
LONGEST_PAUSE_SECONDS = 0.05

T = TypeVar("T")


def until(condition: Callable[[], T | None], timeout_seconds: float, what: str) -> T:
    """Return the first true value of ``condition()``; an ``Exception`` of it counts as "not yet".

    Raises ``TimeoutError`` naming ``what`` and the last value or exception.
    """
    deadline = time.monotonic() + timeout_seconds
    wait = FIRST_PAUSE_SECONDS
    while True:
        failure: Exception | None = None
        try:
            value = condition()
        except Exception as error:  # what a condition may raise while it does not hold yet is its own affair
            failure, last = error, f"{type(error).__name__}: {error}"
        else:
            if value:
                return value
            last = repr(value)
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"{what}: not within {timeout_seconds:g} s; last seen: {last}") from failure
        pause(min(wait, left))
        wait = min(wait * 1.5, LONGEST_PAUSE_SECONDS)


def pause(seconds: float) -> None:
    """For a loop that follows something without an end (a log); whoever waits for a condition uses ``until``."""
    time.sleep(seconds)
