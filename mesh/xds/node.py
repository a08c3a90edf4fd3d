"""A proxy's introduction: ``Node`` to and from Envoy's core.v3.Node with Istio's metadata keys. Istio: pkg/model/proxy.go."""

import json
from collections.abc import Mapping
from typing import Any

from envoy.config.core.v3 import base_pb2

from mesh.model.node import Bindings, InboundPort, Interception, Node
from mesh.xds.parts import plain

ISTIO_VERSION = "1.30.0"  # the version whose behaviour this mesh follows


def node_metadata(node: Node) -> dict[str, Any]:
    """The metadata as JSON-able values: what goes on the wire, and what a real Envoy's bootstrap carries."""
    metadata: dict[str, Any] = {
        "ISTIO_VERSION": ISTIO_VERSION,
        "NAME": node.name,
        "NAMESPACE": node.namespace,
        "LABELS": dict(node.labels),
        "WORKLOAD_NAME": node.workload_name,
        "SERVICE_ACCOUNT": node.service_account,
        "INSTANCE_IPS": node.ip,
        "CLUSTER_ID": "Kubernetes",
        "MESH_ID": "cluster.local",
        "INTERCEPTION_MODE": node.interception.value,
        "POD_PORTS": json.dumps([{"name": p.name, "containerPort": p.app_port, "protocol": "TCP"} for p in node.bindings.inbound]),
        "SEATRIAL_BINDINGS": json.dumps(_bindings_to_json(node.bindings)),
        "SEATRIAL_DATAPLANE": node.dataplane,
        "SEATRIAL_REPORTS_HEALTH": "true" if node.reports_health else "false",
    }
    if node.generator:
        metadata["GENERATOR"] = node.generator
    return metadata


def _bindings_to_json(bindings: Bindings) -> dict[str, Any]:
    inbound = [
        {"name": p.name, "listen_port": p.listen_port, "app_port": p.app_port, "app_protocol": p.app_protocol} for p in bindings.inbound
    ]
    gateway = {str(port): local for port, local in bindings.gateway_ports.items()}
    egress = {str(service): local for service, local in bindings.egress_ports.items()}
    return {
        "inbound": inbound,
        "http_proxy_port": bindings.http_proxy_port,
        "egress_ports": egress,
        "tcp_ports": dict(bindings.tcp_ports),
        "gateway_ports": gateway,
    }


def bindings_from_json(data: Mapping[str, Any]) -> Bindings:
    """Raises ``KeyError``, ``TypeError`` or ``ValueError`` where the shape is wrong."""
    return Bindings(
        inbound=tuple(InboundPort(**port) for port in data.get("inbound", ())),
        http_proxy_port=data.get("http_proxy_port"),
        egress_ports={int(service): int(local) for service, local in (data.get("egress_ports") or {}).items()},
        gateway_ports={int(port): int(local) for port, local in (data.get("gateway_ports") or {}).items()},
        tcp_ports={str(service): int(local) for service, local in (data.get("tcp_ports") or {}).items()},
    )


def node_to_proto(node: Node) -> Any:
    message = base_pb2.Node(id=node.id, cluster=node.cluster, user_agent_name="seatrial")
    message.metadata.update(node_metadata(node))
    return message


def node_to_json(node: Node) -> dict[str, Any]:
    return {"id": node.id, "metadata": node_metadata(node)}


def node_from_json(data: Mapping[str, Any]) -> Node:
    """Raises ``KeyError`` or ``ValueError``."""
    message = base_pb2.Node(id=data["id"])
    message.metadata.update(dict(data["metadata"]))
    return node_from_proto(message)


def node_from_proto(message: Any) -> Node:
    """Reads Istio's id (``sidecar~ip~name.namespace~domain``) and metadata. An id of another form (a gRPC client's) names itself.

    Raises ``ValueError`` when SEATRIAL_BINDINGS cannot be read.
    """
    kind, ip, name, namespace = _identify(message.id)
    metadata = {key: plain(value) for key, value in message.metadata.fields.items()}
    try:
        bindings = bindings_from_json(json.loads(str(metadata.get("SEATRIAL_BINDINGS") or "{}")))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"node {message.id}: SEATRIAL_BINDINGS cannot be read: {error}") from None
    labels = metadata.get("LABELS")
    mode = metadata.get("INTERCEPTION_MODE")
    return Node(
        ip=str(metadata.get("INSTANCE_IPS") or ip).split(",")[0],
        name=str(metadata.get("NAME") or name),
        namespace=str(metadata.get("NAMESPACE") or namespace),
        kind=kind,
        labels={str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {},
        workload_name=str(metadata.get("WORKLOAD_NAME") or ""),
        service_account=str(metadata.get("SERVICE_ACCOUNT") or ""),
        interception=Interception.NONE if mode == "NONE" else Interception.REDIRECT,
        bindings=bindings,
        generator=str(metadata.get("GENERATOR") or ""),
        dataplane=str(metadata.get("SEATRIAL_DATAPLANE") or ""),
        reports_health=metadata.get("SEATRIAL_REPORTS_HEALTH") == "true",
        metadata=metadata,
    )


def _identify(node_id: str) -> tuple[str, str, str, str]:
    fields = node_id.split("~")
    if len(fields) != 4:
        return "sidecar", "", node_id, "default"
    kind, ip, full_name, _ = fields
    name, _, namespace = full_name.rpartition(".")
    return kind, ip, name or full_name, namespace or "default"
