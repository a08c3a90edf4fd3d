"""A running lab: a topology's workloads with their sidecars and a control plane, from ``up`` to ``down``.

lab = Lab.up("bookshop")
lab.apply("canary.yaml")          # returns when every proxy that it touches uses it
with lab.client() as client:
    client.get("/productpage")
lab.down()                        # nothing stays
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, overload

from lab import bringing_up, state
from lab.api import PLURALS, Api, Applied
from lab.client import Client, Response
from lab.documents import read_documents
from lab.readiness import Readiness
from lab.record import LabRecord
from lab.runtimes.runtime import LabError, Layout, Place, ProcessState, Progress, Runtime, runtime_for
from lab.state import LabFolder
from lab.topology import Topology, load

Container = Literal["app", "proxy", "access", "control"]
UP_SECONDS = 60.0
STOP_GRACE_SECONDS = 7.0  # the sidecar drains five


class Lab:
    """Made by ``up`` and ``attach``. Several processes may use one lab at once; ``up`` and ``down`` wait for each other."""

    def __init__(self, record: LabRecord, folder: LabFolder, runtime: Runtime) -> None:
        assert record.layout is not None
        self.name = record.name
        self.topology: Topology = record.topology
        self.runtime_name = record.runtime
        self.dataplane = record.dataplane
        self.folder = folder
        self.layout: Layout = record.layout
        self.api = Api(record.layout.control)
        self._runtime = runtime

    # --- up and down ---------------------------------------------------------------------------------------------

    @classmethod
    def up(
        cls,
        topology: str | Path | Topology = "bookshop",
        *,
        name: str | None = None,
        runtime: str = "local",
        dataplane: str = "python",
        progress: Progress = lambda _: None,
        timeout_seconds: float = UP_SECONDS,
        tied: bool = False,
    ) -> "Lab":
        """Bring a lab up, or find it up already; all its workloads are ready and all its proxies have their configuration.

        ``tied``: it goes when this process goes, however that ends. Raises ``LabError`` (and ``TopologyError``, ``StateError``); nothing
        is left behind then, nor after Ctrl-C.
        """
        wanted = topology if isinstance(topology, Topology) else load(topology)
        record = LabRecord(name or wanted.name, wanted, runtime, dataplane)
        return cls(*bringing_up.bring_up(record, progress, timeout_seconds, tied))

    @classmethod
    def attach(cls, name: str) -> "Lab":
        """A lab that is up. Raises ``LabError``."""
        folder = LabFolder.of(name)
        record = LabRecord.from_json(folder.read())
        if record is None or record.layout is None:
            if name in state.names():
                raise LabError(f"lab {name} is just coming up or going down, or broken", how=f"if it stays so: seatrial down {name}")
            others = ", ".join(state.names())
            raise LabError(f"there is no lab {name}", how=f"labs: {others}" if others else "bring one up with: seatrial up")
        return cls(record, folder, runtime_for(record.runtime, folder))

    @classmethod
    def take_down(cls, name: str) -> bool:
        """Remove a lab in whatever state it is. False when there was nothing to remove."""
        return bringing_up.take_down(LabFolder.of(name))

    @staticmethod
    def names() -> list[str]:
        """Every lab of this user, also one that is broken."""
        return state.names()

    def down(self) -> None:
        """Remove every process, port and file of the lab; nothing happens when it is gone already."""
        self.take_down(self.name)

    # --- configuration -------------------------------------------------------------------------------------------

    def apply(self, *sources: str | Path, wait: bool = True, timeout_seconds: float = 10.0, dry_run: bool = False) -> Applied:
        """Apply YAML files, folders or texts, all or nothing; return when every proxy that they touch uses them.

        Raises ``ConfigRefused`` (nothing was taken), ``DistributionTimeout`` (taken, but someone lags), ``ControlPlaneUnreachable``.
        """
        return self.api.apply(read_documents(sources), wait=wait, timeout_seconds=timeout_seconds, dry_run=dry_run)

    def delete(self, *sources: str | Path, wait: bool = True, timeout_seconds: float = 10.0) -> Applied:
        """Delete what the YAML names."""
        return self.api.delete(read_documents(sources), wait=wait, timeout_seconds=timeout_seconds)

    def get(self, kind: str, name: str = "", namespace: str = "") -> list[dict[str, Any]]:
        """Resources of a kind as they were applied."""
        return self.api.get(kind, name, namespace)

    def reset(self, timeout_seconds: float = 10.0) -> None:
        """Delete all configuration that was applied, whoever applied it; the topology's own services stay, or come back."""
        own = {service.name for service in self.topology.services} | {gateway.name for gateway in self.topology.gateways}
        extra, present = [], set()
        for kind in (*PLURALS, "Service"):
            for resource in self.api.get(kind):
                metadata = resource["metadata"]
                if kind == "Service" and metadata["name"] in own:
                    present.add(metadata["name"])
                else:
                    extra.append({"kind": kind, "namespace": metadata.get("namespace", "default"), "name": metadata["name"]})
        if extra:
            self.api.delete(resources=extra, timeout_seconds=timeout_seconds)
        if present != own:
            self.apply(self.topology.services_yaml(), timeout_seconds=timeout_seconds)

    def status(self) -> list[dict[str, Any]]:
        """Per proxy: what it was sent and what it has applied."""
        return self.api.syncz()

    # --- traffic -------------------------------------------------------------------------------------------------

    def url(self, service: str | None = None, port: int | None = None) -> str:
        """Where the service answers to callers from outside: through the sidecar in front of its first workload."""
        name = service or self.topology.ingress
        places = [place for place in self.layout.places if place.service == name]
        if not places:
            known = ", ".join(sorted({place.service for place in self.layout.places}))
            raise LabError(f"lab {self.name} has no service {name}", how=f"services: {known}")
        inbound = places[0].inbound
        key = str(port) if port is not None else next(iter(inbound))
        if key not in inbound:
            raise LabError(f"service {name} has no port {port}", how=f"ports: {', '.join(inbound)}")
        return f"http://{inbound[key]}"

    def client(self, service: str | None = None, port: int | None = None) -> Client:
        return Client(self.url(service, port))

    # --- processes -----------------------------------------------------------------------------------------------

    def ps(self) -> list[dict[str, Any]]:
        """A row per workload and one for the control plane: name, kind, status, ready, address, and what its processes are."""
        processes = {process.name: process for process in self._runtime.processes()}
        readiness = Readiness(self.layout)
        rows = [self._row(place, processes, readiness) for place in self.layout.places]
        control = processes.get("control")
        ready = self.api.healthy()
        return [*rows, {"name": "control", "kind": "control", "status": _status([control]), "ready": ready, "address": self.layout.control}]

    def _row(self, place: Place, processes: dict[str, ProcessState], readiness: Readiness) -> dict[str, Any]:
        app, proxy = (processes.get(f"{place.name}/{part}") for part in ("app", "proxy"))
        row: dict[str, Any] = {
            "name": place.name,
            "kind": "gateway" if place.is_gateway else "workload",
            "service": place.service,
            "version": place.version,
        }
        row |= {
            "status": _status([proxy] if place.is_gateway else [app, proxy]),
            "ready": readiness.is_ready(place),
            "address": place.address,
        }
        row |= {"url": f"http://{next(iter(place.inbound.values()))}", "dataplane": self.dataplane, "runtime": self.runtime_name}
        for part, process in (("app", app), ("proxy", proxy)):
            if process is not None:
                row |= {part: process.status, f"{part}_id": process.id, f"{part}_ended": "" if process.id else process.ended}
        return row

    def start(self, process: str) -> None:
        """``process`` here and below: a workload (its app and its sidecar), ``<workload>/app``, ``<workload>/proxy`` or ``control``."""
        self._runtime.start(self._named(process))

    def stop(self, process: str, grace_seconds: float = STOP_GRACE_SECONDS) -> None:
        """SIGTERM, and SIGKILL after the grace; returns when it has ended."""
        self._runtime.stop(self._named(process), grace_seconds)

    def kill(self, process: str) -> None:
        """SIGKILL; returns when it has ended."""
        self._runtime.kill(self._named(process))

    def restart(self, process: str, grace_seconds: float = STOP_GRACE_SECONDS) -> None:
        self.stop(process, grace_seconds)
        self.start(process)

    def wait_ready(self, timeout_seconds: float = UP_SECONDS) -> None:
        """Until every workload is ready and every proxy in sync. Raises ``LabError`` when one ends, or the time does."""
        bringing_up.wait_ready(self.layout, self._runtime, timeout_seconds)

    def _named(self, process: str) -> list[str]:
        if process == "control":
            return ["control"]
        workload, _, part = process.partition("/")
        places = {place.name: place for place in self.layout.places}
        parts = ("proxy",) if workload in places and places[workload].is_gateway else ("app", "proxy")
        if workload in places and part in ("", *parts):
            return [f"{workload}/{part}"] if part else [f"{workload}/{each}" for each in parts]
        known = ", ".join(["control", *(place.name for place in self.layout.places)])
        raise LabError(f"lab {self.name} has no process {process}", how=f"processes: {known}, and each workload's /app and /proxy")

    # --- looking in ----------------------------------------------------------------------------------------------

    @overload
    def logs(self, workload: str, container: Container = "app", *, follow: Literal[False] = False, tail: int | None = None) -> str: ...

    @overload
    def logs(self, workload: str, container: Container = "app", *, follow: Literal[True], tail: int | None = None) -> Iterator[str]: ...

    def logs(self, workload: str, container: Container = "app", *, follow: bool = False, tail: int | None = None) -> str | Iterator[str]:
        """What the app, its proxy, its access log or the control plane wrote; ``follow``: the lines as they come, without an end."""
        name = "control" if "control" in (workload, container) else f"{self._workload(workload)}/{container}"
        return self._runtime.follow(name, tail) if follow else self._runtime.log(name, tail)

    def exec(self, workload: str, argv: Sequence[str]) -> int:
        """Run a command where the workload's app runs, on this terminal; returns its exit status."""
        return self._runtime.exec(self._workload(workload), argv)

    def admin(self, workload: str, path: str, method: str = "GET") -> Response:
        """The admin interface of the workload's proxy: ``/config_dump``, ``/clusters``, ``/stats`` …"""
        return self._runtime.admin(self._workload(workload), path, method)

    def _workload(self, name: str) -> str:
        return self._named(name)[0].partition("/")[0]


def _status(processes: Sequence[ProcessState | None]) -> str:
    """One word for several: the worst."""
    words = [process.status if process else "missing" for process in processes]
    return next((word for word in words if word != "running"), "running")
