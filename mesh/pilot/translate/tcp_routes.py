"""TCP proxies: what is not HTTP, by the tcp and tls routes of a VirtualService or straight to its service.

Istio: pilot/pkg/networking/core/tls.go buildSidecarOutboundTCPFilterChainOpts, buildSidecarOutboundTLSFilterChainOpts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mesh.galley.models import virtual_service as istio
from mesh.model.listener import AccessLogFile, FilterChain, TcpProxy
from mesh.model.node import Node
from mesh.model.route import WeightedCluster
from mesh.model.service import Service, ServicePort
from mesh.pilot.translate import actions, names, peers
from mesh.pilot.translate.mesh import Mesh, is_tls

Logs = tuple[AccessLogFile, ...]


def inbound(node: Node, number: int, logs: Logs) -> TcpProxy:
    """To the app."""
    cluster = names.inbound(number)
    return TcpProxy(cluster, cluster, logs, metrics=peers.metrics(node, "destination"))


def outbound(mesh: Mesh, node: Node, service: Service, port: ServicePort, logs: Logs) -> tuple[FilterChain, ...]:
    """The chains of one service's port. The last has no criterion of its own: all that no route matches goes to the service itself."""
    plain = names.outbound(port.number, "", service.hostname)
    proxy = TcpProxy(plain, plain, logs, metrics=peers.metrics(node, "source"), idle_timeout_seconds=_idle(mesh, service))
    rule = mesh.virtual_service(service.hostname)
    chains: list[FilterChain] = []
    if rule is not None and is_tls(port):
        chains += by_server_name(mesh, node, rule, port.number, proxy)
    elif rule is not None:
        chains += by_port(mesh, node, rule, port.number, proxy)
    if not any(not chain.destination_prefixes and not chain.server_names for chain in chains):
        chains.append(FilterChain(proxy))
    return tuple(chains)


def _idle(mesh: Mesh, service: Service) -> float | None:
    rule = mesh.destination_rule(service.hostname)
    policy = rule.spec.traffic_policy if rule else None
    tcp = policy.connection_pool.tcp if policy and policy.connection_pool else None
    return tcp.idle_timeout if tcp else None


def by_port(
    mesh: Mesh, node: Node, rule: istio.VirtualService, port: int, proxy: TcpProxy, gateways: tuple[str, ...] = ("mesh",)
) -> Iterator[FilterChain]:
    """A rule's tcp routes."""
    for route in rule.spec.tcp:
        routed = _routed(mesh, rule, route.route, port, proxy)
        if not route.match:
            yield FilterChain(routed)
            return
        for match in route.match:
            if _applies(match, node, port, gateways):
                yield FilterChain(routed, destination_prefixes=match.destination_subnets)
                if not match.destination_subnets:
                    return  # all the others come too late


def by_server_name(
    mesh: Mesh, node: Node, rule: istio.VirtualService, port: int, proxy: TcpProxy, gateways: tuple[str, ...] = ("mesh",)
) -> Iterator[FilterChain]:
    """A rule's tls routes."""
    taken: set[str] = set()
    for route in rule.spec.tls:
        routed = _routed(mesh, rule, route.route, port, proxy)
        for match in route.match:
            free = tuple(host for host in match.sni_hosts if host not in taken)
            if free and _applies(match, node, port, gateways):
                taken.update(free)
                chain = FilterChain(routed, destination_prefixes=match.destination_subnets)
                yield chain if "*" in free else replace(chain, server_names=free)


def _applies(match: istio.L4MatchAttributes | istio.TLSMatchAttributes, node: Node, port: int, gateways: tuple[str, ...]) -> bool:
    if gateways != ("mesh",) and (match.source_labels or match.source_namespace):
        return False  # nobody knows them at a gateway
    return (
        (match.port is None or match.port == port)
        and (not match.gateways or bool(set(gateways) & set(match.gateways)))
        and match.source_labels.items() <= node.labels.items()
        and match.source_namespace in ("", node.namespace)
    )


def _routed(mesh: Mesh, rule: istio.VirtualService, destinations: Sequence[istio.RouteDestination], port: int, proxy: TcpProxy) -> TcpProxy:
    """By weight; one destination takes all, whatever its weight."""
    found = [
        WeightedCluster(actions.cluster(mesh, one.destination, rule.meta.namespace, port), one.weight)
        for one in destinations
        if one.weight or len(destinations) == 1
    ]
    if len(found) == 1:
        return replace(proxy, stat_prefix=found[0].cluster, cluster=found[0].cluster)
    return replace(proxy, stat_prefix=f"{rule.meta.name}.{rule.meta.namespace}", cluster="", weighted=tuple(found))
