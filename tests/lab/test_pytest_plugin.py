"""The plugin in somebody's own project: their program, their topology, their YAML, their tests, run from anywhere."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.lab import Lab

PROGRAM = """\
import json, os, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/call":
            with urllib.request.urlopen("http://backend:8000/who") as answer:
                body = answer.read()
        else:
            body = json.dumps({"version": os.environ["SERVICE_VERSION"]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
TOPOLOGY = f"""\
name: mine
ingress: front
services:
  front:
    ports: [{{name: http, port: 8000}}]
    command: [{sys.executable}, program.py]
    readiness: /health
    versions: {{v1: {{}}}}
  backend:
    ports: [{{name: http, port: 8000}}]
    command: [{sys.executable}, program.py]
    readiness: tcp
    versions: {{v1: {{}}, v2: {{}}}}
"""
ROUTES = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: backend}
spec: {host: backend, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: backend}
spec:
  hosts: [backend]
  http: [{route: [{destination: {host: backend, subset: v2}}]}]
"""
TESTS = """\
from pathlib import Path
import pytest
from lab import checks

pytestmark = pytest.mark.mesh("mine.yaml")

def test_only_v2(mesh):
    mesh.apply("routes.yaml")
    load = mesh.load("/call", requests=20, label="version")
    assert load.failed == 0
    checks.only(load.labels, "v2")

def test_only_v1(mesh):
    '''It cannot be.'''
    mesh.apply(Path("routes.yaml"))
    mesh.get("/last-words")
    checks.only(mesh.load("/call", requests=5, label="version").labels, "v1")

def test_refused(mesh):
    mesh.apply((Path(__file__).parent / "config" / "routes.yaml").read_text().replace("hosts", "hosst"))

@pytest.mark.mesh("nowhere.yaml")
def test_never_begins(mesh):
    pass
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("seatrial")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEATRIAL_HOME", str(home))
        for name in ("SEATRIAL_LAB", "SEATRIAL_RUNTIME", "SEATRIAL_DATAPLANE", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
            patch.delenv(name, raising=False)
        yield home
        for name in Lab.names():
            Lab.take_down(name)


@pytest.fixture(scope="module")
def project(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("project")
    files = {"program.py": PROGRAM, "mine.yaml": TOPOLOGY, "config/routes.yaml": ROUTES, "test_mine.py": TESTS}
    for name, text in files.items():
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(text)
    return project


@pytest.fixture(scope="module")
def run(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def run(*options: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:locust", "-q", str(project), *options]
        return subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, timeout=100, check=False)

    return run


@pytest.fixture(scope="module")
def report(project: Path) -> Path:
    return project / "out" / "report.html"


@pytest.fixture(scope="module")
def whole(run: Run, report: Path) -> str:
    """What a run of all tests prints."""
    return run(f"--mesh-report={report}").stdout


@pytest.fixture(scope="module")
def stories(whole: str, report: Path) -> dict[str, dict[str, Any]]:
    """What its report has, by test."""
    embedded = re.search(r'<script type="application/json" id="run">(.*)</script>', report.read_text())
    assert embedded is not None, whole
    return {story["name"]: story for story in json.loads(embedded[1])["stories"]}


def test_each_test_gets_its_mesh_and_its_verdict(whole: str, stories: dict[str, dict[str, Any]]) -> None:
    assert "2 failed, 1 passed, 1 error" in whole, whole
    verdicts = {name: story["verdict"] for name, story in stories.items()}
    assert verdicts == {"test_only_v2": "passed", "test_only_v1": "failed", "test_refused": "failed", "test_never_begins": "failed"}


def test_nothing_of_the_lab_stays(whole: str, home: Path) -> None:
    assert list((home / "labs").iterdir()) == []


def test_a_failing_test_shows_yaml_proxy_status_and_the_last_lines_of_the_access_logs(whole: str) -> None:
    failure = whole.partition("_ test_only_v1 _")[2].partition("_ test_refused _")[0]
    _, applied, status, *logs = re.split(r"-+ mesh: (?=applied|proxy|access)", failure)
    assert "subset: v2" in applied
    assert re.search(r"front-v1-0 \(python, healthy\).* RDS SYNCED", status)
    front, _, v2 = logs
    assert "access log of front-v1-0" in front
    assert '"GET /last-words HTTP/1.1" 200' in front
    assert v2.count('"GET /who HTTP/1.1" 200') >= 5


def test_refused_configuration_is_in_the_report(stories: dict[str, dict[str, Any]]) -> None:
    step = stories["test_refused"]["steps"][-1]
    assert (step["kind"], step["ok"]) == ("apply", False)
    assert "hosst" in step["detail"]["yaml"]
    assert 'did you mean "hosts"' in stories["test_refused"]["failure"]


def test_what_could_not_begin_says_why(stories: dict[str, dict[str, Any]]) -> None:
    assert "nowhere.yaml" in stories["test_never_begins"]["failure"]


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "xdist"])
def test_a_lab_that_is_kept_is_named_and_can_be_used_again(run: Run, home: Path, workers: tuple[str, ...]) -> None:
    kept = run("-k", "only_v2", "--mesh-keep", *workers)
    (name,) = Lab.names()
    assert f"take it down with: seatrial down {name}" in kept.stdout
    assert all(row["ready"] for row in Lab.attach(name).ps())
    again = run("-k", "only_v2", f"--mesh-lab={name}")
    assert "1 passed" in again.stdout, again.stdout
    assert Lab.names() == [name]
    assert Lab.take_down(name)
