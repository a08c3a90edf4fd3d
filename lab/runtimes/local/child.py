"""One child as its parent sees it: running, asked to end, or ended; and what it takes to get from one to the other."""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lab.runtimes.local import processes
from lab.runtimes.local.birth import ChildSpec


@dataclass(slots=True)
class Child:
    """``wanted`` is what ``status`` becomes when it ends on demand; empty: it was not asked to."""

    spec: ChildSpec
    pid: int = 0
    start: str = ""
    status: str = "stopped"
    exit_status: int | None = None
    entry: int = 0
    wanted: str = ""
    deadline: float | None = None
    began: float = 0.0
    lasted: float = 0.0

    @property
    def lives(self) -> bool:
        return self.pid != 0

    def to_json(self) -> dict[str, Any]:
        seconds = time.monotonic() - self.began if self.lives else self.lasted
        return {"name": self.spec.name, "pid": self.pid, "status": self.status, "exit_status": self.exit_status, "seconds": seconds}

    def born(self, pid: int) -> None:
        self.pid, self.start = pid, processes.start_of(pid) or ""
        self.status, self.exit_status, self.wanted, self.deadline = "running", None, "", None
        self.began = time.monotonic()

    def ask_to_end(self, how: str, grace_seconds: float) -> None:
        """``kill``, or ``stop``: SIGTERM now, and SIGKILL when the grace is over. Does nothing to one that has ended."""
        if not self.lives:
            return
        self.wanted = "killed" if how == "kill" else "stopped"
        self.status = "stopping"
        if how == "kill":
            self._kill_group()
            return
        deadline = time.monotonic() + grace_seconds
        self.deadline = deadline if self.deadline is None else min(deadline, self.deadline)
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)  # its leader alone: how its own children end is its affair

    def enforce_deadline(self, now: float) -> None:
        if self.deadline is not None and now >= self.deadline:
            self.deadline = None
            self._kill_group()

    def reap(self) -> bool:
        """Whether it is dead since the last call; what it left behind is killed, while its number is still its own."""
        if not self.lives or not _has_ended(self.pid):
            return False
        self._kill_group()
        _, status = os.waitpid(self.pid, 0)
        self.lasted = time.monotonic() - self.began
        self.pid, self.deadline, self.exit_status = 0, None, os.waitstatus_to_exitcode(status)
        self.status = self.wanted or ("crashed" if self.exit_status else "exited")
        return True

    def _kill_group(self) -> None:
        for send in (os.killpg, os.kill):  # the group may not exist yet
            with suppress(ProcessLookupError, PermissionError):
                send(self.pid, signal.SIGKILL)


def _has_ended(pid: int) -> bool:
    """Whether this child is dead; its corpse stays, and keeps its number."""
    if hasattr(os, "waitid"):
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return processes.start_of(pid) is None
