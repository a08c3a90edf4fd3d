"""A time limit that begins when it is told to: on the wait for an answer first, then perhaps on the answer's body.

Envoy: the router's response and per-try timers, which both start once the request has been received entirely.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mesh.policy.retry import RetryPolicy
from mesh.policy.timeout import Timeout
from mesh.sidecar.filter import Context, Field, Scope, Timer, field

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


def expected_time(scope: Scope) -> Field | None:
    """What the upstream is told about how long anybody will wait: the limit of a try, or else the route's."""
    timeout, retry = scope.policy(Timeout), scope.policy(RetryPolicy)
    seconds = timeout.request_seconds if timeout else 0.0
    if retry is not None and retry.per_try_timeout_seconds and not 0 < seconds <= retry.per_try_timeout_seconds:
        seconds = retry.per_try_timeout_seconds
    return field("x-envoy-expected-rq-timeout-ms", str(round(seconds * 1000))) if seconds else None
