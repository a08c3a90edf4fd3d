"""Exit codes, and the one place where an error becomes a message and a code.

0 done · 1 failed · 2 used wrongly (typer's own) · 124 took too long, as timeout(1) · 130 interrupted, after cleaning up.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import typer

FAILED = 1
USAGE = 2
TIMED_OUT = 124
INTERRUPTED = 130

TABLE = """\
Exit codes: 0 done; 1 failed: configuration refused, a scenario or a check failed, nothing there to work on;
2 used wrongly; 124 took too long: a proxy lags behind; 130 interrupted, after cleaning up. `exec` exits as its command does."""


def fail(message: str, code: int = FAILED, hint: str = "") -> NoReturn:
    from lab.cli.output import complain

    complain(message if message.startswith(("error", "warning")) else f"error: {message}")
    if hint:
        complain(f"  {hint}")
    raise typer.Exit(code)


@contextmanager
def explained() -> Iterator[None]:
    """What goes wrong is told in a sentence and a code; SEATRIAL_DEBUG=1 tells it in a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        from lab.cli.output import say

        say("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        leave_stdout()
        raise typer.Exit(0) from None
    except Exception as error:
        if os.environ.get("SEATRIAL_DEBUG") or _is_typers(error):
            raise
        _tell(error)


def _tell(error: Exception) -> NoReturn:
    if isinstance(error, TimeoutError):
        fail(str(error) or "it took too long", TIMED_OUT)
    if _is_expected(error):
        fail(str(error))
    fail(f"{type(error).__name__}: {error}", hint="this should not happen; SEATRIAL_DEBUG=1 shows where it did")


def _is_expected(error: Exception) -> bool:
    """Errors of the lab's own rooms say in full what is wrong; so do those of the operating system."""
    return type(error).__module__.partition(".")[0] == "lab" or isinstance(error, OSError)


def _is_typers(error: Exception) -> bool:
    """Usage errors and exits, which typer itself turns into messages and codes."""
    return type(error).__module__.partition(".")[0] in ("typer", "click")


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM and SIGHUP end it as Ctrl-C does: after cleaning up."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_stdout() -> None:
    """Whoever read our output has gone; what is still buffered goes nowhere, without a complaint at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
