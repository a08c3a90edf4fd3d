"""The demonstration: its verdicts, its exit code, and that it leaves nothing, on scenarios that are shorter than those it shows."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.cli.demonstration import SHOWN, Verdicts
from lab.cli.exits import FAILED, INTERRUPTED
from lab.cli.scenarios import folders

SHORTER = """\
import sys
from pathlib import Path
from lab.cli import demonstration, main, scenarios
folder = Path(sys.argv.pop(1))
scenarios.folders = lambda: {"mine": folder}
demonstration.SHOWN = ("mine",)
main()
"""
GOOD = "def test_the_page_is_there(mesh):\n    assert mesh.get('/productpage').status == 200\n"
BAD = "def test_the_page_is_a_teapot(mesh):\n    assert mesh.get('/productpage').status == 418\n"
ENDLESS = "import time\n\ndef test_it_never_ends(mesh):\n    print('waiting', flush=True)\n    time.sleep(60)\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEATRIAL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def demo(tmp_path: Path, *tests: str) -> subprocess.Popen[str]:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "test_mine.py").write_text("\n".join(tests))
    command = [sys.executable, "-c", SHORTER, str(folder), "demo", "--report", str(tmp_path / "reports" / "demo.html")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"})


def test_what_the_demo_shows_is_there() -> None:
    assert set(SHOWN) <= set(folders())


def test_a_good_demo_tells_verdicts_and_figures_and_leaves_a_report(home: Path, tmp_path: Path) -> None:
    running = demo(tmp_path, GOOD)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert "mine       the page is there   1          0/0" in out
    figures = dict(figure.split("=") for figure in out.splitlines()[-1].split())
    assert (figures["scenarios"], figures["failed"]) == ("1", "0")
    assert 0 < float(figures["up_local_seconds"]) < 60
    assert "up_local_seconds" in (tmp_path / "reports" / "demo.html").read_text(encoding="utf-8")
    assert list((home / "labs").iterdir()) == []


def test_a_scenario_that_fails_is_in_the_table_and_in_the_exit_code(home: Path, tmp_path: Path) -> None:
    running = demo(tmp_path, GOOD, BAD)
    out, err = running.communicate(timeout=60)
    assert running.returncode == FAILED
    assert [line.split()[-1] for line in out.splitlines() if line.startswith("mine ")] == ["passed", "failed"]
    assert out.splitlines()[-1].endswith("scenarios=2 failed=1")
    assert "not every scenario passed" in err
    assert list((home / "labs").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_takes_its_lab_down(home: Path, tmp_path: Path, number: signal.Signals) -> None:
    running = demo(tmp_path, ENDLESS)
    assert running.stdout is not None
    assert any("waiting" in line for line in running.stdout)
    running.send_signal(number)
    running.communicate(timeout=30)
    assert running.returncode == INTERRUPTED
    assert list((home / "labs").iterdir()) == []


def test_a_scenario_that_could_not_begin_is_in_the_table() -> None:
    verdicts = Verdicts({})
    report = pytest.TestReport(
        "scenarios/canary/test_canary.py::test_a_canary", ("scenarios/canary/test_canary.py", 1, ""), {}, "failed", "", "setup"
    )
    verdicts.pytest_runtest_logreport(report)
    assert [(row["scenario"], row["what"], row["verdict"]) for row in verdicts.rows] == [("canary", "a canary (setup)", "failed")]
