"""Fixtures: a connection past the greetings, in each role."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for scripted_peer: test folders are no packages

from scripted_peer import Scripted, make_client, make_server


@pytest.fixture
def server() -> Scripted:
    return make_server()


@pytest.fixture
def client() -> Scripted:
    return make_client()
