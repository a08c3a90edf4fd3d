"""A time limit that begins when it is told to: on the wait for an answer first, then perhaps on the answer's body.

Envoy: the router's response and per-try timers, which both start once the request has been received entirely.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mesh.sidecar.filter import Context, Timer

T = TypeVar("T")


class Deadline:
    """``start`` it, ``wait`` under it, ``stop`` it. Once it has ``expired`` the wait is cancelled and TimeoutError raised."""

    def __init__(self, context: Context, seconds: float) -> None:
        self.expired = False
        self._context = context
        self._seconds = seconds
        self._started_seconds = 0.0
        self._timer: Timer | None = None
        self._stopped = False
        self._when_expired: Callable[[], None] | None = None

    def start(self) -> None:
        if self._timer is None and not self._stopped:
            self._started_seconds = self._context.clock()
            self._timer = self._context.call_later(self._seconds, self._expire)

    def left(self) -> float:
        """Seconds; all of them while it has not been started."""
        return self._seconds - (self._context.clock() - self._started_seconds if self._timer is not None else 0.0)

    def stop(self) -> None:
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    async def wait(self, result: Awaitable[T]) -> T:
        async with asyncio.timeout(None) as limit:
            self.then(lambda: limit.reschedule(0))
            try:
                return await result
            finally:
                self._when_expired = None

    def then(self, when_expired: Callable[[], None]) -> None:
        """What to do instead of cancelling a wait; at once if the time is over already."""
        self._when_expired = when_expired
        if self.expired:
            when_expired()

    def _expire(self) -> None:
        self.expired = True
        if self._when_expired is not None and not self._stopped:
            self._when_expired()
