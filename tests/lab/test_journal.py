"""What is on disk before something is made, and what a successor makes of it."""

from pathlib import Path

import pytest

from lab.journal import Journal
from lab.state import StateError


def test_what_was_made_and_not_removed_is_open_and_the_latest_comes_first(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    first = journal.intend("process", "app")
    journal.made(first, pid=1, start="a")
    second = journal.intend("network", "front")
    third = journal.intend("process", "proxy")
    journal.gone(second)

    entries = Journal(journal.path).open_entries()
    assert [(e.number, e.name, dict(e.detail)) for e in entries] == [(third, "proxy", {}), (first, "app", {"pid": 1, "start": "a"})]


def test_an_intent_is_readable_by_others_before_anything_is_made(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path).intend("process", "app", image="x")
    assert [(e.kind, e.name, dict(e.detail)) for e in Journal(path).open_entries()] == [("process", "app", {"image": "x"})]


def test_a_successor_counts_on(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    first = Journal(path).intend("process", "a")
    assert Journal(path).intend("process", "b") == first + 1


def test_a_line_torn_by_a_crash_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    number = journal.intend("process", "a")
    with path.open("ab") as file:
        file.write(b'{"n": 2, "do": "int')
    assert [entry.number for entry in Journal(path).open_entries()] == [number]


def test_what_is_written_after_a_torn_line_is_not_lost_with_it(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b'{"n": 1, "do": "int')
    Journal(path).intend("process", "b")
    assert [entry.name for entry in Journal(path).open_entries()] == ["b"]


def test_a_journal_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert Journal(tmp_path / "journal").open_entries() == []


def test_a_journal_that_cannot_be_written_is_an_error_that_names_the_folder() -> None:
    with pytest.raises(StateError, match="cannot keep state in /proc"):
        Journal(Path("/proc/nowhere/journal")).intend("process", "a")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_told_before_anything_is_made(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.path.symlink_to("/dev/full")
    with pytest.raises(StateError, match="No space left"):
        journal.intend("process", "a")
