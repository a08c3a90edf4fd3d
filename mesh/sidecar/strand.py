"""Runs one coroutine in the very calls that bring its news, instead of scheduling it: asyncio's Task without the waiting in line.

A proxy's coroutine nearly always waits for bytes. With a Task each arrival sets a future, which schedules a wake-up for the next turn
of the loop, which steps the Task. A ``Strand`` is stepped at once, inside ``data_received``: no Task, future or turn per request. It
follows asyncio's rules for third-party tasks (``asyncio._enter_task``), so ``asyncio.timeout``, ``asyncio.sleep`` and everything else
that awaits futures works inside; those waits go the usual way.

    news = Signal()                  # what to wait for
    value = await news               # in the coroutine
    news.set(value)                  # from an I/O callback: the coroutine runs on, here, before ``set`` returns
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_running: "Strand | None" = None
_current_task = asyncio.current_task  # looked up once: these are called for every request
_enter_task: Callable[[asyncio.AbstractEventLoop, Any], None] = asyncio._enter_task
_leave_task: Callable[[asyncio.AbstractEventLoop, Any], None] = asyncio._leave_task


class Signal(Generic[T]):
    """News of one kind: set once for each wait; a value that comes before the wait is kept for it."""

    __slots__ = ("_callback", "_future", "_set", "_strand", "_value")

    def __init__(self) -> None:
        self._strand: Strand | None = None
        self._future: asyncio.Future[None] | None = None
        self._value: T | None = None
        self._set = False
        self._callback: Callable[[T], None] | None = None

    def then(self, callback: Callable[[T], None]) -> None:
        """Instead of waiting: call this with the value, inside ``set``. Not for a signal that is set already."""
        self._callback = callback

    def set(self, value: T) -> None:
        callback = self._callback
        if callback is not None:
            self._callback = None
            callback(value)
            return
        self._value = value
        self._set = True
        strand = self._strand
        if strand is not None:
            self._strand = None
            strand.wake()
        elif self._future is not None and not self._future.done():
            self._future.set_result(None)

    @property
    def is_set(self) -> bool:
        return self._set

    def __await__(self) -> Generator[Any, None, T]:
        while not self._set:
            if _running is None:  # awaited by an ordinary Task
                self._future = asyncio.get_running_loop().create_future()
                yield from self._future
            else:
                self._strand = _running
                try:
                    yield self
                finally:
                    self._strand = None
        self._set = False
        value, self._value = self._value, None
        return value  # type: ignore[return-value]

    def withdraw(self) -> None:
        """The waiting strand is woken by something else."""
        self._strand = None


class Strand:
    """One coroutine, stepped by its news. Quacks like a Task as far as ``asyncio.timeout`` and friends look."""

    __slots__ = (
        "__weakref__",
        "_cancels",
        "_coroutine",
        "_loop",
        "_must_cancel",
        "_on_end",
        "_send",
        "_stepping",
        "_waits_for",
        "finished",
    )

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, None],
        loop: asyncio.AbstractEventLoop,
        on_end: Callable[[BaseException | None], None],
    ) -> None:
        self._coroutine = coroutine
        self._send = coroutine.send
        self._loop = loop
        self._on_end = on_end
        self._waits_for: Signal[Any] | asyncio.Future[Any] | None = None
        self._must_cancel = False
        self._cancels = 0
        self._stepping = False
        self.finished = False

    def start(self) -> None:
        self.wake()

    def wake(self) -> None:
        """Run on: now, or in the next turn if some coroutine is running (two must not run inside each other)."""
        self._waits_for = None
        if _current_task(self._loop) is None:
            self._step()
        else:
            self._loop.call_soon(self._step)

    def _future_done(self, _future: object) -> None:
        self._waits_for = None
        self._step()

    def _step(self) -> None:
        global _running
        if self.finished:
            return
        loop = self._loop
        _enter_task(loop, self)
        _running = self
        try:
            if self._must_cancel:
                self._must_cancel = False
                awaited = self._coroutine.throw(asyncio.CancelledError())
            else:
                awaited = self._send(None)
        except StopIteration:
            self.finished = True
            awaited = None
        except BaseException as error:
            self.finished = True
            _running = None
            _leave_task(loop, self)
            self._on_end(error)
            if not isinstance(error, Exception | asyncio.CancelledError):
                raise
            return
        _running = None
        _leave_task(loop, self)
        if self.finished:
            self._on_end(None)
        elif awaited.__class__ is Signal and not self._must_cancel:
            self._waits_for = awaited
        else:
            self._wait_for(awaited)

    def _wait_for(self, awaited: Any) -> None:
        if isinstance(awaited, Signal):
            self._waits_for = awaited
            if self._must_cancel:
                self._cancel_wait()
        elif awaited is None:  # a bare yield: asyncio.sleep(0)
            self._loop.call_soon(self._step)
        else:
            awaited._asyncio_future_blocking = False
            self._waits_for = awaited
            awaited.add_done_callback(self._future_done)
            if self._must_cancel and awaited.cancel():
                self._must_cancel = False

    def _cancel_wait(self) -> None:
        """Throw into a wait for a Signal: in the next turn, as asyncio does."""
        assert isinstance(self._waits_for, Signal)
        self._waits_for.withdraw()
        self._waits_for = None
        self._must_cancel = True
        self._loop.call_soon(self._step)

    # --- what asyncio.timeout and TaskGroup ask of a task

    def cancel(self, msg: object = None) -> bool:
        if self.finished:
            return False
        self._cancels += 1
        if isinstance(self._waits_for, Signal):
            self._cancel_wait()
        elif self._waits_for is None or not self._waits_for.cancel():
            self._must_cancel = True
        return True

    def cancelling(self) -> int:
        return self._cancels

    def uncancel(self) -> int:
        self._cancels = max(0, self._cancels - 1)
        return self._cancels

    def done(self) -> bool:
        return self.finished

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def get_coro(self) -> Coroutine[Any, Any, None]:
        return self._coroutine

    def get_name(self) -> str:
        return "strand"
