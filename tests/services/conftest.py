"""Real servers for the services' tests: uvicorn on a free loopback port, in a thread or in a process of its own."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp

START_TIMEOUT_SECONDS = 30


class Served:
    """An app served by a thread of this process."""

    def __init__(self, app: ASGIApp) -> None:
        self.server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=0))
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self.server.started:
            assert self.thread.is_alive(), "the server ended before it started"
            assert time.monotonic() < deadline
            time.sleep(0.005)
        host, port = self.server.servers[0].sockets[0].getsockname()[:2]
        self.url = f"http://{host}:{port}"


@pytest.fixture
def serve() -> Iterator[Callable[[ASGIApp], str]]:
    """``serve(app)`` returns its URL."""
    started: list[Served] = []

    def serve(app: ASGIApp) -> str:
        started.append(Served(app))
        return started[-1].url

    yield serve
    for served in started:
        served.server.should_exit = True
    for served in started:
        served.thread.join()


@pytest.fixture
def free_port() -> Callable[[], int]:
    def free_port() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            return port

    return free_port


class Process:
    def __init__(self, module: str, environment: dict[str, str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.popen = subprocess.Popen(
            [sys.executable, "-m", module],
            env={**os.environ, "HOST": "127.0.0.1", "PORT": str(self.port), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_healthy(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while True:
            assert self.popen.poll() is None, self.popen.communicate()[0]
            try:
                if httpx.get(f"{self.url}/health", trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """``start(module, NAME=value)`` returns a healthy process."""
    started: list[Process] = []

    def start(module: str, **environment: str) -> Process:
        process = Process(module, environment)
        started.append(process)
        process.wait_healthy()
        return process

    yield start
    for process in started:
        process.popen.kill()
        process.popen.communicate()
