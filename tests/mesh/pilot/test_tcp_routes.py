"""What is not HTTP: listeners, chains and clusters for it, captured and not."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from mesh.galley.config import Config
from mesh.model.listener import FilterChain, HttpConnectionManager, Listener, TcpProxy
from mesh.model.node import InboundPort, Node
from mesh.model.route import WeightedCluster
from mesh.pilot.registry import Workload
from mesh.pilot.translate import listeners
from mesh.pilot.translate import mesh as mesh_view

SERVICES = """apiVersion: v1
kind: Service
metadata: {name: db}
spec:
  selector: {app: db}
  ports: [{name: tcp, port: 5432}, {name: tls, port: 443}]
---
apiVersion: v1
kind: Service
metadata: {name: cache}
spec:
  selector: {app: cache}
  ports: [{name: tcp, port: %d}]
"""
DB, CACHE = "outbound|5432||db.default.svc.cluster.local", "outbound|%d||cache.default.svc.cluster.local"
MakeConfig, MakeNode = Callable[..., Config], Callable[..., Node]


@pytest.fixture
def build(make_config: MakeConfig, make_node: MakeNode) -> Callable[..., dict[str, Listener]]:
    """``build(rules)``: the listeners of reviews v1, where db is at 10.0.0.8 and cache at 10.0.0.9."""

    def build(
        rules: str = "", *, cache_port: int = 6379, captured: bool = True, bindings: dict[str, int] | None = None
    ) -> dict[str, Listener]:
        text = SERVICES % cache_port + (f"---\n{rules}" if rules else "")
        workloads = tuple(Workload(make_node(name, "v1", ip), True) for name, ip in (("db", "10.0.0.8"), ("cache", "10.0.0.9")))
        mesh = mesh_view.view(make_config(text), workloads)
        node = make_node("reviews", "v1", "10.0.0.1", captured=captured)
        if bindings:
            node = replace(node, bindings=replace(node.bindings, tcp_ports=bindings))
        return {listener.name: listener for listener in listeners.build(mesh, node)}

    return build


def virtual_service(body: str) -> str:
    return f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: db}}\nspec:\n  hosts: [db]\n{body}\n"


def targets(chains: tuple[FilterChain, ...]) -> list[object]:
    return [
        chain.network_filter.weighted or chain.network_filter.cluster if isinstance(chain.network_filter, TcpProxy) else "http"
        for chain in chains
    ]


def test_a_port_of_one_tcp_service_is_its_own(build: Callable[..., dict[str, Listener]]) -> None:
    found = build()
    assert targets(found["0.0.0.0_5432"].filter_chains) == [DB]
    assert found["0.0.0.0_5432"].filter_chains[0].destination_prefixes == ()
    assert not found["0.0.0.0_5432"].bind_to_port
    assert not found["0.0.0.0_5432"].tls_inspector


def test_a_port_of_two_is_told_apart_by_address(build: Callable[..., dict[str, Listener]]) -> None:
    chains = build(cache_port=5432)["0.0.0.0_5432"].filter_chains
    assert {chain.destination_prefixes: target for chain, target in zip(chains, targets(chains), strict=True)} == {
        ("10.0.0.8/32",): DB,
        ("10.0.0.9/32",): CACHE % 5432,
    }


def test_http_services_on_the_same_port_keep_theirs(build: Callable[..., dict[str, Listener]]) -> None:
    chains = build(cache_port=9080)["0.0.0.0_9080"].filter_chains
    assert [(chain.destination_prefixes, type(chain.network_filter)) for chain in chains] == [
        (("10.0.0.9/32",), TcpProxy),
        ((), HttpConnectionManager),
    ]


def test_without_capture_each_has_a_port_of_its_own(build: Callable[..., dict[str, Listener]]) -> None:
    found = build(captured=False, bindings={"db:5432": 30000, "cache:6379": 30001, "nobody:1": 30002})
    assert targets(found["10.0.0.1_30000"].filter_chains) == [DB]
    assert targets(found["10.0.0.1_30001"].filter_chains) == [CACHE % 6379]
    assert "10.0.0.1_30002" not in found


ROUTE = "route: [{destination: {host: db, subset: a}, weight: 1}, {destination: {host: db, subset: b}, weight: 3}]"
SPLIT = (WeightedCluster(DB.replace("||", "|a|"), 1), WeightedCluster(DB.replace("||", "|b|"), 3))


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        (f"  tcp: [{{{ROUTE}}}]", [((), SPLIT)]),
        (f"  tcp: [{{match: [{{port: 5432}}], {ROUTE}}}]", [((), SPLIT)]),
        (f"  tcp: [{{match: [{{port: 1}}], {ROUTE}}}]", [((), DB)]),
        (f"  tcp: [{{match: [{{sourceLabels: {{app: reviews}}}}], {ROUTE}}}]", [((), SPLIT)]),
        (f"  tcp: [{{match: [{{sourceLabels: {{app: other}}}}], {ROUTE}}}]", [((), DB)]),
        (f"  tcp: [{{match: [{{destinationSubnets: [10.1.0.0/16]}}], {ROUTE}}}]", [(("10.1.0.0/16",), SPLIT), ((), DB)]),
        ("  tcp: [{route: [{destination: {host: db, subset: a}}]}]", [((), DB.replace("||", "|a|"))]),
        ("  tcp: [{route: [{destination: {host: cache, port: {number: 6379}}}]}]", [((), CACHE % 6379)]),
    ],
)
def test_tcp_routes_of_a_virtual_service(build: Callable[..., dict[str, Listener]], routes: str, expected: object) -> None:
    chains = build(virtual_service(routes))["0.0.0.0_5432"].filter_chains
    assert list(zip((chain.destination_prefixes for chain in chains), targets(chains), strict=True)) == expected


def test_tls_routes_go_by_server_name(build: Callable[..., dict[str, Listener]]) -> None:
    rule = virtual_service("  tls: [{match: [{sniHosts: [db]}], route: [{destination: {host: db, subset: a}}]}]")
    listener = build(rule)["0.0.0.0_443"]
    assert listener.tls_inspector
    assert [chain.server_names for chain in listener.filter_chains] == [("db",), ()]
    assert targets(listener.filter_chains) == ["outbound|443|a|db.default.svc.cluster.local", "outbound|443||db.default.svc.cluster.local"]


UNDECLARED = """apiVersion: v1
kind: Service
metadata: {name: db}
spec:
  selector: {app: db}
  ports: [{name: web, port: 80}, {name: tcp, port: 90}]
"""


@pytest.mark.parametrize("captured", [True, False])
def test_an_undeclared_port_is_looked_at(make_config: MakeConfig, make_node: MakeNode, captured: bool) -> None:
    mesh = mesh_view.view(make_config(UNDECLARED), (Workload(make_node("db", "v1", "10.0.0.8"), True),))
    node = make_node("db", "v1", "10.0.0.8", captured=captured)
    node = replace(node, bindings=replace(node.bindings, inbound=(InboundPort("web", 80, 80), InboundPort("tcp", 90, 90))))
    found = {listener.name: listener for listener in listeners.build(mesh, node)}
    inbound = found["virtualInbound" if captured else "10.0.0.8_80"]
    assert (inbound.tls_inspector, inbound.http_inspector, inbound.continue_after_inspection_timeout) == (True, True, True)
    assert inbound.not_inspected_ports == ((90, 15006) if captured else ())
    sniffed = [chain for chain in inbound.filter_chains if chain.transport_protocol]
    assert targets(tuple(sniffed)) == ["http", "inbound|80||", "inbound|80||"]
    assert [chain.application_protocols for chain in sniffed] == [("http/1.0", "http/1.1", "h2c"), (), ()]
    if captured:
        outbound = found["0.0.0.0_80"]
        assert targets(outbound.filter_chains) == ["http", *["outbound|80||db.default.svc.cluster.local"] * 2]
    else:
        assert not found["10.0.0.8_90"].tls_inspector


def test_the_app_gets_its_bytes_as_they_are(make_config: MakeConfig, make_node: MakeNode) -> None:
    mesh = mesh_view.view(make_config(SERVICES % 6379), ())
    node = make_node("db", "v1", "10.0.0.8")
    node = replace(node, bindings=replace(node.bindings, inbound=(InboundPort("tcp", 5432, 5432),)))
    inbound = next(listener for listener in listeners.build(mesh, node) if listener.name == "virtualInbound")
    assert targets(inbound.filter_chains) == ["BlackHoleCluster", "inbound|5432||"]
