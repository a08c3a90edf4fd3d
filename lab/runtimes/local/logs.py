"""Log files: their last lines, and following them as they grow."""

import os
from collections.abc import Iterator
from pathlib import Path

from lab.until import pause

BLOCK = 1 << 16
LOOK_AGAIN_SECONDS = 0.1


def tail_of(file: str, lines: int | None = None) -> str:
    """The last ``lines`` lines (None: all), read from the end; empty when there is no such file yet."""
    try:
        with Path(file).open("rb") as log:
            start = 0 if lines is None else _start_of_last(log.fileno(), lines)
            log.seek(start)
            return log.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _start_of_last(log: int, lines: int) -> int:
    size = position = os.fstat(log).st_size
    wanted = lines + 1  # line breaks: the one that ends the file counts
    while position > 0:
        length = min(BLOCK, position)
        position -= length
        block = os.pread(log, length, position)
        if position + length == size and not block.endswith(b"\n"):
            wanted -= 1
        for index in range(len(block) - 1, -1, -1):
            if block[index] == 0x0A:
                wanted -= 1
                if wanted == 0:
                    return position + index + 1
    return 0


def follow(file: str, lines: int | None = None) -> Iterator[str]:
    """The last lines, then each new one, until the file is removed."""
    path = Path(file)
    while not path.exists():
        if not path.parent.exists():
            return
        pause(LOOK_AGAIN_SECONDS)
    with path.open("rb") as log:
        log.seek(0 if lines is None else _start_of_last(log.fileno(), lines))
        partial = b""
        while True:
            chunk = log.readline()
            if chunk:
                partial += chunk
                if partial.endswith(b"\n"):
                    yield partial.decode("utf-8", errors="replace").rstrip("\n")
                    partial = b""
            elif path.exists():
                pause(LOOK_AGAIN_SECONDS)
            else:
                return
