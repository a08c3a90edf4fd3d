"""What the lab makes of the control plane's answers. The answers are those of a real control plane, on real ports."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lab.api import Api, ApiError, Applied, ConfigRefused, ControlPlaneUnreachable, Diagnostic, DistributionTimeout, Document
from lab.until import until

RULE = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}]
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec:
  selector: {app: reviews}
  ports: [{name: http, port: 9080}]
"""


@pytest.fixture(scope="module")
def address() -> str:
    """A loopback address of our own."""
    return f"127.62.{os.getpid() % 250}.{1 + os.getpid() // 250 % 250}"


@pytest.fixture(scope="module")
def api(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("control")
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "mesh.control", "--host", address, "--xds-port", "15010", "--http-port", "8080"]
        process = subprocess.Popen([*command, "--state-dir", str(folder)], stdout=log, stderr=log)
    api = Api(f"http://{address}:8080")
    try:
        until(api.healthy, 20, "the control plane")
        api.apply([Document("reviews.yaml", SERVICE)])
        yield api
    finally:
        process.terminate()
        process.wait(10)


def test_what_is_applied_can_be_read_back_and_deleted(api: Api) -> None:
    applied = api.apply([Document("rule.yaml", RULE)])
    assert [(r["kind"], r["namespace"], r["name"], r["action"]) for r in applied.resources] == [
        ("DestinationRule", "default", "reviews", "created")
    ]
    assert (applied.touched, applied.complete) == (0, True)
    assert [r["metadata"]["name"] for r in api.get("DestinationRule")] == ["reviews"]
    assert api.get("DestinationRule", "reviews")[0]["spec"]["host"] == "reviews"
    api.delete([Document("rule.yaml", RULE)])
    assert api.get("DestinationRule") == []


def test_a_resource_is_deleted_by_kind_and_name_too(api: Api) -> None:
    api.apply([Document("rule.yaml", RULE)])
    api.delete(resources=[{"kind": "DestinationRule", "namespace": "default", "name": "reviews"}])
    assert api.get("DestinationRule") == []


def test_a_dry_run_changes_nothing(api: Api) -> None:
    api.apply([Document("rule.yaml", RULE)], dry_run=True)
    assert api.get("DestinationRule") == []


def test_what_is_wrong_is_refused_with_a_place_and_a_caret(api: Api) -> None:
    with pytest.raises(ConfigRefused) as raised:
        api.apply([Document("rule.yaml", RULE), Document("wrong.yaml", RULE.replace("host:", "hots:"))])
    found = [(d.file, d.line, d.column) for d in raised.value.diagnostics if d.severity == "error"]
    assert ("wrong.yaml", 5, 3) in found
    assert "--> wrong.yaml:5:3" in str(raised.value)
    assert "hots: reviews\n  |   ^" in str(raised.value)
    assert api.get("DestinationRule") == []


def test_what_is_not_there_cannot_be_read_or_deleted(api: Api) -> None:
    with pytest.raises(ApiError, match="not found"):
        api.get("VirtualService", "nothing")
    with pytest.raises(ApiError, match="nothing"):
        api.delete(resources=[{"kind": "VirtualService", "namespace": "default", "name": "nothing"}])


def test_nobody_there_is_said_with_where_to_look(address: str) -> None:
    with socket.create_server((address, 0)) as once:
        port = once.getsockname()[1]
    with pytest.raises(ControlPlaneUnreachable, match="seatrial logs control"):
        Api(f"http://{address}:{port}").syncz()
    assert not Api(f"http://{address}:{port}").healthy()


def test_laggards_are_named_with_what_is_known_of_them() -> None:
    proxies = {"a.default": "SYNCED", "b.default": "PENDING", "c.default": "NACK: no such cluster"}
    error = DistributionTimeout(Applied(proxies=proxies), 10)
    assert error.laggards == {"b.default": "PENDING", "c.default": "NACK: no such cluster"}
    assert str(error).splitlines()[1:] == ["  b.default: PENDING", "  c.default: NACK: no such cluster"]


def test_a_diagnostic_without_a_place_is_still_readable() -> None:
    assert str(Diagnostic.from_json({"message": "no", "hint": "do", "unheard": 1, "line": None})) == "error: no\n  do"
