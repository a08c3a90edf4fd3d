"""A topology as a compose file: apps, sidecars, control plane, for plain ``docker compose up`` and for Debian's compose 1.29 alike.

Written from the docker runtime's own plan, within what both know: no ``version``, no ``name``, no BuildKit.
"""

from dataclasses import replace
from typing import Any

import yaml

from lab.runtimes.docker.plan import (
    CONTROL_ALIAS,
    HEALTH_PORT,
    HTTP_PORT,
    TOPOLOGY,
    ContainerSpec,
    aliases,
    app,
    control,
    databases,
    gateway_proxy,
    proxy,
)
from lab.topology import Topology, WorkloadSpec

IMAGE = "${SEATRIAL_IMAGE:-seatrial:latest}"
POSTGRES_IMAGE = "${SEATRIAL_POSTGRES_IMAGE:-seatrial-postgres:latest}"
FOLDER = "lab/runtimes/docker"
SECRET = "seatrial"  # noqa: S105  # of a database that nobody outside can reach
ASK_HEALTH = r"GET /healthz/ready HTTP/1.1\r\nhost: proxy\r\nconnection: close\r\n\r\n"
READY = f"exec 3<>/dev/tcp/127.0.0.1/{HEALTH_PORT} && printf '{ASK_HEALTH}' >&3 && head -n 1 <&3 | grep -q ' 200 '"
HEAD = """\
# {name}: apps, a sidecar beside each, and their control plane. Written by `seatrial export compose`.
#
#   docker compose up            (or docker-compose up)
#   http://127.0.0.1:9080{page}   the {ingress}, through the mesh; SEATRIAL_PORT chooses another port
#   http://127.0.0.1:8080        the control plane's API; SEATRIAL_CONTROL_PORT chooses another port
#
# The images are built from here at the first start. Where no registry answers: python -m lab.runtimes.docker.images, and then up.
"""
HEALTHCHECK = {"test": ["CMD", "bash", "-c", READY], "interval": "5s", "timeout": "3s", "retries": 12}


def export(topology: Topology, project: str = ".") -> str:
    """``project``: the folder of Seatrial's sources, as seen from the compose file."""
    workloads = topology.workloads("docker")
    services = {CONTROL_ALIAS: _service(control(topology.services_yaml()), project) | _published("SEATRIAL_CONTROL_PORT", HTTP_PORT, 8080)}
    for database in databases(workloads, SECRET):
        services[database.name] = _service(database, project)
    ingress = topology.service(topology.ingress)
    for workload in workloads:
        service = _service(app(workload, topology.name, topology, SECRET), project)
        if workload.name == f"{ingress.name}-{ingress.versions[0].name}-0":
            service |= _published("SEATRIAL_PORT", workload.ports[0].port, workload.ports[0].port)
        services[workload.name] = service
    for workload in workloads:
        services[f"{workload.name}-proxy"] = _service(proxy(workload, "python"), project) | _joining(workload.name)
    for workload in topology.gateway_workloads():
        services |= _gateway(workload, project)
    page = "/productpage" if ingress.name == "productpage" else ""
    text: str = yaml.dump({"services": services}, Dumper=_Dumper, sort_keys=False, width=140)
    return HEAD.format(name=topology.name, ingress=ingress.name, page=page) + text


def _gateway(workload: WorkloadSpec, project: str) -> dict[str, Any]:
    """A proxy by itself. The ports of the world are often taken: these are published from 10000 on."""
    spec = gateway_proxy(workload, "python")
    service = _service(replace(spec, aliases=aliases(workload)), project) | {"depends_on": [CONTROL_ALIAS]}
    variable = workload.service.upper().replace("-", "_")
    ports = [f"127.0.0.1:${{{variable}_PORT_{port.port}:-{10000 + port.port}}}:{port.port}" for port in workload.ports]
    return {workload.name: service | {"ports": ports, "healthcheck": HEALTHCHECK}}


def _service(spec: ContainerSpec, project: str) -> dict[str, Any]:
    service: dict[str, Any] = _image(spec, project)
    if spec.command:
        service["command"] = [_escaped(word) for word in spec.command]
    if spec.environment:
        service["environment"] = {name: _escaped(value) for name, value in spec.environment.items()}
    if spec.user:
        service["user"] = spec.user
    if spec.restricted:
        service |= {"cap_drop": ["ALL"], "read_only": True, "tmpfs": ["/tmp:mode=1777"]}  # noqa: S108  # the container's own
    if spec.capabilities:
        service["cap_add"] = list(spec.capabilities)
    service["security_opt"] = ["no-new-privileges:true"]
    volumes = [*spec.volumes, *([f"{spec.folder}:{TOPOLOGY}:ro"] if spec.folder else [])]
    if volumes:
        service["volumes"] = volumes
    if spec.folder:
        service["working_dir"] = TOPOLOGY
    if spec.aliases:
        service["networks"] = {"default": {"aliases": list(spec.aliases)}}
    service["stop_grace_period"] = f"{spec.grace_seconds}s"
    return service


def _image(spec: ContainerSpec, project: str) -> dict[str, Any]:
    if spec.image == "mesh":
        return {"image": IMAGE, "build": {"context": project, "dockerfile": f"{FOLDER}/Dockerfile"}}
    if spec.image == "postgres":
        return {"image": POSTGRES_IMAGE, "build": {"context": f"{project}/{FOLDER}", "dockerfile": "postgres.Dockerfile"}}
    return {"image": spec.image}


def _published(variable: str, port: int, here: int) -> dict[str, Any]:
    return {"ports": [f"127.0.0.1:${{{variable}:-{here}}}:{port}"]}


def _joining(app_name: str) -> dict[str, Any]:
    """After its app, whose network it is in, and after the control plane, whose name must resolve."""
    return {
        "network_mode": f"service:{app_name}",
        "depends_on": [app_name, CONTROL_ALIAS],
        "healthcheck": HEALTHCHECK,
    }


def _escaped(text: str) -> str:
    """Compose reads a dollar sign as the start of a variable of its own."""
    return text.replace("$", "$$")


class _Dumper(yaml.SafeDumper):
    """Text of several lines as a block, and short lists in one line."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


def _represent_list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=len(repr(items)) <= 100)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(list, _represent_list)
