"""The parent of a lab's processes: it has imported what they need, forks them, notices how they end, and ends them.

`python -m lab.runtimes.local.supervisor FOLDER [--own-fd N]`. One thread, one selector: forking is safe, and nothing happens at the
same time as anything else. A child that ends by itself stays ended: a lab shows what happened and does not heal in silence.
"""

import argparse
import gc
import json
import os
import selectors
import signal
import socket
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.journal import Journal
from lab.runtimes.local import control
from lab.runtimes.local.birth import ENDINGS, ChildSpec, become, imported
from lab.runtimes.local.child import Child
from lab.state import StateError

GRACE_SECONDS = 1.5
UNCLAIMED_SECONDS = 10.0  # whoever started this process and has not said a word by then has died


@dataclass(slots=True, eq=False)
class Asker:
    """A connection. ``held``: the lab ends with it. ``awaits``: the children whose end it waits for."""

    socket: socket.socket
    buffer: bytearray = field(default_factory=bytearray)
    held: bool = False
    awaits: set[str] | None = None


class Supervisor:
    """``own``: a socket whose being open says that the lab's addresses are taken."""

    def __init__(self, folder: Path, own: socket.socket | None = None) -> None:
        self._journal = Journal(folder / "journal")
        self._own = own
        self._listener = control.listen(folder)
        self._children: dict[str, Child] = {}
        self._askers: list[Asker] = []
        self._leaving = False
        self._unclaimed_until: float | None = time.monotonic() + UNCLAIMED_SECONDS
        self._wake, wake_up = socket.socketpair()
        self._wake_up = wake_up
        for end in (self._wake, wake_up):
            end.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._wake, selectors.EVENT_READ, self._woken)
        signal.set_wakeup_fd(wake_up.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_leave)

    # --- the loop ------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Until everything has been shut down."""
        while not (self._leaving and not any(child.lives for child in self._children.values())):
            for key, _ in self._selector.select(self._seconds_to_deadline()):
                key.data(key.fileobj)
            self._reap()
            self._enforce_deadlines()
            self._answer_waiting()
        self._answer_waiting()

    def _seconds_to_deadline(self) -> float | None:
        deadlines = [child.deadline for child in self._children.values() if child.deadline is not None]
        deadlines += [self._unclaimed_until] if self._unclaimed_until is not None else []
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _woken(self, wake: socket.socket) -> None:
        with suppress(BlockingIOError):
            while wake.recv(512):
                pass

    def _told_to_leave(self, *_: object) -> None:
        self._shut_down(GRACE_SECONDS)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            connection.setblocking(False)
            self._unclaimed_until = None
            self._askers.append(Asker(connection))
            self._selector.register(connection, selectors.EVENT_READ, self._read)

    def _read(self, connection: socket.socket) -> None:
        asker = next(a for a in self._askers if a.socket is connection)
        try:
            received = connection.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self._drop(asker)
            return
        asker.buffer += received
        while (end := asker.buffer.find(b"\n")) >= 0:
            line = bytes(asker.buffer[:end])
            del asker.buffer[: end + 1]
            self._serve_line(asker, line)

    def _drop(self, asker: Asker) -> None:
        self._selector.unregister(asker.socket)
        asker.socket.close()
        self._askers.remove(asker)
        if asker.held or not (self._children or self._askers):  # it was coming up in this process's hands, and they are gone
            self._shut_down(GRACE_SECONDS)

    # --- questions -----------------------------------------------------------------------------------------------

    def _serve_line(self, asker: Asker, line: bytes) -> None:
        verbs: dict[str, Callable[..., dict[str, Any] | None]] = {
            "hold": self._hold,
            "start": self._start,
            "again": self._again,
            "end": self._end,
            "ps": self._ps,
            "shutdown": self._shutdown,
        }
        try:
            question = json.loads(line)
            answer = verbs[question.pop("do")](asker, **question)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        if answer is not None:
            self._answer(asker, answer)

    def _answer(self, asker: Asker, answer: dict[str, Any]) -> None:
        with suppress(OSError):
            asker.socket.setblocking(True)
            asker.socket.sendall(json.dumps(answer).encode() + b"\n")
            asker.socket.setblocking(False)

    def _hold(self, asker: Asker, on: bool) -> dict[str, Any]:
        asker.held = on
        return {}

    def _ps(self, _: Asker) -> dict[str, Any]:
        return {"children": [child.to_json() for child in self._children.values()]}

    def _start(self, _: Asker, children: list[dict[str, Any]], preload: list[str]) -> dict[str, Any]:
        self._preload(preload)
        for data in children:
            spec = ChildSpec.from_json(data)
            self._children[spec.name] = child = Child(spec)
            self._fork(child)
        return {}

    def _again(self, _: Asker, names: list[str]) -> dict[str, Any]:
        for child in self._named(names):
            if not child.lives:
                self._fork(child)
        return {}

    def _end(self, asker: Asker, names: list[str], how: str, grace_seconds: float) -> None:
        """The answer follows when all of them have ended."""
        children = self._named(names)
        for child in children:
            child.ask_to_end(how, grace_seconds)
        asker.awaits = {child.spec.name for child in children}

    def _shutdown(self, asker: Asker, grace_seconds: float) -> None:
        self._shut_down(grace_seconds)
        asker.awaits = set(self._children)

    def _named(self, names: Iterable[str]) -> list[Child]:
        return [self._children[name] for name in names]

    def _answer_waiting(self) -> None:
        for asker in self._askers:
            if asker.awaits is not None and not any(child.lives for child in self._named(asker.awaits)):
                asker.awaits = None
                self._answer(asker, {})

    # --- children ------------------------------------------------------------------------------------------------

    def _preload(self, modules: list[str]) -> None:
        """Import now what the next children will import; a module that is not there or is broken is theirs to complain about."""
        for name in modules:
            try:
                imported(name)
            except ImportError:
                continue
            except Exception:
                traceback.print_exc()
        gc.collect()
        gc.freeze()  # the children's collector must not touch, and so copy, what they share

    def _fork(self, child: Child) -> None:
        if self._leaving:
            raise RuntimeError("the supervisor is leaving")
        child.entry = self._journal.intend("process", child.spec.name)
        parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)  # none may find the child with the parent's handlers
        pid = os.fork()
        if pid == 0:
            self._forget()
            become(child.spec, parent)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDINGS)
        with suppress(OSError):
            os.setpgid(pid, pid)  # the child does it too; whoever is first
        child.born(pid)
        self._journal.made(child.entry, pid=pid, start=child.start)

    def _forget(self) -> None:
        """In the child: nothing of the parent's stays open."""
        self._selector.close()
        for end in (self._listener, self._wake, self._wake_up, *(asker.socket for asker in self._askers)):
            end.close()
        if self._own is not None:
            self._own.close()

    def _enforce_deadlines(self) -> None:
        now = time.monotonic()
        if self._unclaimed_until is not None and now >= self._unclaimed_until:
            self._leaving = True
        for child in self._children.values():
            child.enforce_deadline(now)

    def _reap(self) -> None:
        for child in self._children.values():
            if child.reap():
                with suppress(StateError):  # a full disk is no reason to end: what is gone is recognised as gone without it
                    self._journal.gone(child.entry)

    def _shut_down(self, grace_seconds: float) -> None:
        self._leaving = True
        for child in self._children.values():
            child.ask_to_end("stop", grace_seconds)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.runtimes.local.supervisor")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--own-fd", type=int)
    options = parser.parse_args(argv)
    with suppress(PermissionError):
        os.setsid()  # Ctrl-C in the terminal is not meant for the lab
    own = None if options.own_fd is None else socket.socket(fileno=options.own_fd)
    if own is not None:
        own.set_inheritable(False)
    supervisor = Supervisor(options.folder, own)
    supervisor.serve()
    (options.folder / control.NAME).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
