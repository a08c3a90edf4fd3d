"""The differential suite: the same bytes through a real Envoy and through our sidecar, with the same resources.

A module lists its ``CASES`` (side_by_side/cases.py); one Envoy and one sidecar a module run them all.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for side_by_side: test folders are no packages

from side_by_side.bench import Bench
from side_by_side.mesh import Mesh

from lab import envoy_binary


@pytest.fixture(scope="session")
def envoy_path() -> Path:
    found = envoy_binary.find()
    if found is None:
        pytest.skip("no Envoy here: set SEATRIAL_ENVOY, put it on PATH, or `make .venv-envoy/.ready`")
    return found


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest, envoy_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    more = getattr(request.module, "clusters", lambda _: [])
    with Bench(envoy_path, tmp_path_factory.mktemp("side-by-side"), request.module.CASES, more) as bench:
        yield bench


@pytest.fixture(scope="module")
def mesh(envoy_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    with Mesh(envoy_path, tmp_path_factory.mktemp("mesh")) as mesh:
        yield mesh


def pytest_generate_tests(metafunc: Any) -> None:
    """``case``: each of the module's cases."""
    if "case" in metafunc.fixturenames:
        cases = metafunc.module.CASES
        metafunc.parametrize("case", [pytest.param(case, id=case.name, marks=marks(case)) for case in cases])


def marks(case: Any) -> list[Any]:
    return [pytest.mark.xfail(reason=case.known, raises=AssertionError, strict=True)] if case.known else []
