"""Rules of a VirtualService's tcp and tls routes. Istio: pkg/config/validation/validation.go validateTCPRoute, validateTLSRoute."""

import ipaddress
from collections.abc import Iterator, Sequence

from mesh.galley.models.virtual_service import L4MatchAttributes, RouteDestination, TCPRoute, TLSMatchAttributes, TLSRoute
from mesh.galley.parse import Path
from mesh.galley.rules.http_route import destination_problems, weight_problems
from mesh.galley.rules.words import bad, host_problems, port_problems, without_effect
from mesh.galley.schema import Problem


def tcp_route_problems(route: TCPRoute, path: Path) -> Iterator[Problem]:
    for number, match in enumerate(route.match):
        yield from _match(match, (*path, "match", number))
        if match.source_subnet:
            yield without_effect((*path, "match", number, "sourceSubnet"), "deprecated, and ignored by Istio, too")
    yield from _destinations(route.route, path)


def tls_route_problems(route: TLSRoute, hosts: Sequence[str], path: Path) -> Iterator[Problem]:
    if not route.match:
        yield bad(path, "a tls route needs a match", "match by sniHosts", key=True)
    for number, match in enumerate(route.match):
        here = (*path, "match", number)
        if not match.sni_hosts:
            yield bad((*here, "sniHosts"), "Required value: at least one server name", key=True)
        for index, name in enumerate(match.sni_hosts):
            yield from host_problems(name, (*here, "sniHosts", index))
            if not any(_within(name, host) for host in hosts):
                yield bad(
                    (*here, "sniHosts", index), f'"{name}" is none of the hosts of this VirtualService', f"they are: {', '.join(hosts)}"
                )
        yield from _match(match, here)
    yield from _destinations(route.route, path)


def _within(name: str, host: str) -> bool:
    if name == host or host == "*":
        return True
    return host.startswith("*") and name.removeprefix("*").endswith(host[1:])


def _match(match: L4MatchAttributes | TLSMatchAttributes, path: Path) -> Iterator[Problem]:
    yield from port_problems(match.port, (*path, "port"))
    for index, subnet in enumerate(match.destination_subnets):
        try:
            ipaddress.ip_network(subnet, strict=False)
        except ValueError:
            yield bad((*path, "destinationSubnets", index), f'"{subnet}" is no range of addresses', "as in 10.0.0.0/8")


def _destinations(route: Sequence[RouteDestination], path: Path) -> Iterator[Problem]:
    if not route:
        yield bad(path, "a route needs a destination", key=True)
    for index, one in enumerate(route):
        yield from destination_problems(one.destination, (*path, "route", index, "destination"))
        if one.weight < 0:
            yield bad((*path, "route", index, "weight"), f"a weight cannot be negative, {one.weight}")
    yield from weight_problems([one.weight for one in route], (*path, "route"))
