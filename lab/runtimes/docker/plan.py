"""From a topology to the containers that run it, decided before anything starts. The compose file is written from the same plan.

Istio: istio-proxy injected beside each app, istio-iptables in its network namespace; here the sidecar does both.
"""

import json
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lab.runtimes.runtime import LabError, Layout, Place, control_settings
from lab.topology import Topology, WorkloadSpec

XDS_PORT, HTTP_PORT, HEALTH_PORT, ADMIN_PORT = 15010, 8080, 15021, 15000
CONTROL_ALIAS = "istiod"
DRAIN_SECONDS = 5
APP_USER, PROXY_USER = "10001:10001", "1337:1337"
READABLE = 0o005  # and enterable, for everybody
STATE = "/var/lib/seatrial"
ENVOY = "/usr/local/bin/envoy"
OURS = "services."
TOPOLOGY = "/topology"  # the folder of the user's own programs
DATABASE_USER, DATABASE_PORT = "seatrial", 5432

# configuration reaches the control plane in its environment: nothing to mount, so it works on any engine
CONTROL_SCRIPT = (
    'printf "%s" "$SEATRIAL_SERVICES" >/tmp/services.yaml && exec python3 -m mesh.control '
    f"--host 0.0.0.0 --xds-port {XDS_PORT} --http-port {HTTP_PORT} --state-dir {STATE} --config /tmp/services.yaml"
)


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """``image`` is "mesh", "postgres", or somebody else's name. ``joins``: the container whose network it is in.

    ``aliases``: its names in the network. ``publish``: own port → port of this machine's 127.0.0.1. ``restricted``: no capability but
    ``capabilities``, nothing to write to but /tmp and ``volumes``.
    """

    name: str
    image: str
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    aliases: tuple[str, ...] = ()
    joins: str = ""
    publish: Mapping[int, int] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    restricted: bool = True
    volumes: tuple[str, ...] = ()
    folder: str = ""  # of this machine, seen read-only as TOPOLOGY
    grace_seconds: int = 2


@dataclass(frozen=True, slots=True)
class Pod:
    """A workload's containers. ``network`` does nothing but hold the network namespace of the two others: it outlives each of them.

    Kubernetes: the pause container.
    """

    network: ContainerSpec
    app: ContainerSpec | None  # a gateway has none
    proxy: ContainerSpec


@dataclass(frozen=True, slots=True)
class Plan:
    layout: Layout
    control: ContainerSpec
    databases: tuple[ContainerSpec, ...]
    workloads: tuple[Pod, ...]


def make_plan(topology: Topology, lab: str, dataplane: str, services_yaml: str, secret: str, free_port: Callable[[], int]) -> Plan:
    """``secret`` is the databases' password."""
    workloads = topology.workloads("docker")
    http = free_port()
    places, pods = [], []
    for workload in workloads:
        publish = {port: free_port() for port in (*(port.port for port in workload.ports), HEALTH_PORT)}
        places.append(_place(workload, publish))
        pods.append(_pod(app(workload, lab, topology, secret), proxy(workload, dataplane), publish))
    for workload in topology.gateway_workloads():
        publish = {port: free_port() for port in (*(port.port for port in workload.ports), HEALTH_PORT)}
        places.append(_place(workload, publish))
        pods.append(_gateway(workload, dataplane, publish))
    layout = Layout(f"http://127.0.0.1:{http}", f"{CONTROL_ALIAS}:{XDS_PORT}", tuple(places))
    published = replace(control(services_yaml), publish={HTTP_PORT: http})
    return Plan(layout, published, databases(workloads, secret), tuple(pods))


def _pod(app: ContainerSpec, proxy: ContainerSpec, publish: Mapping[int, int]) -> Pod:
    """The names and ports of an app belong to its network."""
    network = ContainerSpec(
        name=f"{app.name.partition('/')[0]}/network",
        image="mesh",
        command=("sleep", "infinity"),
        user=APP_USER,
        aliases=app.aliases,
        publish=publish,
    )
    return Pod(network, replace(app, aliases=(), joins=network.name), replace(proxy, joins=network.name))


def _gateway(workload: WorkloadSpec, dataplane: str, publish: Mapping[int, int]) -> Pod:
    """Nothing to capture: clients come to its ports."""
    network = ContainerSpec(
        name=f"{workload.name}/network",
        image="mesh",
        command=("sleep", "infinity"),
        user=APP_USER,
        aliases=aliases(workload),
        publish=publish,
    )
    return Pod(network, None, replace(gateway_proxy(workload, dataplane), joins=network.name))


def gateway_proxy(workload: WorkloadSpec, dataplane: str) -> ContainerSpec:
    """It needs no rights: it captures nothing."""
    spec = proxy(workload, dataplane)
    environment = {name: value for name, value in spec.environment.items() if name != "SEATRIAL_CAPTURE"}
    return replace(spec, joins="", environment={**environment, "SEATRIAL_PROBE": ""}, user=PROXY_USER, capabilities=())


def aliases(workload: WorkloadSpec) -> tuple[str, ...]:
    return tuple(f"{workload.service}{rest}" for rest in ("", f".{workload.namespace}", f".{workload.namespace}.svc.cluster.local"))


def control(services_yaml: str) -> ContainerSpec:
    return ContainerSpec(
        name="control",
        image="mesh",
        command=("sh", "-c", CONTROL_SCRIPT),
        environment={"SEATRIAL_SERVICES": services_yaml, **control_settings()},
        user=APP_USER,
        aliases=(CONTROL_ALIAS,),
        volumes=(STATE,),
    )


def _place(workload: WorkloadSpec, publish: Mapping[int, int]) -> Place:
    inbound = {str(port.port): f"127.0.0.1:{publish[port.port]}" for port in workload.ports}
    first = next(iter(inbound.values()))
    return Place(workload.name, workload.service, workload.version, first, inbound, health=f"127.0.0.1:{publish[HEALTH_PORT]}")


def app(workload: WorkloadSpec, lab: str, topology: Topology, secret: str) -> ContainerSpec:
    program = workload.program
    environment = {**_app_environment(workload, lab, secret), **workload.environment}
    foreign = bool(program.image)
    own = not foreign and not program.module.startswith(OURS)
    if own:
        environment["PYTHONPATH"] = f"{TOPOLOGY}:/opt/seatrial/app:/opt/seatrial/site"
    command = tuple(string.Template(word).safe_substitute(environment) for word in program.command)
    if program.module:
        command = ("python3", "-c", f"from {program.module} import main; main()")
    return ContainerSpec(
        name=f"{workload.name}/app",
        image=program.image or "mesh",
        command=command,
        environment=environment,
        user="" if foreign else _user(topology.directory) if own else APP_USER,
        aliases=aliases(workload),
        restricted=not foreign,  # an image of somebody else's has its own user, and writes where it likes
        folder=str(topology.directory) if own else "",
    )


def _user(folder: Path) -> str:
    """Who may read the user's own programs: anybody, or their owner."""
    about = folder.stat()
    if about.st_mode & READABLE == READABLE:
        return APP_USER
    if about.st_uid in (0, int(PROXY_USER.partition(":")[0])):
        how = f"chmod a+rx {folder}"
        raise LabError(f"{folder} cannot be read in a container", why="apps do not run as root, and only root may read it", how=how)
    return f"{about.st_uid}:{about.st_gid}"


def _app_environment(workload: WorkloadSpec, lab: str, secret: str) -> dict[str, str]:
    environment = {
        "HOST": "0.0.0.0",
        "PORT": str(workload.ports[0].port),
        **{f"PORT_{port.name.upper().replace('-', '_')}": str(port.port) for port in workload.ports},
        "SERVICE_NAME": workload.service,
        "SERVICE_VERSION": workload.version,
        "POD_NAME": workload.name,
        "CLUSTER_NAME": lab,
    }
    if workload.database:
        host = database_of(workload)
        environment["DATABASE_URL"] = f"postgresql://{DATABASE_USER}:{secret}@{host}:{DATABASE_PORT}/{workload.service}"
    return environment


def database_of(workload: WorkloadSpec) -> str:
    """Replicas of a version share theirs."""
    return f"{workload.service}-{workload.version}-database"


def databases(workloads: tuple[WorkloadSpec, ...], secret: str) -> tuple[ContainerSpec, ...]:
    found = {
        database_of(workload): ContainerSpec(
            name=database_of(workload),
            image="postgres",
            environment={"POSTGRES_USER": DATABASE_USER, "POSTGRES_PASSWORD": secret, "POSTGRES_DB": workload.service},
            aliases=(database_of(workload),),
            restricted=False,
        )
        for workload in workloads
        if workload.database
    }
    return tuple(found.values())


def proxy(workload: WorkloadSpec, dataplane: str) -> ContainerSpec:
    address = f"127.0.0.1:{workload.ports[0].port}"
    environment = {
        "SEATRIAL_XDS_ADDRESS": f"{CONTROL_ALIAS}:{XDS_PORT}",
        "SEATRIAL_NODE": json.dumps(_node(workload)),
        "SEATRIAL_DATAPLANE": dataplane,
        "SEATRIAL_ENVOY_BINARY": ENVOY if dataplane == "envoy" else "",
        "SEATRIAL_ADMIN_ADDRESS": f"127.0.0.1:{ADMIN_PORT}",
        "SEATRIAL_HEALTH_ADDRESS": f"0.0.0.0:{HEALTH_PORT}",
        "SEATRIAL_PROBE": f"tcp://{address}" if workload.readiness == "tcp" else f"http://{address}{workload.readiness}",
        "SEATRIAL_DRAIN_SECONDS": str(DRAIN_SECONDS),
        "SEATRIAL_ACCESS_LOG": "/dev/stdout",
        "SEATRIAL_CAPTURE": "1",
    }
    return ContainerSpec(
        name=f"{workload.name}/proxy",
        image="mesh",
        command=("python3", "-m", "mesh.agent"),
        environment=environment,
        user="0:0",  # until the rules are set; then the agent gives root up itself
        joins=f"{workload.name}/app",
        capabilities=("NET_ADMIN", "SETGID", "SETUID"),
        grace_seconds=DRAIN_SECONDS + 2,
    )


def _node(workload: WorkloadSpec) -> dict[str, object]:
    inbound = [{"name": port.name, "listen_port": port.port, "app_port": port.port, "app_protocol": ""} for port in workload.ports]
    return {
        "ip": "",
        "name": workload.name,
        "namespace": workload.namespace,
        "labels": dict(workload.labels),
        "workload_name": f"{workload.service}-{workload.version}",
        "service_account": workload.service_account,
        "interception": "REDIRECT",
        "kind": "sidecar" if workload.program else "router",
        "bindings": {"inbound": inbound},
    }
