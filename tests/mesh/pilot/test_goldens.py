"""Istio's own goldens for interceptionMode NONE: the names we give are the names it gives.

The goldens are Go's dumps and no JSON, so what is compared is read out of them by pattern.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mesh.galley.config import config_of
from mesh.galley.load import load
from mesh.model.node import Bindings, InboundPort, Interception, Node
from mesh.pilot.snapshot import Parts
from mesh.pilot.translate import mesh as mesh_view
from mesh.pilot.translate import proxies

GOLDENS = Path(os.environ.get("SEATRIAL_CORPUS") or Path(__file__).parents[4] / "shared" / "corpus") / "xds-none-mode"
pytestmark = pytest.mark.skipif(not GOLDENS.is_dir(), reason=f"no goldens in {GOLDENS}; set SEATRIAL_CORPUS")

ENTRY = """apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: s1http, namespace: none}
spec:
  hosts: [s1http.none]
  location: MESH_INTERNAL
  ports: [{number: 2001, name: http-remote, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.11.0.1}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: s2dns, namespace: none}
spec:
  hosts: [s2dns.external.test.istio.io]
  ports: [{number: 2006, name: tcp, protocol: TCP}]
  resolution: DNS
"""


@pytest.fixture(scope="module")
def ours() -> Parts:
    """The proxy of the goldens: it calls s1http on 2001 by name or by the HTTP proxy on 15002, and serves 7071."""
    loaded, found = load("entry.yaml", ENTRY)
    assert not [one for one in found if one.is_error]
    bindings = Bindings((InboundPort("http", 7071, 17071),), 15002, {2001: 2001})
    node = Node("127.0.0.1", "a-0", "none", interception=Interception.NONE, bindings=bindings)
    mesh = mesh_view.view(config_of([one.resource for one in loaded]), ())
    return proxies.build(mesh, proxies.share(mesh), node)


@pytest.fixture(scope="module")
def golden() -> Callable[[str], str]:
    return lambda name: (GOLDENS / name).read_text(encoding="utf-8")


def test_listeners_are_named_by_address_and_port(ours: Parts, golden: Callable[[str], str]) -> None:
    theirs = set(re.findall(r'"name": "([\d.]+_\d+)"', golden("none_lds_http.json")))
    assert theirs == {"127.0.0.1_2001", "127.0.0.1_15002", "0.0.0.0_7071"}
    # Ours serves its inbound port on the workload's address: all workloads of a lab share one machine.
    assert {listener.name for listener in ours.listeners} == {"127.0.0.1_2001", "127.0.0.1_15002", "127.0.0.1_7071"}


def test_routes_virtual_hosts_and_domains_are_istios(ours: Parts, golden: Callable[[str], str]) -> None:
    text = golden("none_rds.json")
    by_name = {route.name: route for route in ours.routes}
    for name in ("2001", "http_proxy"):
        assert f'"name": "{name}"' in text
        (host,) = [host for host in by_name[name].virtual_hosts if "s1http" in host.name]
        assert f'"name": "{host.name}"' in text
        wanted = re.findall(r'"domains": \[\s*((?:"[^"]+",?\s*)+)\]', text.partition(f'"{name}": {{')[2])[0]
        domains = set(re.findall(r'"([^"]+)"', wanted))
        assert domains - set(host.domains) <= {"s1http.none:2001"}, "where the port is not part of a match, it is ignored in the Host"
        assert set(host.domains) <= domains
        assert f'"operation": "{host.routes[0].operation}"' in text
        assert f'"Cluster": "{host.routes[0].clusters[0].cluster}"' in text


def test_clusters_are_named_as_istio_names_them(ours: Parts, golden: Callable[[str], str]) -> None:
    theirs = set(re.findall(r'"name": "((?:outbound|inbound)\|[^"]+|BlackHoleCluster|PassthroughCluster)"', golden("none_cds.json")))
    names = {cluster.name for cluster in ours.clusters}
    assert "outbound|2006||s2dns.external.test.istio.io" in names & theirs
    assert "BlackHoleCluster" in names & theirs
    assert {name for name in names if name.startswith("inbound|")} == {"inbound|7071||"}
