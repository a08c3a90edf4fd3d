"""How a child comes to be: forked or executed, with a log of its own, in a process group of its own, and not outliving its parent."""

import ctypes
import gc
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
NOT_FOUND, NOT_EXECUTABLE, FAILED = 127, 126, 1  # as a shell has it
ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP, signal.SIGPIPE)

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Call:
    """``main`` of a module: ``main()``; with ``arguments`` ``main([…])``; with ``takes_environment`` ``main({…})``."""

    module: str
    arguments: tuple[str, ...] | None = None
    takes_environment: bool = False


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to start. One of ``call`` and ``command``; ``environment`` is added to the parent's; ``directory`` leads the module path."""

    name: str
    log: str
    environment: Mapping[str, str]
    directory: str
    call: Call | None = None
    command: tuple[str, ...] = ()
    grace_seconds: float = 5.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ChildSpec":
        call = data["call"] and Call(
            data["call"]["module"],
            None if data["call"]["arguments"] is None else tuple(data["call"]["arguments"]),
            data["call"]["takes_environment"],
        )
        return cls(**{**data, "call": call or None, "command": tuple(data["command"])})


def spawned(spec: ChildSpec) -> ChildSpec:
    """The same child as a command: a fresh interpreter instead of a fork of a full one."""
    if spec.call is None:
        return spec
    how = ["environment"] if spec.call.takes_environment else [] if spec.call.arguments is None else ["arguments", *spec.call.arguments]
    command = (sys.executable, "-m", "lab.runtimes.local.call", spec.call.module, *how)
    here = os.pathsep.join(filter(None, (spec.directory, os.environ.get("PYTHONPATH"))))
    environment = {**spec.environment, "PYTHONPATH": here}
    return ChildSpec(spec.name, spec.log, environment, spec.directory, None, command, spec.grace_seconds)


def become(spec: ChildSpec, parent: int) -> NoReturn:
    """In the forked process: turn into the child. Never returns, whatever happens."""
    status = FAILED
    try:
        _settle(spec, parent)
        if spec.call is None:
            _execute(spec)
        sys.path.insert(0, spec.directory)
        status = run(spec.call.module, "environment" if spec.call.takes_environment else "arguments", spec.call.arguments)
    except _CannotRun as error:
        sys.stderr.write(f"{error}\n")
        status = error.status
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def run(module: str, takes: str, arguments: tuple[str, ...] | None) -> int:
    """Call ``main`` and make an exit status of what becomes of it, as the interpreter does at the end of a program."""
    try:
        main = imported(module).main
        result = main(dict(os.environ)) if takes == "environment" else main() if arguments is None else main(list(arguments))
    except SystemExit as leaving:
        result = leaving.code
    except KeyboardInterrupt:
        result = 128 + signal.SIGINT
    except BaseException:
        traceback.print_exc()
        return FAILED
    if isinstance(result, str):
        sys.stderr.write(f"{result}\n")
        return FAILED
    return int(result or 0)


def imported(module: str) -> ModuleType:
    """The collector pauses meanwhile: an import makes no garbage to speak of, and looking for it takes a third of the time."""
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        gc.enable()


class _CannotRun(Exception):
    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def _settle(spec: ChildSpec, parent: int) -> None:
    die_with(parent)
    os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    for number in ENDINGS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDINGS)
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(spec.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(log)
    os.environ.update(spec.environment)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.argv = [spec.name]
    os.chdir(spec.directory)


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent dies; at once, if it has died already."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(FAILED)


def _execute(spec: ChildSpec) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        os.execvpe(spec.command[0], list(spec.command), os.environ)  # noqa: S606  # never a shell
    except FileNotFoundError:
        raise _CannotRun(f"cannot run {spec.command[0]}: no such command", NOT_FOUND) from None
    except OSError as error:
        raise _CannotRun(f"cannot run {spec.command[0]}: {error.strerror}", NOT_EXECUTABLE) from None
