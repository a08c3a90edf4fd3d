"""Up and down as transactions: a lab is there whole, or not at all."""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType

from lab.readiness import Readiness
from lab.record import LabRecord
from lab.runtimes.runtime import LabError, Layout, ProcessState, Progress, Runtime, runtime_for
from lab.state import LabFolder
from lab.until import until

ENDED = frozenset({"crashed", "exited"})
TAIL_LINES = 20


def bring_up(record: LabRecord, progress: Progress, timeout_seconds: float, tied: bool) -> tuple[LabRecord, LabFolder, Runtime]:
    """Find the lab up, or bring it up."""
    folder = LabFolder.of(record.name)
    with _terminable(), folder.locked():
        runtime = runtime_for(record.runtime, folder)
        found = _already_up(record, folder, runtime, timeout_seconds)
        if found is not None:
            return found, folder, runtime
        if folder.exists:
            progress(f"cleaning up what is left of lab {record.name}")
            _remove(folder)
        try:
            return _create(record, folder, runtime, progress, timeout_seconds, tied), folder, runtime
        except BaseException:
            with _undisturbed():
                _remove(folder, runtime)
            raise


def _already_up(record: LabRecord, folder: LabFolder, runtime: Runtime, timeout_seconds: float) -> LabRecord | None:
    existing = LabRecord.from_json(folder.read())
    if existing is None or existing.layout is None:
        return None
    running = runtime if existing.runtime == record.runtime else runtime_for(existing.runtime, folder)
    try:
        processes = running.processes()
    except LabError:
        return None  # it has died; what is left of it is in the way
    if not existing.same_lab(record):
        kind = f"{existing.topology.name} on {existing.runtime} with {existing.dataplane} sidecars"
        same = (
            existing.topology.name == record.topology.name and existing.runtime == record.runtime and existing.dataplane == record.dataplane
        )
        how = f"take it down first (seatrial down {record.name}), or choose another name (--name)"
        raise LabError(f"lab {record.name} is up already, {'from an older version of this topology' if same else f'as {kind}'}", how=how)
    running.start([process.name for process in processes if not process.id])
    wait_ready(existing.layout, running, timeout_seconds)
    return existing


def _create(record: LabRecord, folder: LabFolder, runtime: Runtime, progress: Progress, timeout_seconds: float, tied: bool) -> LabRecord:
    folder.create()
    folder.write(record.to_json())
    layout = runtime.up(record.topology, record.dataplane, record.topology.services_yaml(), progress, tied)
    progress("waiting until every workload is ready")
    wait_ready(layout, runtime, timeout_seconds)
    record = record.at(layout)
    folder.write(record.to_json())
    runtime.settled()
    return record


def take_down(folder: LabFolder) -> bool:
    """Remove a lab in whatever state it is; False when there is none."""
    if not folder.exists and not folder.lock.exists():
        return False
    with _terminable(), folder.locked(), _undisturbed():
        if not folder.exists:
            return False
        _remove(folder)
    return True


def _remove(folder: LabFolder, runtime: Runtime | None = None) -> None:
    if runtime is None:
        record = LabRecord.from_json(folder.read())
        runtime = runtime_for(record.runtime if record else "local", folder)
    runtime.down()
    folder.remove()


# --- waiting ---------------------------------------------------------------------------------------------------------


def wait_ready(layout: Layout, runtime: Runtime, timeout_seconds: float) -> None:
    """Until every workload is ready and every proxy in sync. Raises ``LabError`` when a process ends by itself, or the time does."""
    readiness = Readiness(layout)
    failures: list[LabError] = []
    missing: list[str] = []

    def settled() -> bool:
        try:
            ended = [process for process in runtime.processes() if process.status in ENDED]
        except LabError as lost:
            failures.append(lost)
        else:
            failures.extend(_ended(process, runtime) for process in ended)
            missing[:] = [] if ended else readiness.missing()
        return bool(failures) or not missing

    try:
        until(settled, timeout_seconds, "the lab")
    except TimeoutError:
        raise _never_ready(readiness, missing, runtime, timeout_seconds) from None
    if failures:
        raise failures[0]


def _ended(process: ProcessState, runtime: Runtime) -> LabError:
    what = "the control plane" if process.name == "control" else process.name
    seconds = process.details.get("seconds")
    after = f" after {seconds:.1f} s" if seconds is not None else ""
    why = runtime.log(process.name, TAIL_LINES) or "(it wrote nothing)"
    return LabError(f"{what} ended by itself{after}: {process.ended}", where="the end of its log:", why=why)


def _never_ready(readiness: Readiness, missing: list[str], runtime: Runtime, timeout_seconds: float) -> LabError:
    unready = readiness.unready()
    what = f"the lab was not ready within {timeout_seconds:g} s: {missing[0] if missing else 'no word from it'}"
    if not unready:
        return LabError(what, where="the end of the control plane's log:", why=runtime.log("control", TAIL_LINES) or "(it wrote nothing)")
    name = unready[0].name
    tails = [f"{part}: {line}" for part in ("app", "proxy") for line in runtime.log(f"{name}/{part}", TAIL_LINES // 2).splitlines()]
    how = "does the app listen on $HOST:$PORT, and answer its readiness path with 200?"
    return LabError(what, where=f"the end of {name}'s logs:", why="\n".join(tails) or "(they wrote nothing)", how=how)


# --- signals ---------------------------------------------------------------------------------------------------------


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM and SIGHUP leave by an exception, so that what was begun is cleaned up; in the main thread, where Python has its signals."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    with _handling({signal.SIGTERM: leave, signal.SIGHUP: leave}):
        yield


@contextmanager
def _undisturbed() -> Iterator[None]:
    """While cleaning up, another Ctrl-C changes nothing: it takes two seconds, and half of it would be none."""
    with _handling(dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), signal.SIG_IGN)):
        yield


@contextmanager
def _handling(handlers: Mapping[signal.Signals, "signal._HANDLER"]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            with suppress(TypeError):  # set by something that is not Python
                signal.signal(number, handler)
