"""Where labs live on disk: one folder per lab, with what is known of it, its journal and its logs.

``$SEATRIAL_HOME``, else ``$XDG_STATE_HOME/seatrial``, else ``~/.local/state/seatrial``; in it ``labs/<name>/``.
"""

import errno
import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lab.until import until

NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")


class StateError(Exception):
    """The state folder cannot be used, or a lab's name cannot name a folder in it."""


class Busy(StateError):
    """Another process is bringing this lab up or down."""


def home() -> Path:
    """The folder that holds all state; it need not exist."""
    given = os.environ.get("SEATRIAL_HOME")
    if given:
        return Path(given).absolute()
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state).absolute() if state else Path.home() / ".local" / "state") / "seatrial"


def names() -> list[str]:
    """Every lab that left a folder, up or not."""
    labs = home() / "labs"
    return sorted(entry.name for entry in labs.iterdir() if entry.is_dir() and not entry.name.startswith(".")) if labs.is_dir() else []


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turns what the operating system says about ``folder`` into an error that tells what to do."""
    try:
        yield
    except OSError as error:
        how = "free some space" if error.errno == errno.ENOSPC else "make it writable"
        why = error.strerror or error
        raise StateError(f"cannot keep state in {folder}: {why}\n  {how}, or point SEATRIAL_HOME to another folder") from error


@dataclass(frozen=True, slots=True)
class LabFolder:
    """``labs/<name>/``: ``lab.json`` says what the lab is, ``journal`` what it made, ``logs/`` what its processes said."""

    name: str
    path: Path

    @classmethod
    def of(cls, name: str) -> "LabFolder":
        if not NAME.fullmatch(name):
            raise StateError(
                f'"{name}" cannot name a lab: use up to 63 of a-z, 0-9, "-", "_" and ".", with a letter or digit first and last'
            )
        return cls(name, home() / "labs" / name)

    @property
    def journal(self) -> Path:
        return self.path / "journal"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def lock(self) -> Path:
        """Beside the folder, so that it outlives it."""
        return self.path.with_name(f".{self.name}.lock")

    @property
    def exists(self) -> bool:
        return self.path.is_dir()

    def create(self) -> None:
        """Make the folder, private to its owner. Raises ``StateError``."""
        with explained(self.path):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.logs.mkdir(exist_ok=True)

    def remove(self) -> None:
        """The folder goes in one step, so that nobody finds half of it."""
        if not self.exists:
            return
        with explained(self.path):
            doomed = Path(tempfile.mkdtemp(prefix=".gone-", dir=self.path.parent))
            os.rename(self.path, doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def write(self, record: dict[str, Any]) -> None:
        """Replace ``lab.json`` whole; who reads sees the old or the new one."""
        with explained(self.path):
            write_whole(self.path / "lab.json", json.dumps(record, indent=1))

    def read(self) -> dict[str, Any] | None:
        """None when there is no lab here, or what is left of one cannot be read."""
        try:
            record = json.loads((self.path / "lab.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) else None

    @contextmanager
    def locked(self, wait_seconds: float = 60.0) -> Iterator[None]:
        """Only one process at a time works on a lab; the second waits. Raises ``Busy`` when that takes too long."""
        lock = self.lock
        with explained(lock.parent):
            lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            first = _take(lock)
        try:
            file = first if first is not None else until(lambda: _take(lock), wait_seconds, "the lock")
        except TimeoutError:
            holder = lock.read_text(encoding="utf-8").strip() or "unknown"
            raise Busy(f"lab {self.name} is being worked on by process {holder}; waited {wait_seconds:g} s for it") from None
        with file:
            try:
                yield
            finally:
                with suppress(OSError):
                    lock.unlink()  # while it is ours: who waits for it takes the next file


def _take(lock: Path) -> IO[str] | None:
    """The lock file, held until closed; None while another holds it, or has just removed the one that was opened here."""
    file = lock.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), lock.stat()):
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def write_whole(file: Path, text: str) -> None:
    """Write beside it, then rename: a full disk or a crash leaves the old file as it was."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        os.replace(beside, file)
    finally:
        with suppress(OSError):
            beside.unlink()
