"""The topology: which services a lab runs, in which versions, and how each is started.

A small YAML file (``lab/topologies/bookshop.yaml`` is one) becomes frozen dataclasses; a mistake in it becomes an error with file, line
and column. Kubernetes: Deployments and Services; here a service has versions, and a version has replicas.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from lab.yaml_marks import Finding, YamlError

BUNDLED = Path(__file__).parent / "topologies"
RUNTIMES = ("local", "docker")


class TopologyError(YamlError):
    """A topology that cannot be used."""


@dataclass(frozen=True, slots=True)
class PortSpec:
    """``name`` tells the protocol, as in Istio: ``http``, ``http-web``, ``tcp`` …"""

    name: str
    port: int


@dataclass(frozen=True, slots=True)
class Program:
    """What runs: one of a Python module with ``main()``, a command line, a container image (with ``command`` as its arguments)."""

    module: str = ""
    command: tuple[str, ...] = ()
    image: str = ""

    def __bool__(self) -> bool:
        """A gateway has none."""
        return bool(self.module or self.command or self.image)


@dataclass(frozen=True, slots=True)
class VersionSpec:
    """``program`` and ``environment`` are complete: the service's own are in them. ``database`` is "postgres" or empty."""

    name: str
    program: Program
    replicas: int = 1
    labels: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    runtimes: tuple[str, ...] = RUNTIMES
    database: str = ""


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """``readiness`` is a path to GET on the first port, or "tcp"."""

    name: str
    ports: tuple[PortSpec, ...]
    versions: tuple[VersionSpec, ...]
    readiness: str = "tcp"
    service_account: str = ""


@dataclass(frozen=True, slots=True)
class WorkloadSpec:
    """One instance to start: ``<service>-<version>-<n>``."""

    name: str
    namespace: str
    service: str
    version: str
    program: Program
    ports: tuple[PortSpec, ...]
    readiness: str
    service_account: str
    labels: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    database: str = ""


@dataclass(frozen=True, slots=True)
class GatewaySpec:
    """A proxy without an app, at the edge of the mesh: Gateways select it by ``labels``; it listens on ``ports`` when they say so."""

    name: str
    ports: tuple[PortSpec, ...]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Topology:
    """``directory`` is where relative paths in commands start from and a module is looked for first: the folder of the file."""

    name: str
    services: tuple[ServiceSpec, ...]
    ingress: str
    namespace: str = "default"
    directory: Path = field(default_factory=Path.cwd)
    gateways: tuple[GatewaySpec, ...] = ()

    def service(self, name: str) -> ServiceSpec:
        for service in self.services:
            if service.name == name:
                return service
        raise KeyError(name)

    def workloads(self, runtime: str) -> tuple[WorkloadSpec, ...]:
        """Every instance that this runtime starts, in the order of the file."""
        return tuple(
            self._workload(service, version, index)
            for service in self.services
            for version in service.versions
            if runtime in version.runtimes
            for index in range(version.replicas)
        )

    def _workload(self, service: ServiceSpec, version: VersionSpec, index: int) -> WorkloadSpec:
        own = {
            "app": service.name,
            "version": version.name,
            "service.istio.io/canonical-name": service.name,
            "service.istio.io/canonical-revision": version.name,
        }
        return WorkloadSpec(
            name=f"{service.name}-{version.name}-{index}",
            namespace=self.namespace,
            service=service.name,
            version=version.name,
            program=version.program,
            ports=service.ports,
            readiness=service.readiness,
            service_account=service.service_account or service.name,
            labels={**version.labels, **own},
            environment=version.environment,
            database=version.database,
        )

    def gateway_workloads(self) -> tuple[WorkloadSpec, ...]:
        """One proxy for each gateway; there is no program in it."""
        return tuple(
            WorkloadSpec(
                name=f"{gateway.name}-0",
                namespace=self.namespace,
                service=gateway.name,
                version="",
                program=Program(),
                ports=gateway.ports,
                readiness="",
                service_account=gateway.name,
                labels={"app": gateway.name, "service.istio.io/canonical-name": gateway.name, **gateway.labels},
            )
            for gateway in self.gateways
        )

    def services_yaml(self) -> str:
        """The Kubernetes ``Service`` documents that the control plane starts with."""
        documents = [self._service_document(service.name, service.ports, {"app": service.name}) for service in self.services]
        documents += [self._service_document(gateway.name, gateway.ports, {"app": gateway.name}) for gateway in self.gateways]
        return yaml.safe_dump_all(documents, sort_keys=False)

    def _service_document(self, name: str, ports: tuple[PortSpec, ...], selector: Mapping[str, str]) -> dict[str, object]:
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": self.namespace, "labels": {"app": name, "service": name}},
            "spec": {
                "selector": dict(selector),
                "ports": [{"name": port.name, "port": port.port, "targetPort": port.port, "protocol": "TCP"} for port in ports],
            },
        }


def bundled() -> tuple[str, ...]:
    """The names of the topologies that come with Seatrial."""
    return tuple(sorted(file.stem for file in BUNDLED.glob("*.yaml")))


def load(topology: str | Path) -> Topology:
    """A bundled name ("bookshop") or a file."""
    name = str(topology)
    file = BUNDLED / f"{name}.yaml" if name in bundled() else Path(topology)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        hint = f"bundled topologies: {', '.join(bundled())}"
        raise TopologyError(str(file), "", [Finding(f"cannot read the topology: {why}", hint=hint)]) from error
    return parse(str(file), text)


def parse(file: str, text: str) -> Topology:
    """Raises TopologyError with everything that is wrong."""
    from lab.topology_file import read_topology  # pydantic, which a command that only shows help must not load

    return read_topology(file, text)
