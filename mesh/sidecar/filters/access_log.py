"""The access log, told of every stream that has ended. Envoy: access_loggers.file. Format: mesh/sidecar/log_format.py.

Lines are gathered and written at most a second later, many at a time. A log that cannot be written loses lines, not requests.
"""

import contextlib
import os
from typing import Final

from mesh.model.listener import AccessLogFile
from mesh.sidecar.filter import Observer, Request, Response
from mesh.sidecar.log_format import compile_json, compile_text
from mesh.sidecar.wall import WallClock

STANDARD: Final = {"/dev/stdout": 1, "/dev/stderr": 2}
LINES_AT_A_TIME: Final = 256


class LogFile:
    """One file, appended to. ``lost``: lines that could not be written."""

    def __init__(self, path: str) -> None:
        """OSError if it cannot be opened. The standard streams are taken as they are: they may be pipes or sockets."""
        self.lost = 0
        self._lines: list[str] = []
        self._file = os.dup(STANDARD[path]) if path in STANDARD else os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o644)

    def add(self, line: str) -> None:
        lines = self._lines
        lines.append(line)
        if len(lines) >= LINES_AT_A_TIME:
            self.flush()

    def flush(self) -> None:
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        data = memoryview("".join(lines).encode("utf-8", "surrogateescape"))
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError:
            self.lost += len(lines)

    def close(self) -> None:
        self.flush()
        with contextlib.suppress(OSError):
            os.close(self._file)


class LogFiles:
    """All log files of a proxy. What configuration sends to standard output goes to ``standard_path``."""

    def __init__(self, standard_path: str) -> None:
        self._standard_path = standard_path
        self._files: dict[str, LogFile] = {}

    def observer(self, config: AccessLogFile, wall: WallClock) -> Observer:
        """ValueError: a format that there is not, or a file that cannot be opened."""
        line = compile_json(config.json_format, wall) if config.json_format else compile_text(config.text_format, wall)
        add = self._open(self._standard_path if config.path == "/dev/stdout" else config.path).add

        def observe(request: Request, response: Response | None) -> None:
            add(line(request, response))

        return observe

    def _open(self, path: str) -> LogFile:
        if path not in self._files:
            try:
                self._files[path] = LogFile(path)
            except OSError as error:
                raise ValueError(f"unable to open file '{path}': {error.strerror}") from None
        return self._files[path]

    def flush(self) -> None:
        for file in self._files.values():
            file.flush()

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()
