"""The labels of Istio's standard metrics, for HTTP and TCP alike. Istio: istio.stats, docs "Standard metrics".

The other side's labels come from its sidecar's own words (``x-envoy-peer-metadata``, inbound) or from the metadata of the endpoint that
was chosen (outbound).
"""

import base64
import json
from collections.abc import Mapping
from typing import Final

from mesh.model.endpoint import Endpoint
from mesh.model.listener import IstioMetrics
from mesh.sidecar.filter import StreamInfo, flag_text

MAX_SERIES: Final = 8192

PEER: Final = ("workload", "workload_namespace", "principal", "app", "version", "cluster", "canonical_service", "canonical_revision")
_PEER_KEYS: Final = {"workload": ("workload", "name"), "workload_namespace": ("workload_namespace", "namespace")}

Labels = tuple[tuple[str, str], ...]


def labels(config: IstioMetrics, stream: StreamInfo, grpc_status: str, protocol: str) -> Labels:
    inbound = config.reporter == "destination"
    own, other = ("destination", "source") if inbound else ("source", "destination")
    values = {"reporter": config.reporter}
    values |= {f"{side}_{name}": "unknown" for side in ("source", "destination") for name in PEER}
    values |= _service(stream)
    peer = _from_header(stream.peer_header) if inbound else _from_endpoint(stream.endpoint)
    values |= {f"{other}_{name}": value for name, value in peer.items()}
    values |= {name: value for name, value in config.labels if name.startswith(own) or name not in values}
    values["request_protocol"] = protocol
    values["response_code"] = str(stream.status)
    values["grpc_response_status"] = grpc_status
    values["response_flags"] = flag_text(stream.flags)
    values["connection_security_policy"] = "none" if inbound else "unknown"
    return tuple(values.items())


def _service(stream: StreamInfo) -> dict[str, str]:
    cluster = stream.cluster
    service = cluster.services[0] if cluster is not None and cluster.services else None
    if service is None:
        name = stream.upstream_cluster
        shown = name if name in ("PassthroughCluster", "BlackHoleCluster", "InboundPassthroughCluster") else "unknown"
        return {"destination_service": "unknown", "destination_service_name": shown, "destination_service_namespace": "unknown"}
    return {
        "destination_service": service.host,
        "destination_service_name": service.name,
        "destination_service_namespace": service.namespace,
    }


def _pick(values: Mapping[str, object]) -> dict[str, str]:
    picked = {}
    for name in PEER:
        for key in _PEER_KEYS.get(name, (name,)):
            value = values.get(key)
            if isinstance(value, str) and value and "\n" not in value:
                picked[name] = value
                break
    return picked


def _from_header(header: str) -> dict[str, str]:
    """What the peer's sidecar says of itself: JSON in base64. Whatever else it may be counts as unknown."""
    if not header:
        return {}
    try:
        values = json.loads(base64.b64decode(header, validate=True))
    except ValueError:
        return {}
    return _pick(values) if isinstance(values, dict) else {}


def _from_endpoint(endpoint: Endpoint | None) -> dict[str, str]:
    """``workload`` is Istio's ``name;namespace;canonical service;canonical revision;cluster``; single keys say more and win."""
    if endpoint is None:
        return {}
    metadata: dict[str, object] = dict(endpoint.metadata)
    words = str(metadata.get("workload", "")).split(";")
    if len(words) == 5:
        names = ("workload", "workload_namespace", "canonical_service", "canonical_revision", "cluster")
        metadata = dict(zip(names, words, strict=True)) | {key: value for key, value in metadata.items() if key != "workload"}
    return _pick(metadata)
