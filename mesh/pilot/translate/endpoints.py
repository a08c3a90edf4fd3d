"""Load assignments: the registered workloads behind each outbound cluster. Istio: pilot/pkg/xds/endpoints.

Unhealthy workloads stay in the list, marked: a proxy must know them to tell "none healthy" from "none at all".
"""

from collections.abc import Mapping

from mesh.model.endpoint import Endpoint, Health, LoadAssignment, LocalityEndpoints
from mesh.model.node import Interception
from mesh.model.service import Service, ServicePort
from mesh.pilot.registry import Workload
from mesh.pilot.translate import names, peers
from mesh.pilot.translate.mesh import Mesh, binding, selects


def assignment(mesh: Mesh, service: Service, port: ServicePort, subset: str, labels: Mapping[str, str]) -> LoadAssignment:
    """Of one cluster; ``labels`` are its subset's, empty for all."""
    found = [*_registered(mesh, service, port, labels), *static(service, port, labels)]
    localities = (LocalityEndpoints(tuple(found)),) if found else ()
    return LoadAssignment(names.outbound(port.number, subset, service.hostname), localities)


def addresses(mesh: Mesh, service: Service) -> list[str]:
    """What its name resolves to where it has no address of its own."""
    found = [
        workload.node.ip
        for workload in mesh.workloads
        if workload.node.namespace == service.namespace and selects(service.selector, workload.node.labels)
    ]
    return [*found, *(endpoint.address for endpoint in service.endpoints)]


def _registered(mesh: Mesh, service: Service, port: ServicePort, labels: Mapping[str, str]) -> list[Endpoint]:
    found = []
    for workload in mesh.workloads:
        node = workload.node
        if node.namespace == service.namespace and selects(service.selector, node.labels) and labels.items() <= node.labels.items():
            endpoint = _endpoint(workload, port)
            if endpoint is not None:
                found.append(endpoint)
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
