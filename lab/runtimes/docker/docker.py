"""The docker runtime: makes images, network and containers of a plan, all at once where it can, and removes them by their labels."""

import functools
import secrets
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from lab import envoy_binary
from lab.client import Response
from lab.journal import Journal
from lab.runtimes.docker import inside, leftovers, reaper
from lab.runtimes.docker.containers import AT_ONCE, RUN, Containers, PortTaken, at_once, remove_labelled
from lab.runtimes.docker.engine import connect, explained
from lab.runtimes.docker.images import Images
from lab.runtimes.docker.plan import ContainerSpec, Plan, Pod, make_plan
from lab.runtimes.docker.ports import free_port
from lab.runtimes.docker.wanted import Wanted
from lab.runtimes.runtime import LabError, Layout, ProcessState, Progress
from lab.state import LabFolder
from lab.topology import Topology
from lab.until import until

ATTEMPTS = 3
JOURNALED = "docker"
DATABASE_SECONDS = 30.0
END_SECONDS = 10.0


class DockerRuntime:
    """One lab on a Docker engine. See ``lab.runtimes.runtime.Runtime``."""

    def __init__(self, folder: LabFolder) -> None:
        self._folder = folder
        self._watch: reaper.Watch | None = None
        self._tied = False
        self._wanted = Wanted(folder.path)

    @functools.cached_property
    def _containers(self) -> Containers:
        """Those of the lab that is up. Raises ``LabError``."""
        runs = [entry.name for entry in Journal(self._folder.journal).open_entries() if entry.kind == JOURNALED]
        if not runs:
            raise LabError(f"lab {self._folder.name} has no containers", how=f"bring it up with: seatrial up --name {self._folder.name}")
        return Containers(connect(), self._folder.name, runs[0], self._folder.path)

    # --- up ------------------------------------------------------------------------------------------------------

    def up(self, topology: Topology, dataplane: str, services_yaml: str, progress: Progress, tied: bool = False) -> Layout:
        self._tied = tied
        client = connect()
        leftovers.remove(client, self._folder.path)
        images = self._images(Images(client, progress), topology, dataplane, progress)
        for attempt in range(ATTEMPTS):
            plan = make_plan(topology, self._folder.name, dataplane, services_yaml, secrets.token_hex(16), free_port)
            try:
                self._begin(Containers(client, self._folder.name, secrets.token_hex(3), self._folder.path))
                self._start_all(plan, images, progress)
                return plan.layout
            except PortTaken:
                self.down()
                if attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError

    def _images(self, images: Images, topology: Topology, dataplane: str, progress: Progress) -> dict[str, str]:
        """What the plan's names of images mean here."""
        envoy = _linux(envoy_binary.ensure(progress)) if dataplane == "envoy" else None
        found = {"mesh": images.mesh(envoy)}
        for workload in topology.workloads("docker"):
            if workload.database and "postgres" not in found:
                found["postgres"] = images.postgres()
            if workload.program.image:
                found[workload.program.image] = images.foreign(workload.program.image)
        return found

    def _begin(self, containers: Containers) -> None:
        """Written down, and watched over, before anything exists."""
        Journal(self._folder.journal).intend(JOURNALED, containers.run)
        self._watch = reaper.Watch(containers.run, self._folder.logs / "reaper.log")
        self.__dict__["_containers"] = containers

    def _start_all(self, plan: Plan, images: dict[str, str], progress: Progress) -> None:
        containers = self._containers
        with explained("cannot create the lab's network", "docker network prune frees the addresses of unused ones"):
            containers.create_network()
        apps = sum(pod.app is not None for pod in plan.workloads)
        progress(f"starting the control plane, {apps} apps and {len(plan.workloads)} sidecars")

        def start(spec: ContainerSpec) -> None:
            containers.create(spec, images[spec.image])
            containers.start(spec.name)

        def start_workload(pod: Pod, control: "Future[None]") -> None:
            start(pod.network)
            if pod.app is not None:
                start(pod.app)
            control.result()  # whom the sidecar asks for at once
            start(pod.proxy)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            control = pool.submit(start, plan.control)
            begun = [control, *(pool.submit(start, database) for database in plan.databases)]
            begun += [pool.submit(start_workload, pod, control) for pod in plan.workloads]
        for future in begun:
            future.result()
        for database in plan.databases:
            self._wait_for_database(database)

    def _wait_for_database(self, spec: ContainerSpec) -> None:
        command = ["pg_isready", "-q", "-h", "127.0.0.1", "-U", spec.environment["POSTGRES_USER"]]

        def settled() -> bool:
            container = self._containers.get(spec.name)
            return container.status != "running" or container.exec_run(command).exit_code == 0

        with suppress(TimeoutError):
            until(settled, DATABASE_SECONDS, spec.name)
            if self._containers.get(spec.name).status == "running":
                return
        raise LabError(f"{spec.name} does not get ready", where="the end of its log:", why=self.log(spec.name, 20))

    def settled(self) -> None:
        if self._watch is not None and not self._tied:
            self._watch.dismiss()
            self._watch = None

    # --- down ----------------------------------------------------------------------------------------------------

    def down(self) -> None:
        journal = Journal(self._folder.journal)
        entries = [entry for entry in journal.open_entries() if entry.kind == JOURNALED]
        if entries:
            client = connect()
            for entry in entries:
                try:
                    remove_labelled(client, {RUN: entry.name})
                except TimeoutError as error:
                    raise LabError(f"cannot remove the containers of lab {self._folder.name}", why=str(error)) from error
                journal.gone(entry.number)
        if self._watch is not None:
            self._watch.dismiss()
            self._watch = None
        self.__dict__.pop("_containers", None)

    # --- processes -----------------------------------------------------------------------------------------------

    def processes(self) -> list[ProcessState]:
        containers = self._containers
        with explained(f"cannot list the containers of lab {self._folder.name}"):
            listed = containers.listed()
        if not listed:
            how = f"clean up with: seatrial down {self._folder.name}"
            raise LabError(f"lab {self._folder.name} has lost its containers", why="somebody removed them", how=how)
        wanted = self._wanted.read()
        return [inside.state_of(containers.client, one, wanted) for one in listed]

    def start(self, names: Sequence[str]) -> None:
        """Networks first, sidecars last; where a network had to start again, whoever was in the old one has to as well."""
        known = {process.name: process.id for process in self.processes()}
        running = {name for name, id_ in known.items() if id_}
        wanted = {name for name in names if name not in running}
        networks = [name.removesuffix("/network") for name in wanted if name.endswith("/network")]
        lost = {f"{workload}/{part}" for workload in networks for part in ("app", "proxy")} & known.keys()
        self._end(sorted(lost & running))
        self._wanted.forget(wanted | lost)
        for group in in_order(wanted | lost):
            at_once(self._containers.start, group)

    def stop(self, names: Sequence[str], grace_seconds: float) -> None:
        """Sidecars first: they drain while their network is there."""
        self._wanted.note(names, "stopped")
        for proxies in (True, False):
            group = [name for name in names if name.endswith("/proxy") == proxies]
            with explained(f"cannot stop {', '.join(group)}"):
                at_once(lambda name: self._containers.get(name).stop(timeout=round(grace_seconds)), group)

    def kill(self, names: Sequence[str]) -> None:
        self._wanted.note(names, "killed")
        running = {process.name for process in self.processes() if process.id}
        self._end([name for name in names if name in running])

    def _end(self, names: Sequence[str]) -> None:
        with explained(f"cannot kill {', '.join(names)}"):
            at_once(lambda name: self._containers.get(name).kill(), names)
            at_once(lambda name: self._containers.get(name).wait(timeout=END_SECONDS), names)

    # --- looking in ----------------------------------------------------------------------------------------------

    def log(self, name: str, tail: int | None = None) -> str:
        return inside.log(self._containers, name, tail)

    def follow(self, name: str, tail: int | None = None) -> Iterator[str]:
        return inside.follow(self._containers, name, tail)

    def exec(self, workload: str, argv: Sequence[str]) -> int:
        return inside.execute(self._containers.client, self._containers.get(f"{workload}/app"), argv)

    def admin(self, workload: str, path: str, method: str = "GET") -> Response:
        return inside.admin(self._containers.get(f"{workload}/proxy"), path, method)


def in_order(names: Iterable[str]) -> list[list[str]]:
    """Who stands on nobody, then the networks of workloads, the apps, the sidecars."""
    parts = ("", "network", "app", "proxy")
    return [[name for name in sorted(names) if name.partition("/")[2] == part] for part in parts]


def _linux(binary: Path) -> Path:
    with binary.open("rb") as file:
        if file.read(4) != b"\x7fELF":
            how = "set SEATRIAL_ENVOY to an Envoy for Linux, or use --dataplane python"
            raise LabError(f"{binary} does not run in a container", how=how)
    return binary
