"""The time of day, for logs and the ``date`` header, made from the monotonic clock and formatted once a second.

Envoy: DateProvider. ``tick`` reads the wall clock anew, so that a clock that is set right is followed within a second or so.
"""

import email.utils
from collections.abc import Callable
from datetime import UTC, datetime

from mesh.model.world import Clock
from mesh.sidecar.headers import Field


class WallClock:
    def __init__(self, clock: Clock, time_of_day: Callable[[], float]) -> None:
        self._clock = clock
        self._time_of_day = time_of_day
        self._offset_seconds = 0.0
        self._date_second = -1
        self._date: Field = ("", b"")
        self._stamp_second = -1
        self._stamp = ""
        self.tick()

    def tick(self) -> None:
        self._offset_seconds = self._time_of_day() - self._clock()

    def epoch(self, monotonic_seconds: float) -> float:
        return monotonic_seconds + self._offset_seconds

    def date_line(self, monotonic_seconds: float) -> bytes:
        """``date: Mon, 23 Nov 2026 07:14:22 GMT`` with its line end."""
        second = int(monotonic_seconds + self._offset_seconds)
        return (self._date if second == self._date_second else self._new_date(second))[1]

    def date(self, monotonic_seconds: float) -> Field:
        """The same, as a field."""
        second = int(monotonic_seconds + self._offset_seconds)
        return self._date if second == self._date_second else self._new_date(second)

    def _new_date(self, second: int) -> Field:
        text = email.utils.formatdate(second, usegmt=True)
        self._date_second, self._date = second, (text, f"date: {text}\r\n".encode())
        return self._date

    def stamp(self, epoch_seconds: float) -> str:
        """``2026-11-23T07:14:22.123Z``, as Envoy's START_TIME prints it."""
        second = int(epoch_seconds)
        if second != self._stamp_second:
            self._stamp_second = second
            self._stamp = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
        return f"{self._stamp}{int((epoch_seconds - second) * 1000):03d}Z"
