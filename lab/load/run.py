"""Start a load, watch it, stop it. ``Load`` is a context manager; leaving it stops the load and waits for what is in flight."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from types import TracebackType

from lab.load.model import LoadResult, LoadSpec, Second

OnSecond = Callable[[Second], None]


class LoadFailed(Exception):
    """The load worker ended without a result; the message carries what it said."""


class Load:
    """A load in progress. ``on_second`` is called from a reader thread, once a second.

    Raises ``LoadFailed`` from ``result()`` and ``stop()`` when the worker dies.
    """

    def __init__(self, spec: LoadSpec, on_second: OnSecond | None = None) -> None:
        self.spec = spec
        self.requests_so_far = 0
        self._on_second = on_second
        self._result: LoadResult | None = None
        self._said: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lab.load.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_output, self._read_errors)]
        for reader in self._readers:
            reader.start()
        self._write(spec.to_json())

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it has ended; result() says how

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            kind, _, text = line.partition(" ")
            if kind == "second":
                second = Second(**json.loads(text))
                self.requests_so_far += second.ok + second.failed
                if self._on_second is not None:
                    self._on_second(second)
            elif kind == "result":
                self._result = LoadResult.from_json(text)

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said = [*self._said[-19:], line]

    def result(self) -> LoadResult:
        """Wait for the end and return what was measured."""
        self._process.wait()
        for reader in self._readers:
            reader.join()
        if self._result is None:
            raise LoadFailed(f"the load worker ended with exit code {self._process.returncode}:\n{''.join(self._said)}")
        return self._result

    def stop(self) -> LoadResult:
        """Send no more, wait for the answers in flight, return what was measured."""
        self._write("stop")
        return self.result()

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process.poll() is None and kind is not None:
            self._process.kill()
        self.stop() if kind is None else self._process.wait()


def run_load(spec: LoadSpec, on_second: OnSecond | None = None) -> LoadResult:
    """Run a load that ends by itself (by ``requests`` or ``duration_seconds``)."""
    if spec.requests is None and spec.duration_seconds is None:
        raise ValueError("this load would never end: give it requests or duration_seconds")
    return Load(spec, on_second).result()
