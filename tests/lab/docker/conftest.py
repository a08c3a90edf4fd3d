"""A Docker engine, or the reason why there is none; and what labs leave on it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")  # before testcontainers is imported; its image is in a registry

import docker

from lab.lab import Lab
from lab.runtimes.docker.engine import connect
from lab.runtimes.docker.images import Images
from lab.runtimes.runtime import LabError

REQUIRED = "SEATRIAL_REQUIRE_DOCKER"


@pytest.fixture(scope="session")
def engine() -> docker.DockerClient:
    try:
        return connect()
    except LabError as error:
        if os.environ.get(REQUIRED) == "1":
            raise
        pytest.skip(f"{error} ({REQUIRED}=1 makes this an error)")


@pytest.fixture(scope="session")
def images(engine: docker.DockerClient) -> Images:
    return Images(engine, lambda _: None)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """State of the module's labs; all of them go with it."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEATRIAL_HOME", str(home))
        yield home
        for name in Lab.names():
            Lab.take_down(name)


@pytest.fixture(scope="session")
def traces(engine: docker.DockerClient) -> Callable[[Path], list[str]]:
    """``traces(home)``: what is there of labs of this home: containers, networks, files."""

    def names(things: list[dict[str, Any]], home: Path) -> list[str]:
        mine = [thing for thing in things if (thing["Labels"] or {}).get("seatrial.folder", "").startswith(str(home))]
        return [thing["Id"][:12] for thing in mine]

    def find(home: Path) -> list[str]:
        containers = engine.api.containers(all=True, filters={"label": "seatrial.lab"})
        networks = engine.api.networks(filters={"label": "seatrial.lab"})
        files = [str(path) for path in home.rglob("*") if path.name != "labs"]
        return [*names(containers, home), *names(networks, home), *files]

    return find


@pytest.fixture
def one(tmp_path: Path) -> Callable[..., Path]:
    """``one(program)`` writes a topology of one workload."""
    tmp_path.chmod(0o755)

    def write(program: str, readiness: str = "tcp", name: str = "one") -> Path:
        file = tmp_path / f"{name}.yaml"
        lines = (
            f"name: {name}",
            "ingress: web",
            "services:",
            "  web:",
            "    ports: [{name: http, port: 8000}]",
            f"    {program}",
            f"    readiness: {readiness}",
            "    versions: {v1: {runtimes: [docker]}}",
        )
        file.write_text("\n".join(lines) + "\n")
        return file

    return write
