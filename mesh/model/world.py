"""The outside world, passed in: what the time is, and chance.

Deciding code takes a ``Clock`` or ``Dice`` as an argument, so that a test can hand it a clock that stands still and dice that
fall as the test says.
"""

from typing import Protocol


class Clock(Protocol):
    def __call__(self) -> float:
        """Monotonic time in seconds."""
        ...


class Dice(Protocol):
    def __call__(self) -> float:
        """A float in [0, 1), uniformly distributed."""
        ...
