"""The commands on a lab that is up: the bookshop on the local runtime, from up to down."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from lab.cli import app
from lab.cli.exits import FAILED, INTERRUPTED, TIMED_OUT
from lab.lab import Lab
from lab.until import until

Seatrial = Callable[..., Result]
NAME = "shop"
SUBSETS = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: reviews
spec:
  host: reviews
  subsets:
  - name: v1
    labels: {version: v1}
"""
TO_V1 = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts: [reviews]
  http:
  - route:
    - destination: {host: reviews, subset: v1}
"""
WRONG = TO_V1.replace("hosts:", "hosst:") + "    timeout: banana\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("seatrial")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEATRIAL_HOME", str(home))
        patch.delenv("SEATRIAL_LAB", raising=False)
        patch.setenv("COLUMNS", "200")
        yield home
        for name in Lab.names():
            Lab.take_down(name)


@pytest.fixture(scope="module")
def brought_up(home: Path) -> Result:
    return CliRunner().invoke(app, ["up", "--name", NAME])


@pytest.fixture
def lab(brought_up: Result) -> Lab:
    assert brought_up.exit_code == 0, brought_up.output
    lab = Lab.attach(NAME)
    lab.reset()
    return lab


@pytest.fixture
def seatrial(lab: Lab) -> Seatrial:
    return lambda *words, **options: CliRunner().invoke(app, list(words), **options)


def process(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lab.cli", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# --- up and ps -------------------------------------------------------------------------------------------------------


def test_up_prints_the_url_and_nothing_else_as_data(lab: Lab, brought_up: Result) -> None:
    assert brought_up.stdout == f"{lab.url()}\n"
    assert "starting 6 apps" in brought_up.stderr
    assert f"curl {lab.url()}/productpage" in brought_up.stderr


def test_a_second_up_changes_nothing(lab: Lab, seatrial: Seatrial) -> None:
    before = [row.get("app_id") for row in lab.ps()]
    again = seatrial("up", "--name", NAME)
    assert (again.exit_code, again.stdout) == (0, f"{lab.url()}\n")
    assert [row.get("app_id") for row in lab.ps()] == before


def test_up_with_another_data_plane_is_refused_while_it_is_up(seatrial: Seatrial) -> None:
    refused = seatrial("up", "--name", NAME, "--dataplane", "envoy")
    assert refused.exit_code == FAILED
    assert "is up already" in refused.stderr
    assert f"seatrial down {NAME}" in refused.stderr


def test_ps_shows_every_workload_in_each_format(seatrial: Seatrial) -> None:
    names = seatrial("ps", "-o", "name").stdout.split()
    assert names == [row["name"] for row in json.loads(seatrial("ps", "-o", "json").stdout)]
    assert names == [row["name"] for row in yaml.safe_load(seatrial("ps", "-o", "yaml").stdout)]
    assert {"productpage-v1-0", "reviews-v3-0", "control"} <= set(names)
    assert "APP ID" in seatrial("ps", "-o", "wide").stdout
    assert len(seatrial("ps", "--no-headers").stdout.splitlines()) == len(names)


def test_url_is_where_a_service_answers(lab: Lab, seatrial: Seatrial) -> None:
    assert seatrial("url").stdout.strip() == lab.url()
    assert seatrial("url", "ratings").stdout.strip() == lab.url("ratings")
    refused = seatrial("url", "ratnigs")
    assert refused.exit_code == FAILED
    assert "no service ratnigs" in refused.stderr


def test_admin_prints_a_page_of_the_sidecar(seatrial: Seatrial) -> None:
    assert "outbound|9080||reviews" in seatrial("admin", "productpage-v1", "/clusters").stdout
    assert json.loads(seatrial("admin", "productpage-v1").stdout)["configs"]
    refused = seatrial("admin", "productpage-v1", "/quitquitquit")
    assert (refused.exit_code, "POST required" in refused.stdout) == (FAILED, True)


# --- apply, get, delete ----------------------------------------------------------------------------------------------


def test_apply_says_what_became_of_each_resource_and_who_uses_it(seatrial: Seatrial, tmp_path: Path) -> None:
    (tmp_path / "rule.yaml").write_text(SUBSETS)
    (tmp_path / "route.yaml").write_text(TO_V1)
    applied = seatrial("apply", "-f", str(tmp_path))
    assert applied.exit_code == 0, applied.output
    assert sorted(applied.stdout.splitlines()) == [
        "destinationrule.networking.istio.io/reviews created",
        "virtualservice.networking.istio.io/reviews created",
    ]
    assert "applied by 7 proxies in " in applied.stderr
    again = seatrial("apply", str(tmp_path / "route.yaml"))
    assert again.stdout == "virtualservice.networking.istio.io/reviews unchanged\n"
    assert "nothing changed" in again.stderr


def test_what_was_applied_is_in_force_when_apply_ends(lab: Lab, seatrial: Seatrial) -> None:
    assert seatrial("apply", "-", input=f"{SUBSETS}---\n{TO_V1}").exit_code == 0
    with lab.client() as client:
        assert {client.get("/api/v1/products/0/reviews").json()["podname"] for _ in range(30)} == {"reviews-v1-0"}


def test_a_dry_run_changes_nothing(seatrial: Seatrial) -> None:
    told = seatrial("apply", "--dry-run", "-", input=SUBSETS)
    assert (told.exit_code, told.stdout) == (0, "destinationrule.networking.istio.io/reviews created (dry run)\n")
    assert json.loads(seatrial("get", "dr", "-o", "json").stdout)["items"] == []


def test_refused_configuration_shows_every_error_with_its_place(seatrial: Seatrial, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(WRONG)
    refused = seatrial("apply", "-f", str(file))
    assert refused.exit_code == FAILED
    assert refused.stdout == ""
    assert f"--> {file}:6:3" in refused.stderr
    assert 'did you mean "hosts"?' in refused.stderr
    assert f"--> {file}:10:14" in refused.stderr
    assert "^^^^^^" in refused.stderr
    assert "2 errors: nothing was applied" in refused.stderr
    assert json.loads(seatrial("get", "vs", "-o", "json").stdout)["items"] == []


def test_a_proxy_that_lags_is_named_and_the_code_is_that_of_a_timeout(lab: Lab, seatrial: Seatrial) -> None:
    frozen = next(row for row in lab.ps() if row["name"] == "details-v1-0")
    os.kill(int(frozen["proxy_id"]), signal.SIGSTOP)
    try:
        late = seatrial("apply", "-", "--timeout", "0.5", input=SUBSETS)
    finally:
        os.kill(int(frozen["proxy_id"]), signal.SIGCONT)
    assert late.exit_code == TIMED_OUT
    assert late.stdout == "destinationrule.networking.istio.io/reviews created\n"
    laggards = [line for line in late.stderr.splitlines() if "sidecar~" in line]
    assert [line.split("~")[2] for line in laggards] == ["details-v1-0.default"]


def test_apply_speaks_json(seatrial: Seatrial) -> None:
    told = json.loads(seatrial("apply", "-", "-o", "json", input=SUBSETS).stdout)
    assert told["complete"] is True
    assert told["resources"] == [{"kind": "DestinationRule", "namespace": "default", "name": "reviews", "action": "created"}]
    assert set(told["proxies"].values()) == {"SYNCED"}


def test_what_get_prints_apply_takes(seatrial: Seatrial) -> None:
    seatrial("apply", "-", input=f"{SUBSETS}---\n{TO_V1}")
    printed = seatrial("get", "vs", "reviews", "-o", "yaml").stdout
    assert yaml.safe_load(printed)["spec"] == yaml.safe_load(TO_V1)["spec"]
    assert seatrial("apply", "-", input=printed).stdout == "virtualservice.networking.istio.io/reviews unchanged\n"


def test_get_tables_every_kind(seatrial: Seatrial) -> None:
    seatrial("apply", "-", input=f"{SUBSETS}---\n{TO_V1}")
    assert "reviews   reviews   reviews:v1" in seatrial("get", "virtualservice").stdout
    everything = seatrial("get", "all").stdout
    assert [line for line in everything.splitlines() if line.endswith(":")] == ["VirtualService:", "DestinationRule:", "Service:"]
    assert "service/details" in seatrial("get", "svc", "-o", "name").stdout.split()


def test_get_of_what_is_not_there_fails(seatrial: Seatrial) -> None:
    missing = seatrial("get", "vs", "reviews")
    assert missing.exit_code == FAILED
    assert 'virtualservices "default/reviews" not found' in missing.stderr


def test_delete_by_file_by_kind_and_by_slash(seatrial: Seatrial, tmp_path: Path) -> None:
    file = tmp_path / "both.yaml"
    file.write_text(f"{SUBSETS}---\n{TO_V1}")
    for words in (("-f", str(file)), ("vs/reviews", "dr/reviews")):
        seatrial("apply", str(file))
        deleted = seatrial("delete", *words)
        assert deleted.exit_code == 0, deleted.output
        assert {line.split()[1] for line in deleted.stdout.splitlines()} == {"deleted"}
        assert seatrial("get", "vs", "-o", "name").stdout == ""
    again = seatrial("delete", "vs", "reviews")
    assert again.exit_code == FAILED
    assert "does not exist" in again.stderr


# --- status, logs, exec ----------------------------------------------------------------------------------------------


def test_status_has_a_line_for_each_proxy(seatrial: Seatrial) -> None:
    lines = seatrial("status", "--no-headers").stdout.splitlines()
    assert len(lines) == 7
    states = {line.split(".")[0]: line.split()[2:6] for line in lines}
    assert states.pop("ingressgateway-0") == ["SYNCED", "SYNCED", "SYNCED", "NOT"]  # NOT SENT: nobody has told it what to let in
    assert all(words == ["SYNCED"] * 4 for words in states.values())
    assert len(seatrial("status", "reviews-v2", "--no-headers").stdout.splitlines()) == 1
    assert json.loads(seatrial("status", "details-v1-0", "-o", "json").stdout)[0]["types"]["CDS"]["status"] == "SYNCED"


def test_logs_show_the_app_the_proxy_the_access_log_and_the_control_plane(lab: Lab, seatrial: Seatrial) -> None:
    with lab.client() as client:
        client.get("/productpage")
    until(lambda: "GET /productpage" in seatrial("logs", "productpage-v1", "-c", "access").stdout, 5, "the request in the access log")
    assert len(seatrial("logs", "productpage-v1", "-c", "access", "--tail", "1").stdout.splitlines()) == 1
    assert "ready" in seatrial("logs", "control").stdout
    assert seatrial("logs", "-c", "access", "details-v1", "productpage-v1").stdout.splitlines()[-1].startswith("productpage-v1-0 | ")


def test_logs_follow_until_they_are_interrupted(lab: Lab) -> None:
    following = process("logs", "productpage-v1", "-c", "access", "--follow")
    assert following.stdout is not None
    try:
        with lab.client() as client:
            for path in ("/productpage?before", "/productpage?after"):  # the second comes when the first has been followed
                client.get(path)
                assert any(path in line for line in following.stdout)
    finally:
        following.send_signal(signal.SIGINT)
    assert following.wait(10) == INTERRUPTED


def test_exec_runs_where_the_app_runs_and_ends_as_the_command_does(lab: Lab) -> None:
    done = process("exec", "reviews-v1", "--", "sh", "-c", "echo $POD_NAME; exit 7")
    assert done.communicate(timeout=20)[0] == "reviews-v1-0\n"
    assert done.returncode == 7


def test_a_workload_may_be_named_by_its_beginning_when_that_is_one_only(seatrial: Seatrial) -> None:
    several = seatrial("logs", "reviews")
    assert several.exit_code == FAILED
    assert "reviews-v1-0, reviews-v2-0, reviews-v3-0" in several.stderr
    unknown = seatrial("logs", "revews-v1-0")
    assert unknown.exit_code == FAILED
    assert 'did you mean "reviews-v1-0"?' in unknown.stderr


# --- load ------------------------------------------------------------------------------------------------------------


def test_load_counts_the_answers_by_label(seatrial: Seatrial) -> None:
    seatrial("apply", "-", input=f"{SUBSETS}---\n{TO_V1}")
    loaded = seatrial("load", "reviews/reviews/0", "-n", "50", "-u", "2", "--label", "podname", "-o", "json")
    assert loaded.exit_code == 0, loaded.output
    told = json.loads(loaded.stdout)
    assert (told["requests"], told["failed"]) == (50, 0)
    assert sum(told["labels"].values()) == 50
    table = seatrial("load", "/productpage", "-n", "20").stdout
    assert "REQUESTS" in table
    assert "100.0 %" in table


def test_a_load_without_a_single_good_answer_fails(seatrial: Seatrial) -> None:
    assert seatrial("load", "/no-such-page", "-n", "5").exit_code == FAILED


# --- run -------------------------------------------------------------------------------------------------------------


def test_run_runs_a_scenario_in_the_lab_and_leaves_a_report(lab: Lab, home: Path) -> None:
    running = process("run", "fault-abort", "--lab", NAME, "--", "-k", "one_user")
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, out
    assert "pytest " in err
    assert "fault_abort: an abort for one user leaves the others alone" in out
    assert "✔ check" in out
    assert "an_abort_for_one_user" in (home / "reports" / "last.html").read_text(encoding="utf-8")
    assert NAME in Lab.names()


def test_a_scenario_that_fails_gives_its_code(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "test_mine.py").write_text("def test_it(mesh):\n    assert mesh.get('/productpage').status == 418\n")
    running = process("run", str(folder), "--lab", NAME, "--no-steps")
    out, _ = running.communicate(timeout=60)
    assert running.returncode == FAILED, out


# --- when things break, and down -------------------------------------------------------------------------------------


def test_a_control_plane_that_is_gone_is_told_in_a_sentence(lab: Lab, seatrial: Seatrial) -> None:
    lab.kill("control")
    try:
        told = seatrial("status")
    finally:
        lab.start("control")
        lab.wait_ready()
    assert told.exit_code == FAILED
    assert told.stderr.startswith("error: the control plane does not answer")
    assert "seatrial logs control" in told.stderr


def test_up_that_is_interrupted_leaves_nothing(home: Path) -> None:
    coming = process("up", "--name", "brief")
    assert coming.stderr is not None
    assert "starting" in coming.stderr.readline()
    coming.send_signal(signal.SIGINT)
    coming.communicate(timeout=20)
    assert coming.returncode == INTERRUPTED
    assert "brief" not in Lab.names()


def test_down_takes_the_lab_away(lab: Lab, seatrial: Seatrial) -> None:
    """Last: it takes the module's lab."""
    gone = seatrial("down")
    assert gone.exit_code == 0
    assert f"lab {NAME} is down" in gone.stderr
    assert NAME not in Lab.names()
    assert seatrial("ps").exit_code == FAILED
