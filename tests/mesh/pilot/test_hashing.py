"""A DestinationRule's consistentHash, in clusters and in the routes to them."""

from collections.abc import Callable
from typing import Any

import pytest

from mesh.model.cluster import LbPolicy
from mesh.model.node import Node
from mesh.pilot.translate import clusters, routes
from mesh.policy.consistent_hash import HashPolicy, Source

MakeMesh = Callable[..., Any]
MakeNode = Callable[..., Node]
HOST = "reviews.default.svc.cluster.local"


def rule(hashing: str) -> str:
    return f"""apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: reviews}}
spec:
  host: reviews
  subsets: [{{name: v1, labels: {{version: v1}}, trafficPolicy: {{loadBalancer: {{simple: RANDOM}}}}}}]
  trafficPolicy: {{loadBalancer: {{consistentHash: {hashing}}}}}"""


@pytest.mark.parametrize(
    ("hashing", "balancer", "size", "policy"),
    [
        ("{httpHeaderName: X-User}", LbPolicy.RING_HASH, None, HashPolicy(Source.HEADER, "x-user")),
        ("{useSourceIp: true, ringHash: {minimumRingSize: 9}}", LbPolicy.RING_HASH, 9, HashPolicy(Source.SOURCE_IP)),
        ("{httpQueryParameterName: u, maglev: {tableSize: 251}}", LbPolicy.MAGLEV, 251, HashPolicy(Source.QUERY, "u")),
        ("{httpCookie: {name: u, path: /, ttl: 0s}, maglev: {}}", LbPolicy.MAGLEV, None, HashPolicy(Source.COOKIE, "u", "/", 0.0)),
        ("{httpCookie: {name: u}, minimumRingSize: 7}", LbPolicy.RING_HASH, 7, HashPolicy(Source.COOKIE, "u")),
    ],
)
def test_the_cluster_has_the_table_and_its_routes_the_key(
    make_mesh: MakeMesh, make_node: MakeNode, hashing: str, balancer: LbPolicy, size: int | None, policy: HashPolicy
) -> None:
    mesh = make_mesh(rule(hashing))
    by_name = {cluster.name: cluster for cluster, _ in clusters.outbound(mesh)}
    whole, subset = by_name[f"outbound|9080||{HOST}"], by_name[f"outbound|9080|v1|{HOST}"]
    assert (whole.lb_policy, whole.table_size, subset.lb_policy) == (balancer, size, LbPolicy.RANDOM)
    hosts = {host.name: host for host in routes.outbound(mesh, make_node("ratings", "v1", "10.0.0.4"), 9080).virtual_hosts}
    assert hosts[f"{HOST}:9080"].routes[0].policy(HashPolicy) == policy
    assert hosts["details.default.svc.cluster.local:9080"].routes[0].policy(HashPolicy) is None
