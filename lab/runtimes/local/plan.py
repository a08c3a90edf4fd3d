"""From a topology to the children that run it: every address, port and environment variable, decided before anything starts.

App: its own address and port offset by 10000, its calls through the sidecar by HTTP_PROXY. Istio: a Sidecar with captureMode NONE.
"""

import json
import os
import shutil
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lab import envoy_binary
from lab.runtimes.local.addresses import Addresses
from lab.runtimes.local.birth import Call, ChildSpec
from lab.runtimes.runtime import LabError, Layout, Place, Progress, control_settings
from lab.topology import PortSpec, Topology, WorkloadSpec

XDS_PORT, HTTP_PORT = 15010, 8080
GATEWAY_OFFSET = 10000  # its ports are those of the world, 80 and 443, which not everybody may listen on
TCP_OFFSET = 30000
TCP_PREFIXES = frozenset({"tcp", "tls", "https", "mongo", "mysql", "redis"})  # Istio's protocol selection, by a port's name
ADMIN_PORT, HTTP_PROXY_PORT, HEALTH_PORT = 15000, 15002, 15021
APP_OFFSET, EGRESS_OFFSET = 10000, 20000
DRAIN_SECONDS = 5
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
OUR_MODULES = "services."
IMPORTED_LATE = (  # by FastAPI and uvicorn when a server starts: imported once here, not in every child
    "uvloop",
    "h11",
    "encodings.idna",
    "concurrent.futures.thread",
    "pydantic.v1",
    "uvicorn.loops.uvloop",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.websockets.auto",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """``preload``: modules that the apps' parent imports before it forks them."""

    layout: Layout
    control: ChildSpec
    apps: tuple[ChildSpec, ...]
    agents: tuple[ChildSpec, ...]
    preload: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ports:
    """One workload's ports by service port: where its app and its inbound listener are; and the sidecar's other ports."""

    address: str
    app: Mapping[int, int]
    inbound: Mapping[int, int]
    egress: Mapping[int, int]
    tcp: Mapping[str, int]  # by "service:port": what is not HTTP has a listener of its own
    http_proxy: int
    admin: int
    health: int


def base_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What all children inherit: the caller's environment without its proxies and without our own settings."""
    ours = ("SEATRIAL_", "COVERAGE_", "COV_CORE_")
    return {key: value for key, value in environment.items() if key.upper() not in PROXY_VARIABLES and not key.startswith(ours)}


def make_plan(topology: Topology, name: str, dataplane: str, folder: Path, addresses: Addresses, progress: Progress) -> Plan:
    """Raises ``LabError`` when a command or the data plane is not there."""
    workloads = topology.workloads("local")
    for workload in workloads:
        _check_program(topology, workload)
    envoy = str(envoy_binary.ensure(progress)) if dataplane == "envoy" else ""
    xds, http = (addresses.port(addresses.control, port) for port in (XDS_PORT, HTTP_PORT))
    layout = Layout(f"http://{addresses.control}:{http}", f"{addresses.control}:{xds}")
    service_ports = sorted({port.port for service in topology.services for port in service.ports if not _is_tcp(port)})
    tcp = [f"{service.name}:{port.port}" for service in topology.services for port in service.ports if _is_tcp(port)]
    apps, agents, places = [], [], []
    for index, workload in enumerate(workloads):
        ports = _ports(workload, addresses, index, service_ports, tcp)
        apps.append(_app(workload, ports, name, folder, topology))
        agents.append(_agent(workload, ports, layout.xds, dataplane, envoy, folder))
        places.append(_place(workload, ports))
    for index, workload in enumerate(topology.gateway_workloads(), start=len(workloads)):
        ports = _ports(workload, addresses, index, (), ())
        agents.append(_agent(workload, ports, layout.xds, dataplane, envoy, folder))
        places.append(_place(workload, ports))
    ours = tuple(dict.fromkeys(w.program.module for w in workloads if w.program.module.startswith(OUR_MODULES)))
    preload = (*ours, *IMPORTED_LATE) if ours else ()
    control = _control(addresses.control, xds, http, folder)
    return Plan(replace(layout, places=tuple(places)), control, tuple(apps), tuple(agents), preload)


def _check_program(topology: Topology, workload: WorkloadSpec) -> None:
    program = workload.program
    if program.image and not (program.module or program.command):
        how = "give it a module or a command as well, or use --runtime docker"
        raise LabError(f"{workload.name} is an image, which the local runtime cannot run", where=f"topology {topology.name}", how=how)
    if not program.command:
        return
    command = program.command[0]
    path = workload.environment.get("PATH", os.environ.get("PATH", os.defpath))
    found = topology.directory / command if os.sep in command else shutil.which(command, path=path)
    if found is None or not os.access(found, os.X_OK):
        where = f"topology {topology.name}, service {workload.service}, version {workload.version}"
        why = f"there is no {found}" if os.sep in command and not Path(str(found)).exists() else f"not on PATH: {path}"
        raise LabError(f'{workload.name}: no command "{command}"', where=where, why=why, how="install it, or correct `command:`")


def _ports(workload: WorkloadSpec, addresses: Addresses, index: int, service_ports: Sequence[int], tcp: Sequence[str]) -> Ports:
    address = addresses.workload(index)
    return Ports(
        address,
        app={port.port: addresses.port(address, port.port + APP_OFFSET) for port in workload.ports if workload.program},
        inbound={port.port: addresses.port(address, port.port + (0 if workload.program else GATEWAY_OFFSET)) for port in workload.ports},
        egress={port: addresses.port(address, port + EGRESS_OFFSET) for port in service_ports},
        tcp={service: addresses.port(address, TCP_OFFSET + number) for number, service in enumerate(tcp)},
        http_proxy=addresses.port(address, HTTP_PROXY_PORT),
        admin=addresses.port(address, ADMIN_PORT),
        health=addresses.port(address, HEALTH_PORT),
    )


def _place(workload: WorkloadSpec, ports: Ports) -> Place:
    inbound = {str(port): f"{ports.address}:{listens}" for port, listens in ports.inbound.items()}
    admin, health = (f"{ports.address}:{port}" for port in (ports.admin, ports.health))
    return Place(workload.name, workload.service, workload.version, ports.address, inbound, admin, health)


def _app(workload: WorkloadSpec, ports: Ports, lab: str, folder: Path, topology: Topology) -> ChildSpec:
    directory = topology.directory
    first = ports.app[workload.ports[0].port]
    proxy = f"http://{ports.address}:{ports.http_proxy}"
    environment = {
        "PYTHONUNBUFFERED": "1",
        "HOST": ports.address,
        "PORT": str(first),
        **{f"PORT_{_variable(port.name)}": str(ports.app[port.port]) for port in workload.ports},
        "SERVICE_NAME": workload.service,
        "SERVICE_VERSION": workload.version,
        "POD_NAME": workload.name,
        "CLUSTER_NAME": lab,
        "HTTP_PROXY": proxy,
        "http_proxy": proxy,
        "NO_PROXY": "",
        **_service_addresses(topology, ports),
        **workload.environment,
    }
    call = Call(workload.program.module) if workload.program.module else None
    command = () if call else tuple(string.Template(word).safe_substitute(environment) for word in workload.program.command)
    if command and os.sep in command[0]:
        command = (str(directory / command[0]), *command[1:])
    log = str(folder / "logs" / f"{workload.name}.app.log")
    return ChildSpec(f"{workload.name}/app", log, environment, str(directory), call, command)


def _is_tcp(port: PortSpec) -> bool:
    return port.name.partition("-")[0] in TCP_PREFIXES


def _service_addresses(topology: Topology, ports: Ports) -> dict[str, str]:
    """For protocols that no HTTP proxy carries: RATINGS_SERVICE_HOST, RATINGS_SERVICE_PORT_9081 … lead to egress listeners."""
    addresses = {}
    for service in topology.services:
        name = f"{_variable(service.name)}_SERVICE"
        addresses[f"{name}_HOST"] = ports.address
        for port in service.ports:
            local = ports.tcp[f"{service.name}:{port.port}"] if _is_tcp(port) else ports.egress[port.port]
            addresses[f"{name}_PORT_{port.port}"] = str(local)
    return addresses


def _variable(name: str) -> str:
    return name.upper().replace("-", "_")


def _agent(workload: WorkloadSpec, ports: Ports, xds: str, dataplane: str, envoy: str, folder: Path) -> ChildSpec:
    app = f"{ports.address}:{ports.app.get(workload.ports[0].port, 0)}"
    environment = {
        "SEATRIAL_XDS_ADDRESS": xds,
        "SEATRIAL_NODE": json.dumps(_node(workload, ports)),
        "SEATRIAL_DATAPLANE": dataplane,
        "SEATRIAL_ENVOY_BINARY": envoy,
        "SEATRIAL_ADMIN_ADDRESS": f"{ports.address}:{ports.admin}",
        "SEATRIAL_HEALTH_ADDRESS": f"{ports.address}:{ports.health}",
        "SEATRIAL_PROBE": _probe(workload.readiness, app),
        "SEATRIAL_DRAIN_SECONDS": str(DRAIN_SECONDS),
        "SEATRIAL_ACCESS_LOG": str(folder / "logs" / f"{workload.name}.access.log"),
    }
    log = str(folder / "logs" / f"{workload.name}.proxy.log")
    call = Call("mesh.agent", takes_environment=True)
    return ChildSpec(f"{workload.name}/proxy", log, environment, str(folder), call, grace_seconds=DRAIN_SECONDS + 2)


def _probe(readiness: str, app: str) -> str:
    """None where there is no app."""
    if not readiness:
        return ""
    return f"tcp://{app}" if readiness == "tcp" else f"http://{app}{readiness}"


def _node(workload: WorkloadSpec, ports: Ports) -> dict[str, object]:
    inbound = [
        {"name": port.name, "listen_port": listens, "app_port": ports.app.get(port.port, listens), "app_protocol": ""}
        for port in workload.ports
        for listens in (ports.inbound[port.port],)
    ]
    return {
        "ip": ports.address,
        "name": workload.name,
        "namespace": workload.namespace,
        "labels": dict(workload.labels),
        "workload_name": f"{workload.service}-{workload.version}",
        "service_account": workload.service_account,
        "interception": "NONE",
        "kind": "sidecar" if workload.program else "router",
        "bindings": {
            "gateway_ports": {} if workload.program else {str(port): listens for port, listens in ports.inbound.items()},
            "inbound": inbound,
            "http_proxy_port": ports.http_proxy,
            "egress_ports": {str(port): listens for port, listens in ports.egress.items()},
            "tcp_ports": dict(ports.tcp),
        },
    }


def _control(address: str, xds: int, http: int, folder: Path) -> ChildSpec:
    state, services = folder / "control", folder / "services.yaml"
    arguments = ("--host", address, "--xds-port", str(xds), "--http-port", str(http), "--state-dir", str(state), "--config", str(services))
    return ChildSpec("control", str(folder / "logs" / "control.log"), control_settings(), str(folder), Call("mesh.control", arguments))
