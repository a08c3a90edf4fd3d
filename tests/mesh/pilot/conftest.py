"""A small mesh to translate: the bookshop's services and some of its workloads."""

from collections.abc import Callable

import pytest

from mesh.galley.config import Config, config_of
from mesh.galley.load import load
from mesh.model.node import Bindings, InboundPort, Interception, Node
from mesh.pilot.registry import Workload
from mesh.pilot.translate import mesh as mesh_view
from mesh.pilot.translate.mesh import Mesh

SERVICES = "\n---\n".join(
    f"""apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: http, port: 9080}}]"""
    for name in ("productpage", "details", "reviews", "ratings")
)


def node(name: str, version: str, ip: str, *, captured: bool = True) -> Node:
    inbound = InboundPort("http", 9080, 9080 if captured else 19080)
    return Node(
        ip=ip,
        name=f"{name}-{version}-0",
        labels={"app": name, "version": version},
        workload_name=f"{name}-{version}",
        interception=Interception.REDIRECT if captured else Interception.NONE,
        bindings=Bindings((inbound,)) if captured else Bindings((inbound,), 15002, {9080: 29080}),
        dataplane="python",
        reports_health=True,
    )


def config(text: str, version: int = 1) -> Config:
    loaded, found = load("test.yaml", f"{SERVICES}\n---\n{text}")
    assert not [diagnostic for diagnostic in found if diagnostic.is_error], found
    return config_of([one.resource for one in loaded], version)


@pytest.fixture
def make_config() -> Callable[..., Config]:
    return config


@pytest.fixture
def make_node() -> Callable[..., Node]:
    return node


@pytest.fixture
def make_mesh() -> Callable[..., Mesh]:
    """``make_mesh(yaml)``: reviews v1, v2 and v3 at 10.0.0.1 to .3, v3 not healthy; ratings v1 at 10.0.0.4."""

    def make(text: str = "", *, captured: bool = True) -> Mesh:
        workloads = [Workload(node("reviews", f"v{i}", f"10.0.0.{i}", captured=captured), i < 3) for i in (1, 2, 3)]
        workloads.append(Workload(node("ratings", "v1", "10.0.0.4", captured=captured), True))
        return mesh_view.view(config(text), tuple(workloads))

    return make
