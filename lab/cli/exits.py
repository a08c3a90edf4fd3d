"""Exit codes, and the one place where an error becomes a message and a code.

0 done · 1 failed · 2 used wrongly (typer's own) · 124 took too long, as timeout(1) · 130 interrupted, after cleaning up.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

FAILED = 1
USAGE = 2
TIMED_OUT = 124
INTERRUPTED = 130


def fail(message: str, code: int = FAILED, hint: str = "") -> NoReturn:
    from lab.cli.output import say

    say(message if message.startswith("error") else f"error: {message}", style="red")
    if hint:
        say(f"  {hint}")
    raise typer.Exit(code)


@contextmanager
def explained() -> Iterator[None]:
    """What can be expected to go wrong is told in a sentence; what cannot keeps its traceback."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise typer.Exit(0) from None
    except TimeoutError as error:
        fail(str(error) or "it took too long", TIMED_OUT)
    except Exception as error:
        if not _is_expected(error):
            raise
        fail(str(error))


def _is_expected(error: Exception) -> bool:
    """Errors of the lab's own rooms say in full what is wrong; so do those of the operating system."""
    return type(error).__module__.partition(".")[0] == "lab" or isinstance(error, OSError)
