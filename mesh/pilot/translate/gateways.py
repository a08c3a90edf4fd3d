"""A proxy at the edge: listeners by the servers of the Gateways that select it, routes by the VirtualServices that name those.

Istio: pilot/pkg/networking/core/gateway.go. Hosts must agree: what a server lets in and what a VirtualService is for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mesh.galley.models.gateway import Gateway, Server
from mesh.galley.models.virtual_service import VirtualService
from mesh.galley.rules.gateway import ENCRYPTED, PLAIN
from mesh.model.listener import AccessLogFile, Direction, FilterChain, HttpConnectionManager, Listener, TcpProxy
from mesh.model.node import Interception, Node
from mesh.model.route import Route, RouteConfiguration, VirtualHost
from mesh.pilot.translate import names, peers, routes, tcp_routes
from mesh.pilot.translate.mesh import Mesh
from mesh.policy.redirect import Redirect

ANY_ADDRESS = "0.0.0.0"
Bound = tuple[Gateway, Server]


def build(mesh: Mesh, node: Node, logs: tuple[AccessLogFile, ...]) -> tuple[Listener, ...]:
    return tuple(listener for port, bound in _by_port(mesh, node).items() for listener in _listener(mesh, node, port, bound, logs))


def configurations(mesh: Mesh, node: Node) -> tuple[RouteConfiguration, ...]:
    return tuple(
        _configuration(mesh, node, port, http) for port, bound in _by_port(mesh, node).items() if (http := _speaking(bound, PLAIN))
    )


def _by_port(mesh: Mesh, node: Node) -> dict[int, list[Bound]]:
    """The servers for this proxy. Without capture it can listen only where the lab has given it a port."""
    found: dict[int, list[Bound]] = {}
    for gateway in mesh.gateways:
        if gateway.spec.selector.items() <= node.labels.items():
            for server in gateway.spec.servers:
                if node.interception is Interception.REDIRECT or server.port.number in node.bindings.gateway_ports:
                    found.setdefault(server.port.number, []).append((gateway, server))
    return dict(sorted(found.items()))


def _speaking(bound: Sequence[Bound], protocols: frozenset[str]) -> list[Bound]:
    return [(gateway, server) for gateway, server in bound if server.port.protocol.upper() in protocols]


def _route_name(port: int) -> str:
    return f"http.{port}"


def _listener(mesh: Mesh, node: Node, port: int, bound: Sequence[Bound], logs: tuple[AccessLogFile, ...]) -> Iterator[Listener]:
    if _speaking(bound, PLAIN):
        chains: tuple[FilterChain, ...] = (FilterChain(_manager(node, port, logs)),)
    else:
        chains = tuple(_raw(mesh, node, bound, logs))
    if not chains:
        return  # nobody says where it should go: as in Istio there is no listener then
    captured = node.interception is Interception.REDIRECT
    address, local = (ANY_ADDRESS, port) if captured else (node.ip, node.bindings.gateway_ports[port])
    by_name = any(chain.server_names for chain in chains)
    yield Listener(f"{address}_{port}", address, local, chains, direction=Direction.OUTBOUND, tls_inspector=by_name)


def _manager(node: Node, port: int, logs: tuple[AccessLogFile, ...]) -> HttpConnectionManager:
    return HttpConnectionManager(
        stat_prefix=f"outbound_{ANY_ADDRESS}_{port}",
        route_config_name=_route_name(port),
        access_logs=logs,
        metrics=peers.metrics(node, "source"),
        use_remote_address=True,
    )


# --- HTTP


def _configuration(mesh: Mesh, node: Node, port: int, bound: Sequence[Bound]) -> RouteConfiguration:
    """A host that several rules have gets the routes of the oldest first. Nobody at all: 404 for everything."""
    hosts: dict[str, VirtualHost] = {}
    for gateway, server in bound:
        redirects = server.tls is not None and server.tls.https_redirect
        for rule in _rules(mesh, gateway):
            for host in _agreed(server, gateway, rule):
                found = _to_https() if redirects else tuple(routes.of_rule(mesh, node, rule, port, host, _names(gateway, rule)))
                known = hosts.get(host)
                if known is None:
                    hosts[host] = VirtualHost(f"{host}:{port}", (host,), found, include_request_attempt_count=True)
                elif not redirects:
                    hosts[host] = replace(known, routes=(*known.routes, *(route for route in found if route not in known.routes)))
    if not hosts:
        hosts["*"] = VirtualHost(f"blackhole:{port}", ("*",), ())
    return RouteConfiguration(_route_name(port), tuple(hosts.values()), (peers.introduce(node),), ignore_port_in_host_matching=True)


def _to_https() -> tuple[Route, ...]:
    return (Route(routes.ANY, (), (Redirect(scheme="https"),), "https-redirect"),)


def _rules(mesh: Mesh, gateway: Gateway) -> list[VirtualService]:
    return [rule for rule in mesh.virtual_services if set(_names(gateway, rule)) & set(rule.spec.gateways)]


def _names(gateway: Gateway, rule: VirtualService) -> tuple[str, ...]:
    """How this rule may name that gateway."""
    full = f"{gateway.meta.namespace}/{gateway.meta.name}"
    return (gateway.meta.name, full) if gateway.meta.namespace == rule.meta.namespace else (full,)


def _agreed(server: Server, gateway: Gateway, rule: VirtualService) -> Iterator[str]:
    """The hosts that both let in, the narrower of the two where one is a wildcard."""
    for wanted in rule.spec.hosts:
        full = names.full(wanted, rule.meta.namespace) if "." not in wanted and wanted != "*" else wanted
        for pattern in server.hosts:
            namespace, _, allowed = pattern.rpartition("/")
            if namespace not in ("", "*") and rule.meta.namespace != (gateway.meta.namespace if namespace == "." else namespace):
                continue
            narrower = _narrower(full, allowed) or _narrower(wanted, allowed)
            if narrower:
                yield narrower
                break


def _narrower(one: str, other: str) -> str:
    if one == other or other == "*" or names.covers(other, one):
        return one
    return other if one == "*" or names.covers(one, other) else ""


# --- everything else: passed on unread


def _raw(mesh: Mesh, node: Node, bound: Sequence[Bound], logs: tuple[AccessLogFile, ...]) -> Iterator[FilterChain]:
    for gateway, server in bound:
        for rule in _rules(mesh, gateway):
            agreed = set(_agreed(server, gateway, rule))
            port, own = server.port.number, _names(gateway, rule)
            proxy = TcpProxy("", "", logs, metrics=peers.metrics(node, "source"))
            if server.port.protocol.upper() in ENCRYPTED:
                for chain in tcp_routes.by_server_name(mesh, node, rule, port, proxy, own):
                    if set(chain.server_names) & agreed or not chain.server_names:
                        yield chain
            else:
                yield from tcp_routes.by_port(mesh, node, rule, port, proxy, own)
