"""Route configurations: which cluster a request goes to, and the policies that act on the way.

Envoy: config.route.v3.RouteConfiguration. A policy is any value of a class in ``mesh.policy``; look one up with ``policy(Class)``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from mesh.model.match import RouteMatch

P = TypeVar("P")


def find_policy(policies: tuple[object, ...], kind: type[P]) -> P | None:
    """The first policy of exactly that class, or None."""
    for policy in policies:
        if type(policy) is kind:
            return policy
    return None


@dataclass(frozen=True, slots=True)
class WeightedCluster:
    cluster: str
    weight: int = 1
    policies: tuple[object, ...] = ()

    def policy(self, kind: type[P]) -> P | None:
        return find_policy(self.policies, kind)


@dataclass(frozen=True, slots=True)
class Route:
    """``clusters`` empty means that a policy answers instead: ``Redirect`` or ``DirectResponse``.

    ``name`` is what the access log prints as the route. ``metadata`` carries where the route came from
    (``config``: ``/apis/networking.istio.io/v1/namespaces/default/virtual-service/reviews``, as Istio writes it).
    """

    match: RouteMatch
    clusters: tuple[WeightedCluster, ...] = ()
    policies: tuple[object, ...] = ()
    name: str = ""
    operation: str = ""  # Envoy's decorator.operation
    metadata: Mapping[str, str] = field(default_factory=dict)

    def policy(self, kind: type[P]) -> P | None:
        return find_policy(self.policies, kind)


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """``domains`` as in Envoy: exact, ``*.suffix``, ``prefix.*`` or ``*``; with or without a port."""

    name: str
    domains: tuple[str, ...]
    routes: tuple[Route, ...]
    policies: tuple[object, ...] = ()
    include_request_attempt_count: bool = False


@dataclass(frozen=True, slots=True)
class RouteConfiguration:
    name: str
    virtual_hosts: tuple[VirtualHost, ...]
    policies: tuple[object, ...] = ()
    ignore_port_in_host_matching: bool = False
    max_direct_response_body_size_bytes: int = 1024 * 1024
