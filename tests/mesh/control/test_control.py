"""The control plane as a process: what it serves, what survives its end, how it refuses."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: reviews}\nspec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}\n"
ROUTE = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http: [{timeout: 1s, route: [{destination: {host: reviews}}]}]
"""


def test_what_is_applied_survives_a_kill(control: Any) -> None:
    assert control.apply(SERVICE + "---\n" + ROUTE)[0] == 200
    control.stop(9)
    control.start()
    status, found = control.call("/apis/networking.istio.io/v1/namespaces/default/virtualservices/reviews")
    assert (status, found["spec"]["http"][0]["timeout"]) == (200, "1s")


def test_it_ends_well_on_sigterm(control: Any) -> None:
    assert control.stop() == 0


def test_apply_without_any_proxy_is_complete_at_once(control: Any) -> None:
    status, answer = control.apply(SERVICE)
    assert (status, answer["distribution"]["complete"], answer["distribution"]["proxies"]) == (200, True, {})


def test_a_broken_set_is_refused_whole_with_its_place(control: Any) -> None:
    status, answer = control.apply(SERVICE + "---\n" + ROUTE.replace("timeout: 1s", "timout: 1s"))
    (error,) = answer["errors"]
    assert status == 422
    assert (error["file"], error["line"]) == ("test.yaml", 11)
    assert "timeout" in error["hint"]
    assert control.call("/api/v1/namespaces/default/services")[1]["items"] == []


def test_configuration_to_load_first_is_loaded(make_control: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "services.yaml").write_text(SERVICE)
    running = make_control(config=folder)
    running.start()
    assert [item["metadata"]["name"] for item in running.call("/api/v1/namespaces/default/services")[1]["items"]] == ["reviews"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--config", "{broken}"], 2, "broken.yaml:1:"),
        (["--config", "{tmp}/missing.yaml"], 1, "missing.yaml"),
        (["--state-dir", "/proc/nowhere"], 1, "/proc/nowhere"),
        (["--access-log-encoding", "xml"], 2, "'XML' is not one of TEXT, JSON"),
    ],
)
def test_it_does_not_start_with_what_it_cannot_use(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    (tmp_path / "broken.yaml").write_text("kind: Nonsense\n")
    filled = [argument.format(broken=tmp_path / "broken.yaml", tmp=tmp_path) for argument in arguments]
    command = [sys.executable, "-m", "mesh.control", "--state-dir", str(tmp_path), "--xds-port", "0", "--http-port", "0", *filled]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == code
    assert said in done.stderr


@pytest.mark.parametrize("which", ["xds_port", "http_port"])
def test_a_port_that_is_taken_is_named(control: Any, tmp_path: Path, which: str) -> None:
    taken = control.ports[0] if which == "xds_port" else control.ports[1]
    ports = {"xds_port": 0, "http_port": 0, which: taken}
    command = [sys.executable, "-m", "mesh.control", "--state-dir", str(tmp_path / "other")]
    command += ["--xds-port", str(ports["xds_port"]), "--http-port", str(ports["http_port"])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert str(taken) in done.stderr
