"""Labs in containers when something is wrong, or somebody is gone: what they say, and that nothing stays."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from lab import envoy_binary
from lab.lab import Lab
from lab.runtimes.docker.images import Images
from lab.runtimes.docker.ports import free_port
from lab.runtimes.runtime import LabError
from lab.until import until

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(600)]

LISTING = "command: [python3, -m, http.server, $PORT]"
UP = """
import sys
from lab.lab import Lab
lab = Lab.up(sys.argv[1], runtime="docker", tied=sys.argv[2] == "tied")
print("up", flush=True)
sys.stdin.read()
"""
MODULE = """
import http.server, os
def main():
    http.server.HTTPServer(("", int(os.environ["PORT"])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.fixture(autouse=True)
def built(images: Images, home: Path) -> None:
    images.mesh()


def bringing_up(topology: Path, tied: str = "") -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", UP, str(topology), tied], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_the_users_own_program_runs_from_its_folder(one: Callable[..., Path], home: Path, traces: Callable[[Path], list[str]]) -> None:
    topology = one(LISTING)
    (topology.parent / "hello.txt").write_text("hello")
    lab = Lab.up(topology, runtime="docker")
    with lab.client() as client:
        assert client.get("/hello.txt").text == "hello"
    lab.down()
    assert traces(home) == []


def test_the_users_own_module_runs_from_its_folder(one: Callable[..., Path]) -> None:
    topology = one("module: shop")
    (topology.parent / "shop.py").write_text(MODULE)
    lab = Lab.up(topology, runtime="docker")
    with lab.client() as client:
        assert client.get("/shop.py").text == MODULE
    lab.down()


@pytest.mark.skipif(envoy_binary.find() is None, reason="there is no Envoy here")
def test_a_real_envoy_captures_the_same(one: Callable[..., Path]) -> None:
    lab = Lab.up(one(LISTING), runtime="docker", dataplane="envoy")
    with lab.client() as client:
        assert client.get("/").status == 200
    until(lambda: "inbound|8000||" in lab.logs("web-v1-0", "access"), 15, "the request in Envoy's log")
    assert "envoy" in lab.admin("web-v1-0", "/server_info").text
    lab.down()


def test_a_port_that_was_taken_in_between_is_replaced_by_another(
    one: Callable[..., Path], home: Path, traces: Callable[[Path], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        ports = iter([taken.getsockname()[1]])
        monkeypatch.setattr("lab.runtimes.docker.docker.free_port", lambda: next(ports, None) or free_port())
        lab = Lab.up(one(LISTING), runtime="docker")
        with lab.client() as client:
            assert client.get("/").status == 200
        lab.down()
    assert next(ports, None) is None
    assert traces(home) == []


def test_two_labs_side_by_side_do_not_see_each_other(one: Callable[..., Path], home: Path, traces: Callable[[Path], list[str]]) -> None:
    labs: dict[str, Lab] = {}

    def bring_up(name: str) -> None:
        labs[name] = Lab.up(one(LISTING, name=name), runtime="docker")

    threads = [threading.Thread(target=bring_up, args=(name,)) for name in ("left", "right")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, lab in labs.items():
        with lab.client() as client:
            assert client.get("/").status == 200
        assert lab.topology.name == name
        assert [proxy["node"]["name"] for proxy in lab.status()] == ["web-v1-0"]
    labs["left"].down()
    with labs["right"].client() as client:
        assert client.get("/").status == 200
    labs["right"].down()
    assert traces(home) == []


def test_a_lab_outlives_the_process_that_brought_it_up_and_down_removes_it(
    one: Callable[..., Path], home: Path, traces: Callable[[Path], list[str]]
) -> None:
    with bringing_up(one(LISTING)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGKILL)
    with Lab.attach("one").client() as client:
        assert client.get("/").status == 200
    assert Lab.take_down("one")
    assert traces(home) == []


def test_killed_while_it_comes_up_its_containers_go_by_themselves(
    one: Callable[..., Path], home: Path, engine: docker.DockerClient, traces: Callable[[Path], list[str]]
) -> None:
    with bringing_up(one(LISTING, readiness="/never")) as process:
        mine = {"label": f"seatrial.folder={home}/labs/one"}
        until(lambda: engine.api.containers(filters=mine), 60, "the first container")
        process.send_signal(signal.SIGKILL)
    until(lambda: not engine.api.containers(all=True, filters=mine) and not engine.api.networks(filters=mine), 30, "the reaper")
    Lab.take_down("one")
    assert traces(home) == []


def test_a_tied_lab_goes_with_its_process(one: Callable[..., Path], home: Path, engine: docker.DockerClient) -> None:
    mine = {"label": f"seatrial.folder={home}/labs/one"}
    with bringing_up(one(LISTING), "tied") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        assert len(engine.api.containers(filters=mine)) == 4
        process.send_signal(signal.SIGKILL)
    until(lambda: not engine.api.containers(all=True, filters=mine) and not engine.api.networks(filters=mine), 30, "the reaper")
    Lab.take_down("one")


def test_up_removes_what_a_lab_left_whose_folder_is_gone(one: Callable[..., Path], home: Path, engine: docker.DockerClient) -> None:
    Lab.up(one(LISTING, name="lost"), runtime="docker")
    os.rename(home / "labs" / "lost", home / "labs" / ".lost")
    lost = {"label": "seatrial.lab=lost"}
    assert engine.api.containers(filters=lost)
    Lab.up(one(LISTING), runtime="docker").down()
    assert not engine.api.containers(all=True, filters=lost)
    assert not engine.api.networks(filters=lost)
    os.rename(home / "labs" / ".lost", home / "labs" / "lost")
    Lab.take_down("lost")


@pytest.mark.parametrize(
    ("program", "readiness", "says"),
    [
        ("command: [nonesuch]", "tcp", r"cannot start web-v1-0/app(.|\n)*nonesuch"),
        ("command: [sh, -c, 'echo on fire; exit 7']", "tcp", r"web-v1-0/app ended by itself(.|\n)*status 7(.|\n)*on fire"),
        ("command: [sh, -c, 'echo still thinking; sleep 60']", "tcp", r"not ready within 5 s(.|\n)*still thinking"),
        ("image: seatrial.invalid/nonesuch", "tcp", r"there is no image seatrial.invalid/nonesuch"),
        ("module: nonesuch", "tcp", r"web-v1-0/app ended by itself(.|\n)*No module named 'nonesuch'"),
    ],
    ids=["missing command", "crashing app", "never ready", "missing image", "missing module"],
)
def test_what_cannot_come_up_says_why_and_leaves_nothing(
    one: Callable[..., Path], home: Path, traces: Callable[[Path], list[str]], program: str, readiness: str, says: str
) -> None:
    with pytest.raises(LabError, match=says):
        Lab.up(one(program, readiness), runtime="docker", timeout_seconds=5)
    assert traces(home) == []


def test_a_base_image_that_is_nowhere_is_named(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEATRIAL_BASE_IMAGE", "seatrial.invalid/base")
    with pytest.raises(LabError, match=r"SEATRIAL_BASE_IMAGE names seatrial.invalid/base"):
        images.mesh()


def test_containers_that_somebody_removed_are_missed(one: Callable[..., Path], home: Path, engine: docker.DockerClient) -> None:
    lab = Lab.up(one(LISTING), runtime="docker")
    for container in engine.containers.list(all=True, filters={"label": f"seatrial.folder={home}/labs/one"}):
        container.remove(force=True, v=True)
    with pytest.raises(LabError, match="somebody removed them"):
        lab.ps()
    lab.down()
