"""What ``lab.json`` says of a lab: enough to attach to it, and to tell whether it is the one that is wanted."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lab.runtimes.runtime import Layout
from lab.topology import GatewaySpec, PortSpec, Program, ServiceSpec, Topology, VersionSpec


@dataclass(frozen=True, slots=True)
class LabRecord:
    """``layout`` is there once the lab is up."""

    name: str
    topology: Topology
    runtime: str
    dataplane: str
    layout: Layout | None = None

    def at(self, layout: Layout) -> "LabRecord":
        return replace(self, layout=layout)

    def same_lab(self, other: "LabRecord") -> bool:
        return replace(self, layout=None).to_json() == replace(other, layout=None).to_json()

    def to_json(self) -> dict[str, Any]:
        topology = asdict(self.topology) | {"directory": str(self.topology.directory)}
        layout = None if self.layout is None else self.layout.to_json()
        return {"name": self.name, "topology": topology, "runtime": self.runtime, "dataplane": self.dataplane, "layout": layout}

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> "LabRecord | None":
        """None for what is no record, or one of another version of Seatrial."""
        if data is None:
            return None
        try:
            layout = None if data["layout"] is None else Layout.from_json(data["layout"])
            return cls(data["name"], _topology(data["topology"]), data["runtime"], data["dataplane"], layout)
        except (KeyError, TypeError):
            return None


def _topology(data: Mapping[str, Any]) -> Topology:
    services = tuple(_service(service) for service in data["services"])
    gateways = tuple(GatewaySpec(**{**one, "ports": tuple(PortSpec(**port) for port in one["ports"])}) for one in data["gateways"])
    return Topology(**{**data, "services": services, "gateways": gateways, "directory": Path(data["directory"])})


def _service(data: Mapping[str, Any]) -> ServiceSpec:
    ports = tuple(PortSpec(**port) for port in data["ports"])
    return ServiceSpec(**{**data, "ports": ports, "versions": tuple(_version(version) for version in data["versions"])})


def _version(data: Mapping[str, Any]) -> VersionSpec:
    program = Program(**{**data["program"], "command": tuple(data["program"]["command"])})
    return VersionSpec(**{**data, "program": program, "runtimes": tuple(data["runtimes"])})
