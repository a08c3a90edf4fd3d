"""The local runtime: starts a supervisor, tells it what to run, and cleans up after it whatever became of it."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from lab.client import Client, Response
from lab.journal import Journal
from lab.runtimes.local import addresses, processes
from lab.runtimes.local.birth import ChildSpec, spawned
from lab.runtimes.local.control import Control, SupervisorGone
from lab.runtimes.local.logs import follow, tail_of
from lab.runtimes.local.plan import Plan, base_environment, make_plan
from lab.runtimes.runtime import LabError, Layout, ProcessState, Progress
from lab.state import LabFolder, explained, write_whole
from lab.topology import Topology
from lab.until import until

DOWN_GRACE_SECONDS = 1.2
SUPERVISOR_SECONDS = 15.0


class LocalRuntime:
    """One lab on this machine. See ``lab.runtimes.runtime.Runtime``."""

    def __init__(self, folder: LabFolder) -> None:
        self._folder = folder
        self._hold: Control | None = None
        self._tied = False

    # --- up ------------------------------------------------------------------------------------------------------

    def up(self, topology: Topology, dataplane: str, services_yaml: str, progress: Progress, tied: bool = False) -> Layout:
        self._tied = tied
        claimed = addresses.claim()
        try:
            plan = make_plan(topology, self._folder.name, dataplane, self._folder.path, claimed, progress)
            claimed.close()
            with explained(self._folder.path):
                write_whole(self._folder.path / "services.yaml", services_yaml)
                specs = [plan.control, *plan.apps, *plan.agents]
                write_whole(self._folder.path / "plan.json", json.dumps([spec.to_json() for spec in specs]))
            self._start_supervisor(claimed)
        finally:
            claimed.close()
            if claimed.own is not None:
                claimed.own.close()  # the supervisor has it now
        self._start_all(plan, progress)
        return plan.layout

    def _start_supervisor(self, claimed: addresses.Addresses) -> None:
        journal = Journal(self._folder.journal)
        identity = secrets.token_hex(8)
        journal.intend("lab", identity)
        entry = journal.intend("process", "supervisor")
        command = [sys.executable, "-m", "lab.runtimes.local.supervisor", str(self._folder.path)]
        if claimed.own is not None:
            claimed.own.set_inheritable(True)
            command += ["--own-fd", str(claimed.own.fileno())]
        environment = {**base_environment(os.environ), processes.LAB_ID: identity, "GRPC_ENABLE_FORK_SUPPORT": "0"}
        log = str(self._folder.logs / "supervisor.log")
        files = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        pid = os.posix_spawn(sys.executable, command, environment, file_actions=files)
        journal.made(entry, pid=pid, start=processes.start_of(pid) or "")
        self._hold = self._reach(pid)
        self._hold.ask("hold", on=True)

    def _reach(self, pid: int) -> Control:
        start = processes.start_of(pid) or ""

        def reached() -> Control | bool:
            """The connection; True when there will never be one."""
            try:
                return Control(self._folder.path)
            except SupervisorGone:
                return not processes.alive(pid, start)

        control = until(reached, SUPERVISOR_SECONDS, "the supervisor's control socket")
        if isinstance(control, Control):
            return control
        where = str(self._folder.logs / "supervisor.log")
        raise LabError("the lab's supervisor did not start", where=where, why=self.log("supervisor", 20))

    def _start_all(self, plan: Plan, progress: Progress) -> None:
        fork = os.environ.get("SEATRIAL_LOCAL_START", "fork" if processes.LINUX else "spawn") == "fork"
        groups = (
            # in an interpreter of its own: there is one of it, and it loads while the supervisor loads what the others share
            ("starting the control plane", (spawned(plan.control),), ()),
            (f"starting {len(plan.apps)} apps", plan.apps, plan.preload),
            (f"starting {len(plan.agents)} sidecars", plan.agents, ("mesh.agent",)),
        )
        for said, specs, preload in groups:
            progress(said)
            children = [(spec if fork else spawned(spec)).to_json() for spec in specs]
            self._ask("start", children=children, preload=list(preload) if fork else [])

    def settled(self) -> None:
        if self._hold is not None and not self._tied:
            self._hold.ask("hold", on=False)
            self._hold.close()
            self._hold = None

    # --- down ----------------------------------------------------------------------------------------------------

    def down(self) -> None:
        patience = DOWN_GRACE_SECONDS + 0.5  # a supervisor that is deep in an import does not hear; it will not be missed
        with suppress(SupervisorGone, RuntimeError), Control(self._folder.path, patience) as control:
            control.ask("shutdown", grace_seconds=DOWN_GRACE_SECONDS)
        if self._hold is not None:
            self._hold.close()
            self._hold = None
        self._clean_up()

    def _clean_up(self) -> None:
        """What the supervisor did not do, or could not any more: by the journal, then by the lab's id in the environment."""
        journal = Journal(self._folder.journal)
        entries = journal.open_entries()
        known = [(e.detail["pid"], e.detail["start"], e) for e in entries if e.kind == "process" and e.detail.get("start")]
        if not entries:
            return
        supervisors = [(pid, start) for pid, start, entry in known if entry.name == "supervisor"]
        with suppress(TimeoutError):  # it is about to leave; its children die with it
            until(lambda: not any(processes.alive(pid, start) for pid, start in supervisors), 0.3, "the supervisor's end")
        identities = [entry.name for entry in entries if entry.kind == "lab"]

        def all_gone() -> bool:
            left = {(pid, start) for pid, start, _ in known} | {one for identity in identities for one in processes.of_lab(identity)}
            return not [pid for pid, start in left if processes.alive(pid, start) and processes.send(pid, start, signal.SIGKILL)]

        until(all_gone, 10.0, f"the end of lab {self._folder.name}'s processes")
        for entry in entries:
            journal.gone(entry.number)

    # --- processes -----------------------------------------------------------------------------------------------

    def processes(self) -> list[ProcessState]:
        return [
            ProcessState(
                name=child["name"],
                status=child["status"],
                id=str(child["pid"] or ""),
                exit_status=child["exit_status"],
                details={"seconds": child["seconds"]},
            )
            for child in self._ask("ps")["children"]
        ]

    def start(self, names: Sequence[str]) -> None:
        self._ask("again", names=list(names))

    def stop(self, names: Sequence[str], grace_seconds: float) -> None:
        self._ask("end", names=list(names), how="stop", grace_seconds=grace_seconds)

    def kill(self, names: Sequence[str]) -> None:
        self._ask("end", names=list(names), how="kill", grace_seconds=0)

    def _ask(self, do: str, **details: Any) -> dict[str, Any]:
        try:
            with Control(self._folder.path) as control:
                return control.ask(do, **details)
        except SupervisorGone as gone:
            what = f"lab {self._folder.name} has lost its supervisor, and with it its processes"
            how = f"clean up with: seatrial down {self._folder.name}"
            raise LabError(what, where=str(self._folder.logs / "supervisor.log"), why=self.log("supervisor", 10), how=how) from gone
        except RuntimeError as error:
            raise LabError(f"the supervisor could not {do}", why=str(error)) from error

    # --- looking in ----------------------------------------------------------------------------------------------

    def log(self, name: str, tail: int | None = None) -> str:
        return tail_of(self._log_file(name), tail)

    def follow(self, name: str, tail: int | None = None) -> Iterator[str]:
        return follow(self._log_file(name), tail)

    def _log_file(self, name: str) -> str:
        return str(self._folder.logs / f"{name.replace('/', '.')}.log")

    def exec(self, workload: str, argv: Sequence[str]) -> int:
        app = self._planned(f"{workload}/app")
        environment = {**base_environment(os.environ), **app.environment}
        try:
            return subprocess.run(list(argv), env=environment, cwd=app.directory, check=False).returncode
        except OSError as error:
            raise LabError(f"cannot run {argv[0]}: {error.strerror}") from error

    def admin(self, workload: str, path: str, method: str = "GET") -> Response:
        address = self._planned(f"{workload}/proxy").environment["SEATRIAL_ADMIN_ADDRESS"]
        with Client(f"http://{address}", timeout_seconds=10.0) as client:
            return client.request(method, path)

    def _planned(self, name: str) -> ChildSpec:
        specs: list[Mapping[str, Any]] = json.loads((self._folder.path / "plan.json").read_text(encoding="utf-8"))
        for spec in specs:
            if spec["name"] == name:
                return ChildSpec.from_json(spec)
        raise LabError(f"there is no {name} in lab {self._folder.name}")
