"""Processes by more than their number: a pid with its start time, so that a number used again is never mistaken for the old process.

Linux: /proc and pidfd; elsewhere psutil.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

LAB_ID = "SEATRIAL_LAB_ID"
LINUX = sys.platform == "linux"
ZOMBIES = frozenset("ZX")


def start_of(pid: int) -> str | None:
    """A token that no other process with this pid, in this boot or another, has; None when there is no such process, or only its corpse."""
    if not LINUX:
        return _start_by_psutil(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ZOMBIES else f"{_boot()}:{fields[19]}"


def _boot() -> str:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def _start_by_psutil(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.Error:
        return None


def alive(pid: int, start: str) -> bool:
    reap(pid)
    return start_of(pid) == start


def reap(pid: int) -> None:
    """If it is a dead child of ours, let it go."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def send(pid: int, start: str, number: signal.Signals) -> bool:
    """Signal this very process. False when it is gone."""
    if not hasattr(os, "pidfd_open"):
        return alive(pid, start) and _kill(pid, number)
    try:
        handle = os.pidfd_open(pid)  # from here on the number cannot come to mean another
    except OSError:
        return False
    try:
        if start_of(pid) != start:
            return False
        signal.pidfd_send_signal(handle, number)
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


def _kill(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
        return True
    except OSError:
        return False


def of_lab(identity: str) -> Iterator[tuple[int, str]]:
    """(pid, start) of every process that was started with this lab's id in its environment, or by one that was; not this one."""
    wanted = f"{LAB_ID}={identity}".encode()
    for pid in _pids():
        if pid != os.getpid() and wanted in _environment(pid):
            start = start_of(pid)
            if start is not None:
                yield pid, start


def _pids() -> list[int]:
    if LINUX:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    import psutil

    return psutil.pids()


def _environment(pid: int) -> list[bytes]:
    if LINUX:
        with suppress(OSError):
            return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        return []
    import psutil

    with suppress(psutil.Error):
        return [f"{name}={value}".encode() for name, value in psutil.Process(pid).environ().items()]
    return []
