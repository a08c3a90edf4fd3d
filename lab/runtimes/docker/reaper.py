"""Removes a lab's containers when the process that brought it up goes before it has said that they stay. kill -9 is such an end.

`python -m lab.runtimes.docker.reaper RUN`: waits for a line on its standard input; the end of input instead of one means removal.
"""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

SETTLED = b"settled\n"
QUIET_SECONDS = 1.5  # what the engine was told to do before the end may still come
LEAVE_SECONDS = 10.0


class Watch:
    """A process beside this one, in a session of its own: Ctrl-C does not reach it."""

    def __init__(self, run: str, log: Path) -> None:
        command = [sys.executable, "-m", "lab.runtimes.docker.reaper", run]
        with log.open("ab") as out:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=out, start_new_session=True)

    def dismiss(self) -> None:
        """It is not needed any more."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(SETTLED)
            self._process.stdin.close()
        self._process.wait(LEAVE_SECONDS)


def main(run: str) -> None:
    if sys.stdin.buffer.readline() == SETTLED:
        return
    from lab.runtimes.docker.containers import RUN, remove_labelled
    from lab.runtimes.docker.engine import connect
    from lab.until import pause

    client = connect()
    remove_labelled(client, {RUN: run})
    pause(QUIET_SECONDS)
    remove_labelled(client, {RUN: run})


if __name__ == "__main__":
    main(sys.argv[1])
