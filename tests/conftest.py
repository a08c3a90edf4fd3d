"""What all tests stand on: how they are shared out, and a Ctrl-C that reaches what they start."""

import signal
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling


class OneEngine(LoadScopeScheduling):
    """A module a worker, but one worker for all that needs the Docker engine: images are built once, and no crowd times the engine out."""

    def _split_scope(self, nodeid: str) -> str:
        return "docker" if nodeid.startswith("tests/lab/docker/") else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return OneEngine(config, log)


def pytest_configure() -> None:
    """A shell starts what it puts in the background deaf to Ctrl-C, and children inherit that; the tests are about who hears it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
