from pathlib import Path

import pytest
import yaml

from lab.topology import TopologyError, bundled, load, parse

GOOD = """\
name: shop
ingress: web
services:
  web:
    ports: [{name: http, port: 8080}]
    command: [./web, --port, $PORT]
    environment: {COLOR: blue, SIZE: small}
    labels: {team: front}
    versions:
      v1: {}
      v2:
        replicas: 2
        environment: {COLOR: green}
        labels: {track: canary}
"""


def test_a_workload_is_a_version_of_a_service_once_per_replica():
    topology = parse("shop.yaml", GOOD)
    assert [workload.name for workload in topology.workloads("local")] == ["web-v1-0", "web-v2-0", "web-v2-1"]
    last = topology.workloads("local")[-1]
    assert last.program.command == ("./web", "--port", "$PORT")
    assert last.environment == {"COLOR": "green", "SIZE": "small"}
    assert last.labels == {
        "team": "front",
        "track": "canary",
        "app": "web",
        "version": "v2",
        "service.istio.io/canonical-name": "web",
        "service.istio.io/canonical-revision": "v2",
    }
    assert (last.service_account, last.namespace, last.readiness) == ("web", "default", "tcp")


def test_the_bundled_bookshop_has_six_workloads_and_a_database_only_in_docker():
    bookshop = load("bookshop")
    local = [workload.name for workload in bookshop.workloads("local")]
    assert local == ["productpage-v1-0", "details-v1-0", "reviews-v1-0", "reviews-v2-0", "reviews-v3-0", "ratings-v1-0"]
    assert {workload.name: workload.database for workload in bookshop.workloads("docker")}["ratings-v2-0"] == "postgres"
    assert bookshop.ingress == "productpage"


@pytest.mark.parametrize("name", bundled())
def test_bundled_topologies_load_and_their_modules_exist(name):
    for workload in load(name).workloads("docker"):
        module = Path(__file__).parents[2].joinpath(*workload.program.module.split("."))
        assert module.with_suffix(".py").exists() or (module / "__main__.py").exists(), module


def test_services_are_what_kubernetes_would_have():
    (service,) = yaml.safe_load_all(parse("shop.yaml", GOOD).services_yaml())
    assert service == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web", "service": "web"}},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 8080, "targetPort": 8080, "protocol": "TCP"}]},
    }


def test_a_file_is_loaded_by_its_path_and_remembers_its_folder(tmp_path):
    (tmp_path / "shop.yaml").write_text(GOOD)
    assert load(tmp_path / "shop.yaml").directory == tmp_path
    assert load(str(tmp_path / "shop.yaml")).name == "shop"


def test_a_topology_that_is_not_there_is_named_and_the_bundled_ones_are_listed():
    with pytest.raises(TopologyError, match=r"bookshp(.|\n)*bundled topologies:.* bookshop"):
        load("bookshp")


# What is changed in GOOD, and what the author reads.
BROKEN = {
    "unknown field": ("command:", "comand:", 'unknown field "comand" in services.web\n  --> shop.yaml:6:5', 'did you mean "command"?'),
    "unknown field of a port": (
        "port: 8080",
        "prot: 8080",
        'unknown field "prot" in services.web.ports[0]\n  --> shop.yaml:5:26',
        '"port"',
    ),
    "unknown field of a version": ("replicas:", "replica:", "shop.yaml:12:9", 'did you mean "replicas"?'),
    "unknown field at the top": ("ingress:", "ingres:", "shop.yaml:2:1", 'did you mean "ingress"?'),
    "missing field": ("    ports: [{name: http, port: 8080}]\n", "", 'services.web needs "ports"\n  --> shop.yaml:4:3', ""),
    "port 0": ("8080", "0", "shop.yaml:5:32", "greater than or equal to 1"),
    "port 70000": ("8080", "70000", "shop.yaml:5:32", "less than or equal to 65535"),
    "port as text": ("8080", '"8080"', "shop.yaml:5:32", "whole number"),
    "port in base 60": ("8080", "22:22", "services.web.ports[0].port", "whole number"),
    "port twice": (
        "[{name: http, port: 8080}]",
        "[{name: a, port: 80}, {name: b, port: 80}]",
        "port 80 appears twice\n  --> shop.yaml:5:50",
        "",
    ),
    "port name twice": (
        "[{name: http, port: 8080}]",
        "[{name: a, port: 80}, {name: a, port: 81}]",
        'port name "a" appears twice',
        "shop.yaml:5:41",
    ),
    "no ports": ("[{name: http, port: 8080}]", "[]", "shop.yaml:5:12", "at least 1"),
    "nothing to run": (
        "    command: [./web, --port, $PORT]\n",
        "",
        "services.web.versions.v1 has nothing to run",
        "needs module, command or image",
    ),
    "two to run": ("command:", "module: a\n    command:", "a module and also command", "shop.yaml:7:5"),
    "image in local": ("command: [./web, --port, $PORT]", "image: nginx", "an image cannot run in the local runtime", "runtimes: [docker]"),
    "unknown ingress": (
        "ingress: web",
        "ingress: wbe",
        'ingress "wbe" is none of the services\n  --> shop.yaml:2:10',
        'did you mean "web"?',
    ),
    "bad service name": ("  web:", "  We_b:", '"We_b" is no name\n  --> shop.yaml:4:3', "a-z"),
    "bad version name": ("v1:", "v1.2:", '"v1.2" is no name', "shop.yaml:10:7"),
    "bad topology name": ("name: shop", "name: -shop", '"-shop" is no name\n  --> shop.yaml:1:7', ""),
    "number as a version": ("v1:", "1:", "services.web.versions.1 must be text", "put it in quotes"),
    "unquoted environment": (
        "green",
        "yes",
        "services.web.versions.v2.environment.COLOR must be text\n  --> shop.yaml:13:30",
        "put it in quotes",
    ),
    "bad environment name": ("COLOR: green", '"A=B": green', '"A=B" is no name of an environment variable', ""),
    "bad label": ("track: canary", "track: a b", '"a b" is no value of a label', "shop.yaml:14:25"),
    "bad readiness": ("    labels: {team", "    readiness: health\n    labels: {team", "readiness is a path", "shop.yaml:8:16"),
    "key twice": (
        "    labels: {team",
        "    command: [x]\n    labels: {team",
        'key "command" appears twice\n  --> shop.yaml:8:5',
        "first in line 6",
    ),
    "too many replicas": ("replicas: 2", "replicas: 1000", "shop.yaml:12:19", "less than or equal to 100"),
    "unknown runtime": ("replicas: 2", "runtimes: [podman]", "shop.yaml:12:20", "'local' or 'docker'"),
    "wrong type": ("services:\n  web:", "services: web\nx:", "services must be a mapping\n  --> shop.yaml:3:11", ""),
    "broken yaml": ("$PORT]", "$PORT", "shop.yaml:7", "expected ',' or ']'"),
    "tab": ("    command", "\tcommand", "shop.yaml:6:1", "cannot start any token"),
    "unknown tag": ("replicas: 2", "replicas: !!python/none 2", "cannot read '2' as python/none", "shop.yaml:12:19"),
    "two documents": ("ingress: web", "ingress: web\n---\na: 1", "expected one YAML document, found 2", "shop.yaml:4:1"),
    "self-containing anchor": ("services:", "x: &x [*x]\nservices:", "an anchor that contains itself", ""),
    "forbidden character": ("name: shop", "name: sh\x00op", "not YAML", "shop.yaml"),
    "long name": ("  web:", f"  {'w' * 62}:", "is longer than 63 characters", ""),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_mistake_is_shown_where_it_is(case):
    before, after, *expected = BROKEN[case]
    assert before in GOOD
    with pytest.raises(TopologyError) as caught:
        parse("shop.yaml", GOOD.replace(before, after))
    for words in expected:
        assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "# nothing\n", "[]", "42"])
def test_a_file_without_a_mapping_is_no_topology(text):
    with pytest.raises(TopologyError):
        parse("shop.yaml", text)


def test_the_caret_stands_under_the_word():
    with pytest.raises(TopologyError) as caught:
        parse("shop.yaml", GOOD.replace("replicas: 2", "replicas: many"))
    assert str(caught.value) == (
        "error: services.web.versions.v2.replicas must be a whole number\n"
        "  --> shop.yaml:12:19\n"
        "   |\n"
        "12 |         replicas: many\n"
        "   |                   ^^^^"
    )


def test_all_mistakes_are_shown_at_once_in_the_order_of_the_file():
    with pytest.raises(TopologyError) as caught:
        parse("shop.yaml", GOOD.replace("8080", "0").replace("replicas: 2", "replica: 2"))
    assert [finding.mark.line for finding in caught.value.findings] == [5, 12]


def test_a_gateway_is_a_workload_without_a_program(tmp_path: Path) -> None:
    topology = load("bookshop")
    [gateway] = topology.gateway_workloads()
    assert (gateway.name, gateway.service, bool(gateway.program)) == ("ingressgateway-0", "ingressgateway", False)
    assert gateway.labels["istio"] == "ingressgateway"
    assert gateway.name not in [workload.name for workload in topology.workloads("local")]
    assert "name: ingressgateway" in topology.services_yaml()


@pytest.mark.parametrize(
    ("gateways", "message"),
    [
        ("{edge: {}}", 'gateways.edge needs "ports"'),
        ("{edge: {ports: []}}", "gateways.edge.ports"),
        ("{Edge: {ports: [{name: http, port: 80}]}}", '"Edge" is no name'),
        ("{web: {ports: [{name: http, port: 80}]}}", '"web" is a service already'),
        ("{edge: {ports: [{name: http, port: 80}], label: {}}}", 'unknown field "label" in gateways.edge'),
        ("{edge: {ports: [{name: http, port: 80}], labels: {a: 'b c'}}}", '"b c" is no value of a label'),
    ],
)
def test_a_gateway_that_cannot_be(gateways: str, message: str) -> None:
    service = "web: {ports: [{name: http, port: 80}], command: [a], versions: {v1: {}}}"
    text = f"name: x\ningress: web\nservices:\n  {service}\ngateways: {gateways}\n"
    with pytest.raises(TopologyError) as error:
        parse("x.yaml", text)
    assert message in str(error.value)
