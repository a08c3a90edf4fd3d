"""The bookshop in containers: traffic goes through sidecars that nobody told the apps of, and nothing of it stays."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from lab.client import Client
from lab.lab import Lab
from lab.runtimes.docker.images import Images
from lab.until import until

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(600)]

TO_RATINGS_V2 = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ratings}
spec:
  host: ratings
  subsets: [{name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ratings}
spec:
  hosts: [ratings]
  http: [{route: [{destination: {host: ratings, subset: v2}}]}]
"""
DETAILS_FAIL = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: details}
spec:
  hosts: [details]
  http: [{fault: {abort: {httpStatus: 418, percentage: {value: 100}}}, route: [{destination: {host: details}}]}]
"""


@pytest.fixture(scope="module")
def bookshop(home: Path, images: Images) -> Iterator[Lab]:
    images.mesh()
    images.postgres()
    lab = Lab.up("bookshop", runtime="docker")
    yield lab
    lab.down()


@pytest.fixture(autouse=True)
def reset(bookshop: Lab) -> Iterator[None]:
    yield
    if bookshop.folder.exists:
        bookshop.reset()


def container(engine: docker.DockerClient, lab: Lab, process: str) -> docker.models.containers.Container:
    filters = {"label": [f"seatrial.folder={lab.folder.path}", f"seatrial.process={process}"]}
    (found,) = engine.containers.list(all=True, filters=filters)
    return found


def access_log(lab: Lab, workload: str, request: str) -> list[str]:
    """The lines of a request; they are written a little later."""
    return until(lambda: [line for line in lab.logs(workload, "access").splitlines() if request in line], 5, f"{request} in the log")


def test_the_page_comes_through_every_sidecar_on_its_way(bookshop: Lab) -> None:
    with bookshop.client() as client:
        page = client.get("/productpage", headers={"x-request-id": "11111111-2222-4333-8444-555555555555", "user-agent": "through"})
    assert page.status == 200
    lines = access_log(bookshop, "productpage-v1-0", "11111111-2222-4333-8444-555555555555")
    assert len([line for line in lines if "inbound|9080||" in line]) == 1
    assert len([line for line in lines if "outbound|9080||details.default.svc.cluster.local" in line]) == 1
    assert len([line for line in lines if "outbound|9080||reviews.default.svc.cluster.local" in line]) == 1
    assert "inbound|9080||" in access_log(bookshop, "details-v1-0", "11111111-2222-4333-8444-555555555555")[0]


def test_what_is_applied_holds_for_calls_that_the_app_makes(bookshop: Lab) -> None:
    with bookshop.client() as client:
        assert client.get("/api/v1/products/0").status == 200
        bookshop.apply(DETAILS_FAIL)
        assert client.get("/api/v1/products/0").status == 418


def test_nobody_comes_past_the_sidecar(bookshop: Lab, engine: docker.DockerClient) -> None:
    """Not even to the container's own address."""
    details = container(engine, bookshop, "details-v1-0/network")
    (network,) = details.attrs["NetworkSettings"]["Networks"].values()
    program = f"import urllib.request as u; print(dict(u.urlopen('http://{network['IPAddress']}:9080/details/0').headers))"
    answer = container(engine, bookshop, "control").exec_run(["python3", "-c", program])
    assert b"istio-envoy" in answer.output or b"x-envoy" in answer.output, answer.output


def test_apps_have_no_privileges_and_sidecars_gave_theirs_up(bookshop: Lab, engine: docker.DockerClient) -> None:
    for process, user in (("productpage-v1-0/app", "10001"), ("productpage-v1-0/proxy", "1337")):
        status = container(engine, bookshop, process).exec_run(["cat", "/proc/1/status"], user=user).output.decode()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert set(fields["Uid"].split()) == {user}
        assert int(fields["CapEff"], 16) == 0
    app = container(engine, bookshop, "productpage-v1-0/app")
    assert app.attrs["HostConfig"]["CapDrop"] == ["ALL"]
    assert app.exec_run(["touch", "/opt/seatrial/x"]).exit_code != 0


def test_ratings_v2_keeps_them_on_postgres(bookshop: Lab, engine: docker.DockerClient) -> None:
    (place,) = [place for place in bookshop.layout.places if place.name == "ratings-v2-0"]
    with Client(f"http://{place.inbound['9080']}") as client:
        assert client.post("/ratings/7", json={"Reviewer1": 3}).status == 200
    bookshop.apply(TO_RATINGS_V2)
    in_mesh = container(engine, bookshop, "reviews-v2-0/app")
    program = "import urllib.request as u; print(u.urlopen('http://ratings:9080/ratings/7').read().decode())"
    assert b'"Reviewer1":3' in in_mesh.exec_run(["python3", "-c", program]).output
    database = container(engine, bookshop, "ratings-v2-database")
    environment = dict(line.split("=", 1) for line in database.attrs["Config"]["Env"])
    query = ["psql", "-h", "127.0.0.1", "-U", "seatrial", "-tAc", "SELECT stars FROM ratings WHERE product_id = 7", "ratings"]
    assert database.exec_run(query, environment={"PGPASSWORD": environment["POSTGRES_PASSWORD"]}).output.strip() == b"3"


def test_an_app_that_was_killed_is_missed_and_comes_back(bookshop: Lab) -> None:
    bookshop.kill("details-v1-0/app")

    def row() -> dict[str, Any]:
        return next(row for row in bookshop.ps() if row["name"] == "details-v1-0")

    assert (row()["app"], row()["proxy"]) == ("killed", "running")
    until(lambda: not row()["ready"], 10, "the sidecar's probe")
    with bookshop.client() as client:
        assert client.get("/api/v1/products/0").status == 503
        bookshop.start("details-v1-0/app")
        bookshop.wait_ready(30)
        assert client.get("/api/v1/products/0").status == 200


def test_a_sidecar_that_was_killed_comes_back_and_captures_again(bookshop: Lab) -> None:
    bookshop.kill("details-v1-0/proxy")
    bookshop.start("details-v1-0/proxy")
    bookshop.wait_ready(30)
    with bookshop.client() as client:
        assert client.get("/api/v1/products/0", headers={"user-agent": "again"}).status == 200
    assert access_log(bookshop, "details-v1-0", "again")


def test_a_workload_stops_within_its_grace(bookshop: Lab) -> None:
    bookshop.restart("ratings-v1-0")
    bookshop.wait_ready(30)
    assert {process.name: process.status for process in bookshop._runtime.processes()}["ratings-v1-0/app"] == "running"


def test_the_control_plane_comes_back_knowing_what_it_knew(bookshop: Lab) -> None:
    bookshop.apply(DETAILS_FAIL)
    bookshop.kill("control")
    with bookshop.client() as client:
        assert client.get("/api/v1/products/0").status == 418
    bookshop.start("control")
    bookshop.wait_ready(30)
    assert [resource["metadata"]["name"] for resource in bookshop.get("VirtualService")] == ["details"]


def test_a_command_runs_where_the_app_is_and_tells_its_status(bookshop: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert bookshop.exec("details-v1-0", ["sh", "-c", "echo $POD_NAME; exit 3"]) == 3
    assert capsys.readouterr().out == "details-v1-0\n"


def test_logs_are_followed_line_by_line(bookshop: Lab) -> None:
    assert next(bookshop.logs("control", follow=True)) == bookshop.logs("control").splitlines()[0]
    assert "captured by nft" in bookshop.logs("details-v1-0", "proxy", tail=1000)
    assert bookshop.logs("control", tail=1).count("\n") == 1


def test_the_admin_interface_answers_though_only_its_own_loopback_reaches_it(bookshop: Lab) -> None:
    answer = bookshop.admin("details-v1-0", "/server_info")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert bookshop.admin("details-v1-0", "/nowhere").status == 404


def test_a_second_up_finds_the_lab(bookshop: Lab) -> None:
    again = Lab.up("bookshop", runtime="docker")
    assert [row.get("app_id") for row in again.ps()] == [row.get("app_id") for row in bookshop.ps()]


def test_down_leaves_nothing_and_takes_few_seconds(bookshop: Lab, home: Path, traces: Callable[[Path], list[str]]) -> None:
    assert traces(home)
    began = time.monotonic()
    bookshop.down()
    assert traces(home) == []
    assert time.monotonic() - began < 30  # five on an idle machine
