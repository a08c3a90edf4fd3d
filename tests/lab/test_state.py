"""Where labs live, and who may work on one."""

import multiprocessing
import os
import threading
from pathlib import Path

import pytest

from lab import state
from lab.state import Busy, LabFolder, StateError
from lab.until import until


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEATRIAL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_home_is_found_in_three_ways(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert state.home() == tmp_path / "home"
    monkeypatch.delenv("SEATRIAL_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert state.home() == tmp_path / "xdg" / "seatrial"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert state.home() == tmp_path / "me" / ".local" / "state" / "seatrial"


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "-a", "a-", ".hidden", "a" * 64, "a b", "a\n"])
def test_a_name_that_could_leave_the_folder_is_refused(name: str) -> None:
    with pytest.raises(StateError, match="cannot name a lab"):
        LabFolder.of(name)


def test_a_folder_is_private_is_listed_and_goes_whole(home: Path) -> None:
    folder = LabFolder.of("one")
    folder.create()
    folder.write({"x": 1})
    assert folder.read() == {"x": 1}
    assert folder.path.stat().st_mode & 0o077 == 0
    assert state.names() == ["one"]
    folder.remove()
    assert state.names() == []
    assert os.listdir(home / "labs") == []


@pytest.mark.parametrize("content", ["", "{", "[]", "\0"])
def test_a_record_that_cannot_be_read_is_no_record(content: str) -> None:
    folder = LabFolder.of("one")
    folder.create()
    (folder.path / "lab.json").write_text(content)
    assert folder.read() is None


def test_a_home_that_is_a_file_is_an_error_that_tells_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEATRIAL_HOME", str(tmp_path / "file"))
    with pytest.raises(StateError, match="SEATRIAL_HOME"):
        LabFolder.of("one").create()
    with pytest.raises(StateError, match="SEATRIAL_HOME"), LabFolder.of("one").locked():
        pass


def test_a_home_that_is_read_only_is_an_error_that_tells_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEATRIAL_HOME", "/proc/seatrial")
    with pytest.raises(StateError, match="cannot keep state in /proc/seatrial"):
        LabFolder.of("one").create()


def _hold(holding: threading.Event, leave: threading.Event) -> None:
    with LabFolder.of("one").locked():
        holding.set()
        leave.wait(20)


def test_the_second_waits_for_the_lock_and_is_told_who_holds_it() -> None:
    context = multiprocessing.get_context("fork")
    holding, leave = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(holding, leave))
    holder.start()
    try:
        assert holding.wait(20)
        with pytest.raises(Busy, match=f"process {holder.pid}"), LabFolder.of("one").locked(wait_seconds=0.05):
            pass
    finally:
        leave.set()
    with LabFolder.of("one").locked(wait_seconds=20):
        pass
    holder.join(20)


def test_many_threads_take_the_lock_one_at_a_time_and_leave_no_file(home: Path) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with LabFolder.of("one").locked():
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: not any(thread.is_alive() for thread in threads), 60, "the threads' end")
    assert (most, inside) == (1, 0)
    assert os.listdir(home / "labs") == []
