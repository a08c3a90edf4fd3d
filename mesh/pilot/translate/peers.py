"""What proxies tell each other of themselves: headers on requests, metadata on endpoints, fixed labels in metrics.

Istio sends the same by the peer-metadata exchange of its own HTTP filter, which a stock Envoy has not; a header serves both here.
"""

import base64
import json

from mesh.model.listener import IstioMetrics
from mesh.model.node import Node
from mesh.policy.headers import HeaderOperations

PEER_ID = "x-envoy-peer-metadata-id"
PEER = "x-envoy-peer-metadata"
CLUSTER_ID = "Kubernetes"


def about(node: Node) -> dict[str, str]:
    """Istio's canonical service is the label ``service.istio.io/canonical-name``, else ``app``, else the workload's name."""
    labels = node.labels
    workload = node.workload_name or node.name
    app = labels.get("app", "")
    version = labels.get("version", "")
    return {
        "workload": workload,
        "workload_namespace": node.namespace,
        "app": app or "unknown",
        "version": version or "unknown",
        "canonical_service": labels.get("service.istio.io/canonical-name") or app or workload,
        "canonical_revision": labels.get("service.istio.io/canonical-revision") or version or "latest",
        "cluster": CLUSTER_ID,
    }


def introduce(node: Node) -> HeaderOperations:
    """On every outbound request."""
    facts = about(node)
    facts = {"name": node.name, "namespace": facts.pop("workload_namespace"), **facts}
    encoded = base64.b64encode(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).decode()
    return HeaderOperations(request_set=((PEER_ID, node.id), (PEER, encoded)))


FORGET = HeaderOperations(request_remove=(PEER_ID, PEER))
"""On every inbound request, once it is counted: the app never sees it."""


def endpoint_metadata(node: Node) -> dict[str, str]:
    """``workload`` packs them as Istio does; the single keys are there for Envoy's access-log operators."""
    facts = about(node)
    packed = ";".join((facts["workload"], node.namespace, facts["canonical_service"], facts["canonical_revision"], CLUSTER_ID))
    return {**facts, "workload": packed, "workload_name": facts["workload"], "name": node.name}


def metrics(node: Node, reporter: str) -> IstioMetrics:
    side = "source" if reporter == "source" else "destination"
    labels = {f"{side}_{key}": value for key, value in about(node).items()} | {f"{side}_principal": "unknown"}
    return IstioMetrics(reporter, tuple(sorted(labels.items())))
