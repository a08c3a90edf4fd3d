"""All that one proxy gets. What is the same for every proxy (outbound clusters, their endpoints) is made once: ``Shared``."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mesh.model.cluster import Cluster, LbPolicy
from mesh.model.endpoint import LoadAssignment
from mesh.model.node import Node
from mesh.pilot.snapshot import Parts
from mesh.pilot.translate import clusters, gateways, listeners, localities, names, routes
from mesh.pilot.translate.mesh import Mesh, is_http

ROUTER = "router"  # a gateway, as Istio's node ids say


@dataclass(frozen=True, slots=True)
class Shared:
    clusters: tuple[Cluster, ...]
    endpoints: tuple[LoadAssignment, ...]


def share(mesh: Mesh) -> Shared:
    pairs = tuple(clusters.outbound(mesh))
    return Shared(tuple(cluster for cluster, _ in pairs), tuple(found for _, found in pairs if found is not None))


def build(mesh: Mesh, shared: Shared, node: Node) -> Parts:
    if node.generator == "grpc":
        return _proxyless(mesh, shared, node)
    if node.kind == ROUTER:
        found = gateways.build(mesh, node, listeners.logs(mesh))
        return Parts(found, gateways.configurations(mesh, node), (*shared.clusters, *clusters.fixed(node)), _endpoints(mesh, shared, node))
    configurations = [routes.outbound(mesh, node, port) for port in listeners.outbound_ports(mesh, node)]
    if node.bindings.http_proxy_port:
        configurations.append(routes.http_proxy(mesh, node))
    own = (*_distinct(clusters.inbound(mesh, node)), *clusters.fixed(node))
    return Parts(listeners.build(mesh, node), tuple(configurations), (*shared.clusters, *own), _endpoints(mesh, shared, node))


def _endpoints(mesh: Mesh, shared: Shared, node: Node) -> tuple[LoadAssignment, ...]:
    """The shared ones themselves, unless something depends on where the node is: what is the same object is packed once."""
    if not any(cluster.outlier_detection is not None or cluster.locality_weighted for cluster in shared.clusters):
        return shared.endpoints
    return localities.placed(mesh, shared.clusters, shared.endpoints, node)


def _distinct(found: Iterable[Cluster]) -> tuple[Cluster, ...]:
    by_name: dict[str, Cluster] = {}
    for cluster in found:
        by_name.setdefault(cluster.name, cluster)
    return tuple(by_name.values())


def _proxyless(mesh: Mesh, shared: Shared, node: Node) -> Parts:
    """gRPC knows fewer balancers and would reject the rest: it gets round robin, as Istio gives it."""
    configurations = tuple(
        routes.proxyless(mesh, node, service, port) for service in mesh.services for port in service.ports if is_http(port)
    )
    plain = tuple(replace(cluster, lb_policy=LbPolicy.ROUND_ROBIN) for cluster in shared.clusters if cluster.name != names.PASSTHROUGH)
    return Parts(listeners.for_grpc(mesh), configurations, plain, shared.endpoints)
