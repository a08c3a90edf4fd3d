"""Route configurations: who may be called on a port, and what a VirtualService makes of it.

Istio: pilot/pkg/networking/core/httproute.go.
"""

from collections.abc import Iterator, Sequence

from mesh.galley.models.virtual_service import HTTPRoute, VirtualService
from mesh.model.match import MatchKind, RouteMatch, StringMatch
from mesh.model.node import Interception, Node
from mesh.model.route import Route, RouteConfiguration, VirtualHost, WeightedCluster
from mesh.model.service import Service, ServicePort
from mesh.pilot.translate import actions, hashing, matches, names, peers
from mesh.pilot.translate.mesh import Mesh, is_http
from mesh.policy.direct_response import DirectResponse

ANY = RouteMatch(StringMatch(MatchKind.PREFIX, "/"))


def outbound(mesh: Mesh, node: Node, port: int) -> RouteConfiguration:
    """The route named after a service port: every HTTP service with that port, told apart by Host."""
    hosts = [
        _virtual_host(mesh, node, service, p, with_port_only=False)
        for service in mesh.services
        for p in service.ports
        if p.number == port and is_http(p)
    ]
    return _configuration(str(port), node, hosts, ignore_port=True)


def http_proxy(mesh: Mesh, node: Node) -> RouteConfiguration:
    """The route of the explicit HTTP proxy: every HTTP port of every service, told apart by host and port. Istio: proxyHttpPort."""
    hosts = [_virtual_host(mesh, node, service, p, with_port_only=True) for service in mesh.services for p in service.ports if is_http(p)]
    return _configuration(names.HTTP_PROXY, node, hosts, ignore_port=False)


def proxyless(mesh: Mesh, node: Node, service: Service, port: ServicePort) -> RouteConfiguration:
    """For a gRPC client: one route configuration a target, named after the cluster."""
    host = _virtual_host(mesh, node, service, port, with_port_only=False)
    with_ports = tuple(f"{domain}:{port.number}" for domain in host.domains)
    host = VirtualHost(host.name, host.domains + with_ports, host.routes)
    return RouteConfiguration(names.outbound(port.number, "", service.hostname), (host,))


def inbound(port: int) -> RouteConfiguration:
    """All goes to the app."""
    route = Route(ANY, (WeightedCluster(names.inbound(port)),), name="default")
    return RouteConfiguration(names.inbound(port), (VirtualHost(f"inbound|http|{port}", ("*",), (route,)),), (peers.FORGET,))


def _configuration(name: str, node: Node, hosts: Sequence[VirtualHost], *, ignore_port: bool) -> RouteConfiguration:
    return RouteConfiguration(
        name=name,
        virtual_hosts=(*_distinct(hosts), _catch_all(node)),
        policies=(peers.introduce(node),),
        ignore_port_in_host_matching=ignore_port,
    )


def _distinct(hosts: Sequence[VirtualHost]) -> Iterator[VirtualHost]:
    """A domain may stand once only: who comes first keeps it."""
    taken: set[str] = set()
    for host in hosts:
        free = tuple(domain for domain in host.domains if domain not in taken)
        taken.update(free)
        if free:
            yield VirtualHost(host.name, free, host.routes, host.policies, host.include_request_attempt_count)


def _catch_all(node: Node) -> VirtualHost:
    """Unknown hosts: passed on to where they were going (ALLOW_ANY); without capture nobody knows where that is: 502, as REGISTRY_ONLY."""
    if node.interception is Interception.REDIRECT:
        route = Route(ANY, (WeightedCluster(names.PASSTHROUGH),), name="allow_any")
        return VirtualHost("allow_any", ("*",), (route,), include_request_attempt_count=True)
    route = Route(ANY, (), (DirectResponse(502),), name="block_all")
    return VirtualHost("block_all", ("*",), (route,), include_request_attempt_count=True)


def _virtual_host(mesh: Mesh, node: Node, service: Service, port: ServicePort, *, with_port_only: bool) -> VirtualHost:
    known = names.domains(service.hostname, service.name, service.namespace, node.namespace, external=service.external)
    domains = tuple(f"{name}:{port.number}" for name in known) if with_port_only else known
    if with_port_only and port.number == 80:
        domains += known
    return VirtualHost(
        name=f"{service.hostname}:{port.number}",
        domains=domains,
        routes=tuple(_routes(mesh, node, service, port)),
        include_request_attempt_count=True,
    )


def _routes(mesh: Mesh, node: Node, service: Service, port: ServicePort) -> Iterator[Route]:
    rule = mesh.virtual_service(service.hostname)
    if rule is None or not rule.spec.http:
        cluster = WeightedCluster(names.outbound(port.number, "", service.hostname))
        operation = f"{service.hostname}:{port.number}/*"
        yield hashing.hashed(mesh, Route(ANY, (cluster,), (actions.DEFAULT_RETRY,), "default", operation))
        return
    yield from of_rule(mesh, node, rule, port.number, service.hostname)


def of_rule(
    mesh: Mesh, node: Node, rule: VirtualService, port: int, hostname: str, gateways: tuple[str, ...] = ("mesh",)
) -> Iterator[Route]:
    """The HTTP routes of a VirtualService for one host, in their order; nothing after a catch-all can be reached."""
    for http in rule.spec.http:
        for match, name in _matches(http, node, port, gateways):
            yield hashing.hashed(mesh, _route(mesh, rule, http, match, name, port, hostname))
            if match == ANY:
                return


def _matches(http: HTTPRoute, node: Node, port: int, gateways: tuple[str, ...]) -> Iterator[tuple[RouteMatch, str]]:
    if not http.match:
        yield ANY, http.name
    for number, match in enumerate(http.match):
        if matches.applies(match, node, port, gateways):
            yield matches.translate(match), ".".join(part for part in (http.name, match.name or (str(number) if http.name else "")) if part)


def _route(mesh: Mesh, rule: VirtualService, http: HTTPRoute, match: RouteMatch, name: str, port: int, hostname: str) -> Route:
    where = f"/apis/networking.istio.io/v1/namespaces/{rule.meta.namespace}/virtual-service/{rule.meta.name}"
    clusters = actions.clusters(mesh, http, rule.meta.namespace, port)
    policies = actions.policies(mesh, http, rule.meta.namespace, port, match)
    return Route(match, clusters, policies, name, f"{hostname}:{port}/*", {"config": where})
