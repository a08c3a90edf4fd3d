"""The compose file: as written from the topology, and the same mesh when compose runs it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lab.client import Client, NoAnswer
from lab.export.compose import export
from lab.runtimes.docker.images import Images
from lab.runtimes.docker.ports import free_port
from lab.topology import load
from lab.until import until

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docker-compose.yml"
PROJECT = "seatrial-test"


def compose() -> list[str]:
    """Whichever there is: the engine's plugin or the older program."""
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
        return ["docker", "compose"]
    found = shutil.which("docker-compose")
    return [found] if found else []


def test_the_compose_file_is_what_the_export_writes() -> None:
    assert FILE.read_text() == export(load("bookshop")), "write it anew with: seatrial export compose > docker-compose.yml"


def test_the_compose_file_is_within_what_old_and_new_compose_know() -> None:
    content = yaml.safe_load(FILE.read_text())
    assert set(content) == {"services"}
    proxies = {name: service for name, service in content["services"].items() if name.endswith("-proxy")}
    assert {service["network_mode"] for service in proxies.values()} == {f"service:{name.removesuffix('-proxy')}" for name in proxies}
    assert all("networks" not in service and "ports" not in service for service in proxies.values())


def test_a_dollar_sign_is_not_for_compose(tmp_path: Path) -> None:
    topology = tmp_path / "shop.yaml"
    lines = ("name: shop", "ingress: web", "services:", "  web:", "    ports: [{name: http, port: 80}]", "    versions: {v1: {}}")
    topology.write_text("\n".join((*lines, "    command: [sh, -c, 'echo $HOME']")) + "\n")
    tmp_path.chmod(0o755)
    assert yaml.safe_load(export(load(topology)))["services"]["web-v1-0"]["command"][2] == "echo $$HOME"


def run(*command: str, environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"


@pytest.fixture
def running(images: Images) -> Iterator[str]:
    command = compose()
    if not command:
        pytest.skip("there is neither docker compose nor docker-compose here")
    port, control = free_port(), free_port()
    images.mesh()
    images.postgres()
    environment = {**os.environ, "SEATRIAL_PORT": str(port), "SEATRIAL_CONTROL_PORT": str(control)}
    environment |= {f"INGRESSGATEWAY_PORT_{number}": str(free_port()) for number in (80, 443, 8080)}
    command += ["-p", PROJECT, "-f", str(FILE)]
    try:
        run(*command, "up", "-d", environment=environment)
        yield f"http://127.0.0.1:{port}"
    finally:
        run(*command, "down", "-v", "-t", "1", environment=environment)


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_compose_brings_the_same_mesh_up(running: str) -> None:
    def page() -> str | None:
        try:
            with Client(running, 5) as client:
                answer = client.get("/productpage")
        except NoAnswer:
            return None
        return answer.text if answer.status == 200 and "x-envoy-upstream-service-time" in answer.headers else None

    assert "The Comedy of Errors" in until(page, 90, "the page through the mesh")
