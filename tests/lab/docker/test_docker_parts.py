"""What the docker runtime decides without an engine."""

import socket
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import pytest

from lab.runtimes.docker import inside, packages
from lab.runtimes.docker.docker import in_order
from lab.runtimes.docker.engine import connect
from lab.runtimes.docker.plan import make_plan
from lab.runtimes.docker.ports import free_port
from lab.runtimes.docker.requirements import ROOTS, subset
from lab.runtimes.docker.wanted import Wanted
from lab.runtimes.runtime import LabError
from lab.topology import load

LOCK = """\
a==1 \\
    --hash=sha256:aa
    # via
    #   -r requirements.in
    #   b
b[extra]==2 ; sys_platform != 'win32' \\
    --hash=sha256:bb
    # via c
c==3 \\
    --hash=sha256:cc
    # via seatrial (pyproject.toml)
d==4 \\
    --hash=sha256:dd
    # via pytest
"""


def test_the_image_gets_what_it_needs_of_the_lock_file_and_no_more() -> None:
    pins = [line.split("==")[0] for line in subset(LOCK, ["c"]).splitlines() if "==" in line.split("#")[0] and not line.startswith(" ")]
    assert pins == ["a", "b[extra]", "c"]
    assert "sys_platform != 'win32'" in subset(LOCK, ["b"])
    assert "sha256:aa" in subset(LOCK, ["a"])


def test_a_package_that_is_not_locked_is_named() -> None:
    with pytest.raises(KeyError, match="z"):
        subset(LOCK, ["z"])


def test_the_lock_file_has_all_that_the_image_needs() -> None:
    lock = Path(__file__).parents[3] / "requirements.lock"
    assert "fastapi==" in subset(lock.read_text())


def test_without_a_lock_file_the_image_gets_what_is_installed_here(tmp_path: Path) -> None:
    pins = dict(line.split("==") for line in packages.wanted(tmp_path).splitlines())
    assert pins["fastapi"] == metadata.version("fastapi")
    assert set(ROOTS) | {"starlette"} <= set(pins)
    assert "pytest" not in pins


def test_only_sidecars_have_capabilities_and_begin_as_root() -> None:
    plan = make_plan(load("bookshop"), "lab", "python", "", "secret", free_port)
    assert {pod.proxy.capabilities for pod in plan.workloads if pod.app} == {("NET_ADMIN", "SETGID", "SETUID")}
    [gateway] = [pod.proxy for pod in plan.workloads if not pod.app]
    assert (gateway.capabilities, gateway.user, gateway.restricted) == ((), "1337:1337", True)
    others = [plan.control, *(spec for pod in plan.workloads for spec in (pod.network, pod.app) if spec)]
    assert all(not spec.capabilities and spec.restricted and spec.user == "10001:10001" for spec in others)


def test_app_and_sidecar_are_in_a_network_that_outlives_both() -> None:
    for pod in make_plan(load("bookshop"), "lab", "python", "", "secret", free_port).workloads:
        assert {spec.joins for spec in (pod.app, pod.proxy) if spec} == {pod.network.name}
        assert pod.network.aliases
        assert 15021 in pod.network.publish
    assert in_order(["a/proxy", "a/network", "control", "a/app"]) == [["control"], ["a/network"], ["a/app"], ["a/proxy"]]


def test_a_workload_with_a_database_is_told_where_it_is() -> None:
    plan = make_plan(load("bookshop"), "lab", "python", "", "secret", free_port)
    urls = {pod.app.name: pod.app.environment.get("DATABASE_URL") for pod in plan.workloads if pod.app}
    assert urls["ratings-v2-0/app"] == "postgresql://seatrial:secret@ratings-v2-database:5432/ratings"
    assert urls["ratings-v1-0/app"] is None
    assert [database.aliases for database in plan.databases] == [("ratings-v2-database",)]


def test_ports_are_free_and_not_given_to_outgoing_connections() -> None:
    port = free_port()
    assert 18000 <= port < 32000
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))


def test_what_was_ended_on_demand_is_remembered_until_it_starts_again(tmp_path: Path) -> None:
    wanted = Wanted(tmp_path)
    wanted.note(["a/app", "b/app"], "killed")
    wanted.note(["b/app"], "stopped")
    wanted.forget(["a/app"])
    assert Wanted(tmp_path).read() == {"b/app": "stopped"}


@pytest.mark.parametrize("text", ["2025-01-02T03:04:05.123456789Z", "2025-01-02T03:04:05.123456Z"])
def test_the_engines_nanoseconds_are_read(text: str) -> None:
    assert inside._moment(text) == datetime(2025, 1, 2, 3, 4, 5, 123456, UTC)


def test_short_fractions_are_read() -> None:
    assert inside._moment("2025-01-02T03:04:05.5Z") == datetime(2025, 1, 2, 3, 4, 5, 500000, UTC)


def test_without_an_engine_it_is_said_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(LabError, match=r"no Docker engine answers\n(.|\n)*refused(.|\n)*--runtime local"):
        connect()
