"""The supervisor with real children: how they start, end, and go when nobody asked."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.journal import Journal
from lab.runtimes.local import processes
from lab.runtimes.local.birth import Call, ChildSpec, spawned
from lab.runtimes.local.control import Control, SupervisorGone
from lab.until import until

PROGRAM = """
import os, signal, sys, time
def main(arguments=()):
    what = os.environ["WHAT"]
    print("started", os.environ.get("COLOUR"), flush=True)
    if what == "crash":
        raise RuntimeError("no good")
    if what == "leave":
        sys.exit("leaving")
    if what == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("deaf", flush=True)
    if what == "answer":
        return len(arguments)
    while True:
        signal.pause()
"""


class Harness:
    """A supervisor in ``folder``; children are functions of a module there, or commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "program.py").write_text(PROGRAM)
        environment = {**os.environ, processes.LAB_ID: folder.name, "PYTHONPATH": str(folder)}
        self.log = (folder / "supervisor.log").open("wb")
        command = [sys.executable, "-m", "lab.runtimes.local.supervisor", str(folder)]
        self.process = subprocess.Popen(command, env=environment, stdout=self.log, stderr=self.log)
        self.control = until(lambda: Control(folder), 10, "the supervisor")

    def spec(self, name: str, what: str = "", command: tuple[str, ...] = (), **environment: str) -> ChildSpec:
        call = None if command else Call("program")
        return ChildSpec(name, str(self.folder / f"{name}.log"), {"WHAT": what, **environment}, str(self.folder), call, command)

    def start(self, *specs: ChildSpec) -> None:
        self.control.ask("start", children=[spec.to_json() for spec in specs], preload=["json"])

    def ps(self) -> dict[str, dict[str, Any]]:
        return {child["name"]: child for child in self.control.ask("ps")["children"]}

    def said(self, name: str) -> str:
        file = self.folder / f"{name}.log"
        return file.read_text() if file.exists() else ""

    def until_said(self, name: str, word: str) -> None:
        until(lambda: word in self.said(name), 10, f"{name} says {word}")

    def until_status(self, name: str, status: str) -> dict[str, Any]:
        until(lambda: self.ps()[name]["status"] == status, 10, f"{name} is {status}")
        return self.ps()[name]

    def living(self) -> list[int]:
        return [pid for pid, _ in processes.of_lab(self.folder.name)]

    def close(self) -> None:
        self.control.close()
        self.process.terminate()
        self.process.wait(10)
        self.log.close()
        for pid, start in processes.of_lab(self.folder.name):
            processes.send(pid, start, signal.SIGKILL)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    folder = tmp_path / f"lab-{os.getpid()}-{tmp_path.name}"
    folder.mkdir()
    harness = Harness(folder)
    yield harness
    harness.close()


def both(spec: ChildSpec) -> ChildSpec:
    return spec


STARTS = pytest.mark.parametrize("start", [both, spawned], ids=["forked", "spawned"])


@STARTS
def test_a_child_has_its_environment_its_log_and_its_own_group(harness: Harness, start: Callable[[ChildSpec], ChildSpec]) -> None:
    harness.start(start(harness.spec("a", COLOUR="red")), start(harness.spec("b", COLOUR="blue")))
    harness.until_said("a", "started red")
    harness.until_said("b", "started blue")
    pids = [harness.ps()[name]["pid"] for name in "ab"]
    assert [os.getpgid(pid) for pid in pids] == pids
    assert harness.ps()["a"]["status"] == "running"


@STARTS
def test_a_crash_is_recorded_and_its_trace_is_in_the_log(harness: Harness, start: Callable[[ChildSpec], ChildSpec]) -> None:
    harness.start(start(harness.spec("a", "crash")))
    assert harness.until_status("a", "crashed")["exit_status"] == 1
    assert "RuntimeError: no good" in harness.said("a")
    assert Journal(harness.folder / "journal").open_entries() == []


@STARTS
def test_leaving_with_words_is_a_failure_as_in_any_program(harness: Harness, start: Callable[[ChildSpec], ChildSpec]) -> None:
    harness.start(start(harness.spec("a", "leave")))
    assert harness.until_status("a", "crashed")["exit_status"] == 1
    assert harness.said("a").endswith("leaving\n")


@STARTS
def test_arguments_reach_main_and_its_result_is_the_exit_status(harness: Harness, start: Callable[[ChildSpec], ChildSpec]) -> None:
    spec = harness.spec("a", "answer")
    harness.start(start(ChildSpec(spec.name, spec.log, spec.environment, spec.directory, Call("program", ("x", "y", "z")))))
    assert harness.until_status("a", "crashed")["exit_status"] == 3


def test_a_command_is_executed_and_one_that_does_not_exist_says_so(harness: Harness) -> None:
    harness.start(
        harness.spec("a", command=("sh", "-c", "echo $WHAT; exec sleep 60"), what="hello"), harness.spec("b", command=("nowhere",))
    )
    harness.until_said("a", "hello")
    assert harness.until_status("b", "crashed")["exit_status"] == 127
    assert "cannot run nowhere: no such command" in harness.said("b")


def test_stop_waits_for_the_end_and_again_starts_anew(harness: Harness) -> None:
    harness.start(harness.spec("a"))
    harness.until_said("a", "started")
    first = harness.ps()["a"]["pid"]
    harness.control.ask("end", names=["a"], how="stop", grace_seconds=5)
    assert not Path(f"/proc/{first}").exists()
    assert (harness.ps()["a"]["status"], harness.ps()["a"]["exit_status"]) == ("stopped", -signal.SIGTERM)
    harness.control.ask("again", names=["a"])
    assert harness.ps()["a"]["pid"] not in (0, first)


def test_who_does_not_heed_sigterm_is_killed_after_the_grace(harness: Harness) -> None:
    harness.start(harness.spec("a", "deaf"))
    harness.until_said("a", "deaf")
    harness.control.ask("end", names=["a"], how="stop", grace_seconds=0.1)
    assert (harness.ps()["a"]["status"], harness.ps()["a"]["exit_status"]) == ("stopped", -signal.SIGKILL)


def test_kill_is_sigkill(harness: Harness) -> None:
    harness.start(harness.spec("a"))
    harness.control.ask("end", names=["a"], how="kill", grace_seconds=0)
    assert (harness.ps()["a"]["status"], harness.ps()["a"]["exit_status"]) == ("killed", -signal.SIGKILL)


def test_a_childs_own_children_end_with_it(harness: Harness) -> None:
    harness.start(harness.spec("a", command=("sh", "-c", "sleep 60 & sleep 60 & echo up; wait")))
    harness.until_said("a", "up")
    assert len(harness.living()) == 4
    harness.control.ask("end", names=["a"], how="stop", grace_seconds=5)
    until(lambda: len(harness.living()) == 1, 5, "the end of all but the supervisor")


def test_a_question_that_makes_no_sense_is_answered_and_the_next_one_too(harness: Harness) -> None:
    for question in ({"do": "dance"}, {"do": "end", "names": ["nobody"], "how": "stop", "grace_seconds": 1}):
        with pytest.raises(RuntimeError, match="KeyError"):
            harness.control.ask(question.pop("do"), **question)
    assert harness.ps() == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_supervisor_that_is_told_to_leave_takes_its_children_along(harness: Harness, number: signal.Signals) -> None:
    harness.start(harness.spec("a"), harness.spec("b", "deaf"))
    harness.until_said("b", "deaf")
    harness.process.send_signal(number)
    assert harness.process.wait(10) == 0
    assert harness.living() == []
    assert not (harness.folder / "control.sock").exists()
    assert Journal(harness.folder / "journal").open_entries() == []


def test_a_child_that_is_told_to_end_as_soon_as_it_is_born_does(harness: Harness) -> None:
    for number in range(20):
        harness.start(harness.spec(f"a{number}"))
        harness.control.ask("end", names=[f"a{number}"], how="stop", grace_seconds=60)
        assert harness.ps()[f"a{number}"]["exit_status"] == -signal.SIGTERM


def test_a_supervisor_that_was_told_to_leave_while_it_is_busy_starts_nothing_more(harness: Harness) -> None:
    (harness.folder / "slow.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n")
    preload = {"children": [harness.spec("a").to_json()], "preload": ["slow"]}
    with pytest.raises((RuntimeError, SupervisorGone)):
        harness.control.ask("start", **preload)
    assert harness.process.wait(10) == 0
    assert harness.living() == []


def test_a_supervisor_that_is_killed_takes_its_children_along(harness: Harness) -> None:
    harness.start(harness.spec("a", "deaf"), harness.spec("b", command=("sleep", "60")))
    harness.until_said("a", "deaf")
    harness.process.kill()
    harness.process.wait(10)
    until(lambda: harness.living() == [], 5, "the children's end")
    with pytest.raises(SupervisorGone):
        harness.control.ask("ps")


def test_a_lab_in_someones_hands_ends_with_them(harness: Harness) -> None:
    harness.start(harness.spec("a"))
    with Control(harness.folder) as hand:
        hand.ask("hold", on=True)
    assert harness.process.wait(10) == 0
    assert harness.living() == []


def test_a_lab_that_was_let_go_stays(harness: Harness) -> None:
    with Control(harness.folder) as hand:
        hand.ask("hold", on=True)
        hand.ask("hold", on=False)
    harness.start(harness.spec("a"))
    assert harness.ps()["a"]["status"] == "running"


def test_a_supervisor_that_nobody_speaks_to_leaves(tmp_path: Path) -> None:
    program = "from lab.runtimes.local import supervisor as s; s.UNCLAIMED_SECONDS = 0.2; import sys; s.main(sys.argv[1:])"
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, timeout=20)
    assert os.listdir(tmp_path) == []


def test_nothing_of_the_parents_stays_open_in_a_child(harness: Harness) -> None:
    with socket.create_server(("127.0.0.1", 0)):
        harness.start(harness.spec("a"))
        harness.until_said("a", "started")
        pid = harness.ps()["a"]["pid"]
        targets = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert targets == {"/dev/null", str(harness.folder / "a.log")}


def test_a_number_used_again_is_not_the_process_it_was() -> None:
    mine = processes.start_of(os.getpid())
    assert mine is not None
    assert processes.alive(os.getpid(), mine)
    assert not processes.alive(os.getpid(), mine + "0")
    assert not processes.send(os.getpid(), mine + "0", signal.SIGKILL)


def test_a_socket_in_a_folder_with_a_very_long_path_works(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    harness = Harness(folder)
    assert harness.ps() == {}
    harness.close()
