"""Near endpoints first, or a part of the traffic for each place: load assignments as one proxy gets them, by where it runs.

Istio: pilot/pkg/networking/core/loadbalancer/loadbalancer.go. Failover needs outlier detection: without it nobody would notice that the
near endpoints fail. A workload's place is its label ``istio-locality`` (``region.zone.subzone``), or those of Kubernetes.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from mesh.galley.models.destination_rule import Distribute, LocalityLoadBalancer
from mesh.model.cluster import Cluster
from mesh.model.endpoint import Endpoint, LoadAssignment, Locality, LocalityEndpoints
from mesh.model.node import Node
from mesh.pilot.translate import clusters
from mesh.pilot.translate.endpoints import locality_of
from mesh.pilot.translate.mesh import Mesh

OTHER_REGION = 3


def placed(mesh: Mesh, shared: Iterable[Cluster], assignments: Iterable[LoadAssignment], node: Node) -> tuple[LoadAssignment, ...]:
    """The assignments, those that depend on the node's place made for it."""
    by_name = {cluster.name: cluster for cluster in shared}
    labels = {workload.node.ip: workload.node.labels for workload in mesh.workloads}
    own = locality_of(node.labels)
    return tuple(_placed(mesh, by_name.get(one.cluster), one, node, own, labels) for one in assignments)


def _placed(
    mesh: Mesh, cluster: Cluster | None, assignment: LoadAssignment, node: Node, own: Locality, labels: Mapping[str, Mapping[str, str]]
) -> LoadAssignment:
    if cluster is None or (cluster.outlier_detection is None and not cluster.locality_weighted):
        return assignment
    balancer = clusters.balancer_of(mesh, cluster.name)
    setting = (balancer.locality_lb_setting if balancer is not None else None) or LocalityLoadBalancer()
    if setting.enabled is False:
        return assignment
    if setting.distribute:
        return _distributed(assignment, own, setting.distribute)
    if cluster.outlier_detection is None:
        return assignment
    if setting.failover_priority:
        return _by_labels(assignment, node.labels, labels, setting.failover_priority)
    if own == Locality():
        return assignment
    regions = {one.to for one in setting.failover if one.from_ == own.region}
    return _ranked(assignment, [(_distance(own, group.locality, regions), group) for group in assignment.localities])


def _distance(own: Locality, other: Locality, regions: set[str]) -> int:
    if other.region != own.region:
        return OTHER_REGION + (1 if regions and other.region not in regions else 0)
    if other.zone != own.zone:
        return 2
    return 0 if other.sub_zone == own.sub_zone else 1


def _by_labels(
    assignment: LoadAssignment, own: Mapping[str, str], labels: Mapping[str, Mapping[str, str]], wanted: tuple[str, ...]
) -> LoadAssignment:
    """The more of the labels, from the first on, an endpoint shares with the proxy, the nearer it is."""

    def rank(endpoint: Endpoint) -> int:
        theirs = labels.get(endpoint.address, {})
        for matched, one in enumerate(wanted):
            name, given, value = one.partition("=")
            if theirs.get(name, "") != (value if given else own.get(name, "")):
                return len(wanted) - matched
        return 0

    ranked = []
    for group in assignment.localities:
        by_rank: dict[int, list[Endpoint]] = {}
        for endpoint in group.endpoints:
            by_rank.setdefault(rank(endpoint), []).append(endpoint)
        ranked += [(number, _sized(replace(group, endpoints=tuple(some)))) for number, some in by_rank.items()]
    return _ranked(assignment, ranked)


def _sized(group: LocalityEndpoints) -> LocalityEndpoints:
    return replace(group, weight=max(1, sum(endpoint.weight for endpoint in group.endpoints)))


def _ranked(assignment: LoadAssignment, ranked: list[tuple[int, LocalityEndpoints]]) -> LoadAssignment:
    """Priorities without gaps: proxies refuse those."""
    order = {rank: priority for priority, rank in enumerate(sorted({rank for rank, _ in ranked}))}
    groups = [replace(group, priority=order[rank]) for rank, group in ranked]
    return replace(assignment, localities=tuple(sorted(groups, key=lambda group: group.priority)))


def _distributed(assignment: LoadAssignment, own: Locality, settings: tuple[Distribute, ...]) -> LoadAssignment:
    """By the first setting that fits where we are. A place that it does not name gets nothing."""
    setting = next((one for one in settings if _fits(one.from_, own)), None)
    if setting is None:
        return assignment
    return replace(assignment, localities=tuple(_weighted(assignment.localities, setting.to)))


def _weighted(groups: tuple[LocalityEndpoints, ...], to: Mapping[str, int]) -> Iterator[LocalityEndpoints]:
    left = list(groups)
    for where, weight in to.items():
        here = [group for group in left if _fits(where, group.locality)]
        whole = sum(group.weight for group in here)
        for group in here:
            left.remove(group)
            if weight:
                yield replace(group, weight=max(1, round(weight * group.weight / whole)))


def _fits(pattern: str, locality: Locality) -> bool:
    for wanted, part in zip(pattern.split("/"), (locality.region, locality.zone, locality.sub_zone), strict=False):
        if wanted == "*":
            return True
        if wanted != part:
            return False
    return True
