"""All that one proxy gets: listeners, clusters and endpoints, with Istio's names, and consistent."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from mesh.galley.config import Config
from mesh.model.cluster import Cluster, Discovery, LbPolicy
from mesh.model.endpoint import Health
from mesh.model.node import Node
from mesh.pilot.registry import Workload
from mesh.pilot.snapshot import Inconsistent, Packer, Parts, build, check
from mesh.pilot.translate import mesh as mesh_view
from mesh.pilot.translate import proxies
from mesh.pilot.translate.mesh import Mesh, protocol
from mesh.xds.types import CDS, EDS, LDS, RDS

RULE = """apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  trafficPolicy:
    loadBalancer: {simple: RANDOM}
    connectionPool: {tcp: {connectTimeout: 2s}, http: {maxRequestsPerConnection: 5}}
  subsets:
  - {name: v1, labels: {version: v1}}
  - name: v2
    labels: {version: v2}
    trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}
  - name: v3
    labels: {version: v3}
    trafficPolicy: {portLevelSettings: [{port: {number: 9080}, connectionPool: {tcp: {connectTimeout: 3s}}}]}
"""

MakeMesh = Callable[..., Mesh]
MakeNode = Callable[..., Node]


def parts(mesh: Mesh, node: Node) -> Parts:
    return proxies.build(mesh, proxies.share(mesh), node)


def cluster(found: Parts, name: str) -> Cluster:
    return next(cluster for cluster in found.clusters if cluster.name == name)


def test_a_captured_proxy_has_istios_listeners(make_mesh: MakeMesh, make_node: MakeNode) -> None:
    found = parts(make_mesh(), make_node("reviews", "v1", "10.0.0.1"))
    assert [(listener.name, listener.port) for listener in found.listeners] == [
        ("virtualOutbound", 15001),
        ("virtualInbound", 15006),
        ("0.0.0.0_9080", 9080),
    ]
    assert [cluster.name for cluster in found.clusters][-4:] == [
        "inbound|9080||",
        "BlackHoleCluster",
        "PassthroughCluster",
        "InboundPassthroughCluster",
    ]
    assert cluster(found, "inbound|9080||").bind_address == "127.0.0.6"


def test_without_capture_each_port_has_its_listener_and_the_app_its_address(make_mesh: MakeMesh, make_node: MakeNode) -> None:
    found = parts(make_mesh(captured=False), make_node("reviews", "v1", "10.0.0.1", captured=False))
    assert [listener.name for listener in found.listeners] == ["10.0.0.1_9080", "10.0.0.1_29080", "10.0.0.1_15002"]
    assert {route.name for route in found.routes} == {"9080", "http_proxy"}
    app = cluster(found, "inbound|9080||").load_assignment
    assert app is not None
    assert [(endpoint.address, endpoint.port) for endpoint in app.endpoints] == [("10.0.0.1", 19080)]
    assert not [c for c in found.clusters if c.discovery is Discovery.ORIGINAL_DST]


def test_endpoints_are_the_workloads_with_the_subsets_labels_and_their_health(make_mesh: MakeMesh, make_node: MakeNode) -> None:
    found = parts(make_mesh(RULE), make_node("ratings", "v1", "10.0.0.4"))
    by_cluster = {a.cluster: [(e.address, e.port, e.health) for e in a.endpoints] for a in found.endpoints}
    host = "reviews.default.svc.cluster.local"
    assert [address for address, _, _ in by_cluster[f"outbound|9080||{host}"]] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert by_cluster[f"outbound|9080|v3|{host}"] == [("10.0.0.3", 9080, Health.UNHEALTHY)]
    assert by_cluster["outbound|9080||details.default.svc.cluster.local"] == []


@pytest.mark.parametrize(
    ("subset", "balancer", "connect_timeout", "max_requests"),
    [
        ("", LbPolicy.RANDOM, 2.0, 5),
        ("v1", LbPolicy.RANDOM, 2.0, 5),
        ("v2", LbPolicy.ROUND_ROBIN, 2.0, 5),
        ("v3", LbPolicy.LEAST_REQUEST, 3.0, None),
    ],
)
def test_traffic_policies_narrow_and_port_settings_replace(
    make_mesh: MakeMesh, make_node: MakeNode, subset: str, balancer: LbPolicy, connect_timeout: float, max_requests: int | None
) -> None:
    found = cluster(
        parts(make_mesh(RULE), make_node("ratings", "v1", "10.0.0.4")), f"outbound|9080|{subset}|reviews.default.svc.cluster.local"
    )
    assert (found.lb_policy, found.connect_timeout_seconds, found.max_requests_per_connection) == (balancer, connect_timeout, max_requests)


def test_a_service_entry_by_dns_resolves_its_host(make_mesh: MakeMesh, make_node: MakeNode) -> None:
    text = """apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec: {hosts: [api.example.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
"""
    found = cluster(parts(make_mesh(text), make_node("ratings", "v1", "10.0.0.4")), "outbound|80||api.example.com")
    assert found.discovery is Discovery.STRICT_DNS
    assert found.load_assignment is not None
    assert [(e.address, e.port) for e in found.load_assignment.endpoints] == [("api.example.com", 80)]


def test_a_service_entry_with_addresses_of_its_own_is_served_by_them(make_mesh: MakeMesh, make_node: MakeNode) -> None:
    text = """apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec:
  hosts: [api.example.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 192.0.2.1, ports: {http: 8080}}, {address: 192.0.2.2}]
"""
    found = parts(make_mesh(text), make_node("ratings", "v1", "10.0.0.4"))
    (assignment,) = [a for a in found.endpoints if "api.example.com" in a.cluster]
    assert [(e.address, e.port) for e in assignment.endpoints] == [("192.0.2.1", 8080), ("192.0.2.2", 80)]


def test_proxyless_grpc_gets_api_listeners_named_by_target_and_round_robin(make_mesh: MakeMesh, make_node: MakeNode) -> None:
    found = parts(make_mesh(), replace(make_node("client", "v1", "10.0.0.9"), generator="grpc"))
    assert "reviews.default.svc.cluster.local:9080" in {listener.name for listener in found.listeners}
    assert {c.lb_policy for c in found.clusters} == {LbPolicy.ROUND_ROBIN}


@pytest.mark.parametrize(
    ("name", "app_protocol", "expected"),
    [
        ("http", "", "HTTP"),
        ("http-web", "", "HTTP"),
        ("grpc-a", "", "GRPC"),
        ("tcp-x", "", "TCP"),
        ("web", "", "UNSUPPORTED"),
        ("tcp", "http", "HTTP"),
        ("x", "kubernetes.io/h2c", "HTTP2"),
    ],
)
def test_a_ports_protocol_is_by_app_protocol_else_by_its_names_prefix(name: str, app_protocol: str, expected: str) -> None:
    assert protocol(name, app_protocol) == expected


def test_the_same_world_gives_the_same_snapshot_and_another_a_different_one(
    make_config: Callable[..., Config], make_node: MakeNode
) -> None:
    one, two = Workload(make_node("reviews", "v1", "10.0.0.1"), True), Workload(make_node("reviews", "v2", "10.0.0.2"), True)

    def version(*workloads: Workload) -> str:
        view = mesh_view.view(make_config(""), workloads)
        return build(parts(view, one.node), 1, Packer()).version

    assert version(one) == version(one)
    assert version(one) != version(one, two)


def test_access_logs_are_text_or_json_as_the_mesh_is_told(make_mesh: MakeMesh, make_node: MakeNode) -> None:
    reviews = make_node("reviews", "v1", "10.0.0.1")
    text, json = (parts(replace(make_mesh(), access_log_encoding=encoding), reviews).listeners[-1] for encoding in ("TEXT", "JSON"))
    (text_log,), (json_log,) = (listener.filter_chains[0].network_filter.access_logs for listener in (text, json))
    assert text_log.text_format.startswith("[%START_TIME%]")
    assert dict(json_log.json_format)["response_flags"] == "%RESPONSE_FLAGS%"


def test_a_snapshot_without_what_it_refers_to_is_refused(make_mesh: MakeMesh, make_node: MakeNode) -> None:
    whole = parts(make_mesh(), make_node("reviews", "v1", "10.0.0.1"))
    check(whole)
    with pytest.raises(Inconsistent, match="wants route configuration 9080"):
        check(replace(whole, routes=()))
    with pytest.raises(Inconsistent, match="has no endpoints"):
        check(replace(whole, endpoints=()))


def test_shared_resources_are_packed_once_for_all_proxies(make_mesh: MakeMesh, make_node: MakeNode) -> None:
    mesh = make_mesh()
    shared, packer = proxies.share(mesh), Packer()
    first = build(proxies.build(mesh, shared, make_node("reviews", "v1", "10.0.0.1")), 1, packer)
    second = build(proxies.build(mesh, shared, make_node("ratings", "v1", "10.0.0.4")), 1, packer)
    name = "outbound|9080||reviews.default.svc.cluster.local"
    assert first.by_type[CDS][name] is second.by_type[CDS][name]
    assert first.by_type[EDS][name] is second.by_type[EDS][name]
    assert set(first.by_type) == {CDS, EDS, LDS, RDS}
