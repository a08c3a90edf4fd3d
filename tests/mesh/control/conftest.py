"""A control plane as its users have it: a process, two ports, an API."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

START_SECONDS = 20


class ControlPlane:
    def __init__(self, state_dir: Path, xds_port: int = 0, http_port: int = 0, *, config: Path | None = None) -> None:
        self.state_dir, self.ports, self.config = state_dir, (xds_port, http_port), config
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mesh.control", "--state-dir", str(self.state_dir)]
        command += ["--xds-port", str(self.ports[0]), "--http-port", str(self.ports[1])]
        command += ["--config", str(self.config)] if self.config else []
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.fullmatch(r"seatrial control plane ready xds=\S+:(\d+) http=\S+:(\d+)\n", line)
        if found is None:
            _, errors = self.process.communicate(timeout=START_SECONDS)
            raise AssertionError(f"said {line!r}, ended with {self.process.returncode}: {errors}")
        self.ports = int(found[1]), int(found[2])

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.communicate(timeout=START_SECONDS)
        return self.process.returncode

    @property
    def xds(self) -> str:
        return f"127.0.0.1:{self.ports[0]}"

    def call(self, path: str, body: object | None = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[1]}{path}", data, timeout=20) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def apply(self, text: str, *, timeout_seconds: float = 10.0) -> tuple[int, Any]:
        return self.call("/apply", {"documents": [{"source": "test.yaml", "text": text}], "timeout_seconds": timeout_seconds})


@pytest.fixture
def make_control(tmp_path: Path) -> Iterator[Callable[..., ControlPlane]]:
    started = []

    def make(**options: Any) -> ControlPlane:
        options.setdefault("state_dir", tmp_path / "state")
        control = ControlPlane(**options)
        started.append(control)
        return control

    yield make
    for control in started:
        if control.process is not None and control.process.poll() is None:
            control.process.kill()
            control.process.communicate()


@pytest.fixture
def control(make_control: Callable[..., ControlPlane]) -> ControlPlane:
    running = make_control()
    running.start()
    return running


@pytest.fixture
def eventually() -> Callable[..., None]:
    def wait(condition: Callable[[], object], what: str, seconds: float = 15) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"never: {what}"
            time.sleep(0.02)

    return wait


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def free_port() -> int:
    return _unused_port()


@pytest.fixture
def another_free_port() -> int:
    return _unused_port()
