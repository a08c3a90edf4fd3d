"""The edge: which ports a gateway listens on, and which hosts it sends where."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from mesh.galley.config import Config
from mesh.model.listener import HttpConnectionManager, TcpProxy
from mesh.model.node import Bindings, Interception, Node
from mesh.pilot.snapshot import Parts, check
from mesh.pilot.translate import mesh as mesh_view
from mesh.pilot.translate import proxies
from mesh.policy.redirect import Redirect

EDGE = Node(ip="10.0.0.7", name="edge-0", kind="router", labels={"istio": "ingressgateway"})
PORT = "{number: 80, name: http, protocol: HTTP}"


def gateway(servers: str, name: str = "edge", namespace: str = "default", selector: str = "{istio: ingressgateway}") -> str:
    return f"""apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{selector: {selector}, servers: [{servers}]}}
---
"""


def rule(
    hosts: str, gateways: str = "[edge]", to: str = "reviews", name: str = "one", namespace: str = "default", kind: str = "http"
) -> str:
    match = f", match: [{{sniHosts: {hosts}}}]" if kind == "tls" else ""
    return f"""apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{hosts: {hosts}, gateways: {gateways}, {kind}: [{{route: [{{destination: {{host: {to}}}}}]{match}}}]}}
---
"""


@pytest.fixture
def build(make_config: Callable[..., Config]) -> Callable[..., Parts]:
    def build(text: str, node: Node = EDGE) -> Parts:
        mesh = mesh_view.view(make_config(text.removesuffix("---\n")), ())
        parts = proxies.build(mesh, proxies.share(mesh), node)
        check(parts)
        return parts

    return build


def hosts(parts: Parts) -> dict[str, list[str]]:
    [configuration] = parts.routes
    return {
        domain: [cluster.cluster for route in host.routes for cluster in route.clusters]
        for host in configuration.virtual_hosts
        for domain in host.domains
    }


REVIEWS = ["outbound|9080||reviews.default.svc.cluster.local"]


def test_a_gateway_without_a_rule_answers_404(build: Callable[..., Parts]) -> None:
    parts = build(gateway(f"{{port: {PORT}, hosts: ['*']}}"))
    assert [(listener.name, listener.port, listener.bind_to_port) for listener in parts.listeners] == [("0.0.0.0_80", 80, True)]
    manager = parts.listeners[0].filter_chains[0].network_filter
    assert isinstance(manager, HttpConnectionManager)
    assert (manager.route_config_name, manager.use_remote_address) == ("http.80", True)
    assert hosts(parts) == {"*": []}


@pytest.mark.parametrize(
    ("server", "wanted", "found"),
    [
        ("['*']", "['*']", "*"),
        ("['*']", "[shop.example]", "shop.example"),
        ("[shop.example]", "['*']", "shop.example"),
        ("['*.example']", "[shop.example]", "shop.example"),
        ("[shop.example]", "['*.example']", "shop.example"),
        ("[default/shop.example]", "[shop.example]", "shop.example"),
        ("[./shop.example]", "[shop.example]", "shop.example"),
        ("[other/shop.example]", "[shop.example]", None),
        ("[shop.example]", "[shop.test]", None),
    ],
)
def test_a_rule_counts_for_hosts_that_both_let_in(build: Callable[..., Parts], server: str, wanted: str, found: str | None) -> None:
    parts = build(gateway(f"{{port: {PORT}, hosts: {server}}}") + rule(wanted))
    assert hosts(parts) == ({found: REVIEWS} if found else {"*": []})


@pytest.mark.parametrize(
    ("name", "namespace", "counts"),
    [
        ("[edge]", "default", True),
        ("[default/edge]", "default", True),
        ("[default/edge]", "other", True),
        ("[edge]", "other", False),
        ("[mesh]", "default", False),
    ],
)
def test_a_rule_names_its_gateway(build: Callable[..., Parts], name: str, namespace: str, counts: bool) -> None:
    text = gateway(f"{{port: {PORT}, hosts: ['*']}}") + rule(
        "[shop.example]", name, "reviews.default.svc.cluster.local", namespace=namespace
    )
    assert ("shop.example" in hosts(build(text))) == counts


def test_gateways_for_other_proxies_are_not_for_this_one(build: Callable[..., Parts]) -> None:
    assert build(gateway(f"{{port: {PORT}, hosts: ['*']}}", selector="{istio: other}")).listeners == ()


def test_two_rules_of_a_host_stand_one_after_the_other(build: Callable[..., Parts]) -> None:
    text = gateway(f"{{port: {PORT}, hosts: ['*']}}") + rule("[a.example]").replace("route:", "match: [{uri: {prefix: /r}}], route:")
    text += rule("[a.example]", name="two", to="ratings")
    assert hosts(build(text)) == {"a.example": [*REVIEWS, "outbound|9080||ratings.default.svc.cluster.local"]}


def test_plain_requests_are_sent_to_https(build: Callable[..., Parts]) -> None:
    parts = build(gateway(f"{{port: {PORT}, hosts: ['*'], tls: {{httpsRedirect: true}}}}") + rule("[a.example]"))
    [host] = parts.routes[0].virtual_hosts
    assert (host.domains, [route.policy(Redirect) for route in host.routes]) == (("a.example",), [Redirect(scheme="https")])


def test_what_is_encrypted_goes_by_its_server_name(build: Callable[..., Parts]) -> None:
    server = "{port: {number: 443, name: tls, protocol: TLS}, hosts: ['*.example'], tls: {mode: PASSTHROUGH}}"
    parts = build(gateway(server) + rule("[a.example]", kind="tls"))
    [listener] = parts.listeners
    [chain] = listener.filter_chains
    assert (listener.tls_inspector, chain.server_names) == (True, ("a.example",))
    assert isinstance(chain.network_filter, TcpProxy)
    assert chain.network_filter.cluster == "outbound|9080||reviews.default.svc.cluster.local"


def test_without_capture_it_listens_where_the_lab_says(build: Callable[..., Parts]) -> None:
    node = replace(EDGE, interception=Interception.NONE, bindings=Bindings(gateway_ports={80: 10080}))
    servers = f"{{port: {PORT}, hosts: ['*']}}, {{port: {{number: 81, name: more, protocol: HTTP}}, hosts: ['*']}}"
    assert [(listener.address, listener.port) for listener in build(gateway(servers), node).listeners] == [("10.0.0.7", 10080)]
