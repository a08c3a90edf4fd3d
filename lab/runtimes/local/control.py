"""The supervisor's control socket: JSON lines over a Unix socket in the lab's folder, one answer to each question."""

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAME = "control.sock"
LONGEST_PATH = 100  # sun_path holds 108 bytes on Linux, 104 elsewhere


class SupervisorGone(ConnectionError):
    """Nobody answers at the control socket."""


@contextmanager
def _address(folder: Path) -> Iterator[str]:
    """The socket's path; through a descriptor of its folder where the path itself is too long for a socket."""
    path = str(folder / NAME)
    if len(path.encode()) <= LONGEST_PATH or sys.platform != "linux":
        yield path
        return
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{NAME}"
    finally:
        os.close(handle)


def listen(folder: Path) -> socket.socket:
    """A new socket; one that a dead supervisor left is replaced."""
    (folder / NAME).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _address(folder) as path:
        listener.bind(path)
    listener.listen(16)
    listener.setblocking(False)
    return listener


class Control:
    """A connection to the supervisor of the lab in ``folder``. Raises ``SupervisorGone`` whenever it turns out not to be there."""

    def __init__(self, folder: Path, timeout_seconds: float | None = None) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_seconds)
        try:
            with _address(folder) as path:
                self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise SupervisorGone(f"no supervisor in {folder}") from error
        self._lines = self._socket.makefile("rb")

    def ask(self, do: str, **details: Any) -> dict[str, Any]:
        """Returns the answer's fields. Raises ``RuntimeError`` with the supervisor's words when it could not."""
        try:
            self._socket.sendall(json.dumps({"do": do, **details}).encode() + b"\n")
            line = self._lines.readline()
        except OSError as error:
            raise SupervisorGone(f"the supervisor went away during {do}") from error
        if not line.endswith(b"\n"):
            raise SupervisorGone(f"the supervisor went away during {do}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> "Control":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
