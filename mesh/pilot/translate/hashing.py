"""Where a DestinationRule balances by a hash, the routes to it say of what. Istio: route.go getHashPolicyByService."""

from collections.abc import Iterator
from dataclasses import replace

from mesh.galley.models.destination_rule import ConsistentHash
from mesh.model.route import Route
from mesh.pilot.translate import clusters
from mesh.pilot.translate.mesh import Mesh
from mesh.policy.consistent_hash import HashPolicy, Source


def hashed(mesh: Mesh, route: Route) -> Route:
    """The route with the keys of all its clusters."""
    found: dict[HashPolicy, None] = {}
    for weighted in route.clusters:
        balancer = clusters.balancer_of(mesh, weighted.cluster)
        if balancer is not None and balancer.consistent_hash is not None:
            found.update(dict.fromkeys(_policies(balancer.consistent_hash)))
    return replace(route, policies=(*route.policies, *found)) if found else route


def _policies(hashing: ConsistentHash) -> Iterator[HashPolicy]:
    if hashing.http_header_name:
        yield HashPolicy(Source.HEADER, hashing.http_header_name.lower())
    elif hashing.http_cookie is not None:
        cookie = hashing.http_cookie
        yield HashPolicy(Source.COOKIE, cookie.name, cookie.path, cookie.ttl)
    elif hashing.use_source_ip:
        yield HashPolicy(Source.SOURCE_IP)
    elif hashing.http_query_parameter_name:
        yield HashPolicy(Source.QUERY, hashing.http_query_parameter_name)
