"""Load assignments: the registered workloads behind each outbound cluster. Istio: pilot/pkg/xds/endpoints.

Unhealthy workloads stay in the list, marked: a proxy must know them to tell "none healthy" from "none at all".
"""

from collections.abc import Mapping

from mesh.model.endpoint import Endpoint, Health, LoadAssignment, Locality, LocalityEndpoints
from mesh.model.node import Interception
from mesh.model.service import Service, ServicePort
from mesh.pilot.registry import Workload
from mesh.pilot.translate import names, peers
from mesh.pilot.translate.mesh import Mesh, binding, selects

_PLACE = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone")


def assignment(mesh: Mesh, service: Service, port: ServicePort, subset: str, labels: Mapping[str, str]) -> LoadAssignment:
    """Of one cluster; ``labels`` are its subset's, empty for all."""
    places: dict[Locality, list[Endpoint]] = {}
    for place, endpoint in _registered(mesh, service, port, labels):
        places.setdefault(place, []).append(endpoint)
    for endpoint in static(service, port, labels):
        places.setdefault(Locality(), []).append(endpoint)
    localities = tuple(
        LocalityEndpoints(tuple(some), place, weight=1 if len(places) == 1 else sum(endpoint.weight for endpoint in some))
        for place, some in places.items()
    )
    return LoadAssignment(names.outbound(port.number, subset, service.hostname), localities)


def locality_of(labels: Mapping[str, str]) -> Locality:
    """A workload's place: its label ``istio-locality`` (``region.zone.subzone``), or those of Kubernetes."""
    written = labels.get("istio-locality", "")
    return Locality(*(written.replace("/", ".").split(".", 2) if written else (labels.get(name, "") for name in _PLACE)))


def addresses(mesh: Mesh, service: Service) -> list[str]:
    """What its name resolves to where it has no address of its own."""
    found = [
        workload.node.ip
        for workload in mesh.workloads
        if workload.node.namespace == service.namespace and selects(service.selector, workload.node.labels)
    ]
    return [*found, *(endpoint.address for endpoint in service.endpoints)]


def _registered(mesh: Mesh, service: Service, port: ServicePort, labels: Mapping[str, str]) -> list[tuple[Locality, Endpoint]]:
    found = []
    for workload in mesh.workloads:
        node = workload.node
        if node.namespace == service.namespace and selects(service.selector, node.labels) and labels.items() <= node.labels.items():
            endpoint = _endpoint(workload, port)
            if endpoint is not None:
                found.append((locality_of(node.labels), endpoint))
    return found


def _endpoint(workload: Workload, port: ServicePort) -> Endpoint | None:
    node = workload.node
    inbound = binding(node, port)
    if inbound is not None:
        number = inbound.listen_port
    elif node.interception is Interception.REDIRECT and not isinstance(port.target_port, str):
        number = port.target_port if port.target_port is not None else port.number
    else:
        return None
    health = Health.HEALTHY if workload.healthy else Health.UNHEALTHY
    return Endpoint(node.ip, number, health, metadata=peers.endpoint_metadata(node))


def static(service: Service, port: ServicePort, labels: Mapping[str, str]) -> list[Endpoint]:
    """A ServiceEntry's own addresses."""
    fallback = port.target_port if isinstance(port.target_port, int) else port.number
    return [
        Endpoint(endpoint.address, endpoint.ports.get(port.name, fallback), Health.HEALTHY, endpoint.weight)
        for endpoint in service.endpoints
        if labels.items() <= endpoint.labels.items()
    ]
