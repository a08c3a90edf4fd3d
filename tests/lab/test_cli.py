"""The commands without a lab: help, exit codes, and what they say when something is missing."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lab.cli import app
from lab.cli.exits import FAILED, INTERRUPTED, TIMED_OUT, USAGE, explained
from lab.cli.output import Column, Output, show
from lab.cli.resources import row_of
from lab.topology import bundled

COMMANDS = [
    "up",
    "down",
    "ps",
    "apply",
    "get",
    "delete",
    "status",
    "logs",
    "exec",
    "load",
    "run",
    "report",
    "demo",
    "doctor",
    "version",
    "export",
]
HEAVY = {
    "pytest",
    "locust",
    "gevent",
    "rich",
    "httpx",
    "docker",
    "pydantic",
    "yaml",
    "grpc",
    "fastapi",
    "jinja2",
    "asyncio",
    "ssl",
    "psutil",
}
Seatrial = Callable[..., Result]


@pytest.fixture
def seatrial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Seatrial:
    monkeypatch.setenv("SEATRIAL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SEATRIAL_LAB", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words, **options: CliRunner().invoke(app, list(words), **options)


def process(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=60, env={**os.environ, **environment}, check=False
    )


# --- help ------------------------------------------------------------------------------------------------------------


def test_help_names_every_command_and_every_exit_code(seatrial: Seatrial) -> None:
    told = seatrial("--help").stdout
    listed = {line.split()[0] for line in told.partition("Commands:")[2].splitlines() if line.startswith("  ")}
    assert set(COMMANDS) <= listed
    for code in (FAILED, USAGE, TIMED_OUT, INTERRUPTED):
        assert f"{code} " in told.partition("Exit codes:")[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(seatrial: Seatrial, command: str) -> None:
    result = seatrial(command, "-h")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


def test_help_imports_nothing_heavy() -> None:
    """Time is a matter of the machine; what is imported is not."""
    traced = process("-X", "importtime", "-m", "lab.cli", "--help")
    assert "Commands:" in traced.stdout
    modules = {line.rpartition("|")[2].strip().partition(".")[0] for line in traced.stderr.splitlines()}
    assert "typer" in modules
    assert modules & HEAVY == set()


def test_a_command_that_is_mistyped_is_a_usage_error_with_a_suggestion(seatrial: Seatrial) -> None:
    result = seatrial("statsu")
    assert result.exit_code == USAGE
    assert "status" in result.stderr


# --- no lab ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("ps",), ("status",), ("get", "all"), ("logs",), ("exec", "x", "--", "true"), ("load", "/")])
def test_without_a_lab_it_says_how_to_get_one(seatrial: Seatrial, words: tuple[str, ...]) -> None:
    result = seatrial(*words)
    assert result.exit_code == FAILED
    assert result.stdout == ""
    assert result.stderr == "error: no lab is up\n  bring one up with: seatrial up\n"


def test_taking_down_what_is_not_there_is_no_error(seatrial: Seatrial) -> None:
    assert seatrial("down").exit_code == 0
    assert seatrial("down", "--all").exit_code == 0
    assert "nothing to take down" in seatrial("down", "bookshop").stderr


def test_several_labs_must_be_told_apart(seatrial: Seatrial, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / "home" / "labs" / name).mkdir(parents=True)
    result = seatrial("ps")
    assert result.exit_code == FAILED
    assert "one, two" in result.stderr
    assert "--lab" in result.stderr


def test_what_is_left_of_a_lab_is_shown_and_can_be_taken_down(seatrial: Seatrial, tmp_path: Path) -> None:
    (tmp_path / "home" / "labs" / "one").mkdir(parents=True)
    rows = json.loads(seatrial("ps", "--all", "-o", "json").stdout)
    assert [(row["lab"], row["status"]) for row in rows] == [("one", "broken")]
    assert seatrial("down").exit_code == 0
    assert json.loads(seatrial("ps", "--all", "-o", "json").stdout) == []


def test_a_lab_that_is_half_there_is_not_said_to_be_missing(seatrial: Seatrial, tmp_path: Path) -> None:
    (tmp_path / "home" / "labs" / "one").mkdir(parents=True)
    result = seatrial("status")
    assert result.exit_code == FAILED
    assert "lab one is just coming up or going down, or broken" in result.stderr
    assert "seatrial down one" in result.stderr


def test_a_lab_that_is_not_there_is_named_with_those_that_are(seatrial: Seatrial) -> None:
    result = seatrial("status", "--lab", "shop")
    assert result.exit_code == FAILED
    assert "there is no lab shop" in result.stderr


# --- wrong use -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("apply",), "nothing to read"),
        (("apply", "-", "-f", "-"), "stdin can be read once"),
        (("get", "virtualservise"), 'did you mean "virtualservice"?'),
        (("get", "all", "reviews"), "do not go together"),
        (("delete",), "say what to delete"),
        (("delete", "vs"), "which VirtualService?"),
        (("delete", "vs", "reviews", "-f", "x.yaml"), "say what to delete, in one way"),
        (("run", "canery"), 'did you mean "canary"?'),
        (("load", "/", "--duration", "soon"), "is not a duration"),
        (("load", "/", "--duration", "-5s"), "is not a duration"),
        (("load", "http://127.0.0.1:1/", "-H", "nonsense"), "is not a header"),
        (("load", "https://example.test/"), "only http:// URLs"),
        (("ps", "-o", "xml"), "xml"),
        (("up", "--runtime", "moon"), "moon"),
    ],
)
def test_wrong_use_is_told_and_has_its_code(seatrial: Seatrial, words: tuple[str, ...], said: str) -> None:
    result = seatrial(*words)
    assert result.exit_code == USAGE, result.output
    assert said in result.stderr


def test_a_topology_that_is_not_there_names_those_that_come_along(seatrial: Seatrial) -> None:
    result = seatrial("up", "bookshp")
    assert result.exit_code == FAILED
    assert "bookshp" in result.stderr
    assert all(name in result.stderr for name in bundled())


def test_a_mistake_in_a_topology_is_told_with_its_place(seatrial: Seatrial, tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text("name: shop\nservises: {}\n")
    result = seatrial("up", str(file))
    assert result.exit_code == FAILED
    assert f"{file}:2:1" in result.stderr
    assert "Traceback" not in result.output


def test_an_unwritable_state_folder_is_explained(seatrial: Seatrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEATRIAL_HOME", str(tmp_path / "file" / "home"))
    result = seatrial("up")
    assert result.exit_code == FAILED
    assert "SEATRIAL_HOME" in result.stderr
    diagnosed = seatrial("doctor", "-o", "json")
    assert diagnosed.exit_code == FAILED
    assert [each["check"] for each in json.loads(diagnosed.stdout) if each["status"] == "failed"] == ["state folder"]


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), INTERRUPTED), (TimeoutError("late"), TIMED_OUT), (OSError("no"), FAILED), (KeyError("x"), FAILED)],
)
def test_each_error_has_its_code(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    monkeypatch.delenv("SEATRIAL_DEBUG", raising=False)
    with pytest.raises(typer.Exit) as exit, explained():
        raise error
    assert exit.value.exit_code == code


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEATRIAL_DEBUG", "1")
    with pytest.raises(OSError, match="disk"), explained():
        raise OSError("disk")


def test_a_reader_that_leaves_early_is_no_error() -> None:
    script = f"{sys.executable} -m lab.cli version -o json | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "0"
    assert done.stderr == ""


# --- output ----------------------------------------------------------------------------------------------------------


def test_version_speaks_json(seatrial: Seatrial) -> None:
    told = json.loads(seatrial("version", "-o", "json").stdout)
    assert told["python"] == ".".join(map(str, sys.version_info[:3]))
    assert told["seatrial"] in seatrial("version").stdout


def test_doctor_says_how_to_fix_what_is_not_well(seatrial: Seatrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEATRIAL_HOME", str(tmp_path / "file" / "home"))
    result = seatrial("doctor", "-o", "json")
    assert result.exit_code == FAILED
    findings = json.loads(result.stdout)
    assert {"Python", "state folder", "loopback addresses", "ports", "Docker engine", "Envoy binary"} <= {
        each["check"] for each in findings
    }
    unwell = {each["check"]: each["fix"] for each in findings if each["status"] != "ok"}
    assert "SEATRIAL_HOME" in unwell["state folder"]
    assert all(unwell.values())


def test_run_without_a_name_lists_the_scenarios_in_the_order_of_the_lessons(seatrial: Seatrial) -> None:
    names = [line.split()[0] for line in seatrial("run").stdout.splitlines()[1:]]
    assert names[:2] == ["request_routing", "canary"]


def test_a_report_is_asked_for_before_there_was_a_run(seatrial: Seatrial, tmp_path: Path) -> None:
    assert "seatrial run canary" in seatrial("report").stderr
    last = tmp_path / "home" / "reports" / "last.html"
    last.parent.mkdir(parents=True)
    last.write_text("<html>")
    assert seatrial("report").stdout.strip() == str(last)
    copied = tmp_path / "elsewhere" / "copy.html"
    assert seatrial("report", "--write", str(copied)).exit_code == 0
    assert copied.read_text() == "<html>"


def test_colour_is_for_terminals_and_for_those_who_want_it() -> None:
    code = "from lab.cli.output import *; show([{'s': 'NACK'}], [Column('S', 's')], Output.TABLE)"
    assert process("-c", code).stdout == "S\nNACK\n"
    assert "\x1b[31mNACK" in process("-c", code, FORCE_COLOR="1").stdout
    assert process("-c", code, FORCE_COLOR="1", NO_COLOR="1").stdout == "S\nNACK\n"


def test_a_wide_column_is_shown_to_those_who_ask(capsys: pytest.CaptureFixture[str]) -> None:
    rows, columns = [{"a": "x", "b": [1, 2]}], [Column("A", "a"), Column("B", "b", wide=True)]
    show(rows, columns, Output.TABLE)
    assert capsys.readouterr().out == "A\nx\n"
    show(rows, columns, Output.WIDE, headers=False)
    assert capsys.readouterr().out == "x   1,2\n"
    show(rows, columns, Output.NAME)
    assert capsys.readouterr().out == "x\n"


def test_a_routes_column_reads_like_the_rule() -> None:
    route = [{"destination": {"host": "reviews", "subset": "v1"}, "weight": 90}, {"destination": {"host": "reviews"}, "weight": 10}]
    rules = [{"match": [{}], "route": route}, {"redirect": {"uri": "/"}}, {"directResponse": {"status": 503}}]
    row = row_of({"kind": "VirtualService", "metadata": {"name": "r"}, "spec": {"http": rules}})
    assert row["routes"] == "reviews:v1 90, reviews 10 (if matched); redirect; direct response"
