"""Istio's standard metrics, counted for every stream that has ended. Istio: istio.stats (proxy/extensions/stats), docs "Standard metrics".

The other side's labels come from its sidecar's own words (``x-envoy-peer-metadata``, inbound) or from the metadata of the endpoint that
was chosen (outbound). Who sends what as peer metadata is up to the peer, so the number of series is bounded.
"""

import base64
import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Final

from mesh.model.cluster import Cluster
from mesh.model.endpoint import Endpoint
from mesh.model.listener import IstioMetrics
from mesh.sidecar.filter import Observer, Request, Response, StreamInfo, flag_text

BUCKETS: Final = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1e3, 2.5e3, 5e3, 1e4, 3e4, 6e4, 3e5, 6e5, 1.8e6, 3.6e6)  # Envoy's
MAX_SERIES: Final = 8192
MAX_REMEMBERED: Final = 4096
MAX_SEEN: Final = 512

PEER: Final = ("workload", "workload_namespace", "principal", "app", "version", "cluster", "canonical_service", "canonical_revision")
_PEER_KEYS: Final = {"workload": ("workload", "name"), "workload_namespace": ("workload_namespace", "namespace")}

Labels = tuple[tuple[str, str], ...]


class Histogram:
    """``seen`` counts single values; they are sorted into ``counts`` when somebody asks, or when they have become many."""

    __slots__ = ("_counts", "_total", "seen")

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}
        self._counts = [0] * (len(BUCKETS) + 1)
        self._total = 0

    def record(self, value: int) -> None:
        seen = self.seen
        if value in seen:
            seen[value] += 1
            return
        if len(seen) >= MAX_SEEN:
            self._sort()
        seen[value] = 1

    def _sort(self) -> None:
        for value, count in self.seen.items():
            self._counts[bisect_left(BUCKETS, value)] += count
            self._total += value * count
        self.seen.clear()

    def read(self) -> tuple[Sequence[int], int]:
        """Counts by bucket, one more than there are bounds, and the sum of all values."""
        self._sort()
        return self._counts, self._total


class Series:
    """One combination of labels and what was counted under it."""

    __slots__ = ("durations", "labels", "request_bytes", "requests", "response_bytes")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.requests = 0
        self.durations, self.request_bytes, self.response_bytes = Histogram(), Histogram(), Histogram()

    def record(self, stream: StreamInfo) -> None:
        self.requests += 1
        self.durations.record(int((stream.end_seconds - stream.start_seconds) * 1000))
        self.request_bytes.record(stream.bytes_received)
        self.response_bytes.record(stream.bytes_sent)


_Key = tuple[int, int, str, str, str, str]
_Known = tuple[Endpoint | None, Cluster | None, Series]


class Metrics:
    """All series of a proxy."""

    def __init__(self) -> None:
        self.series: dict[Labels, Series] = {}

    def observer(self, config: IstioMetrics) -> Observer:
        known: dict[_Key, _Known] = {}

        def observe(request: Request, response: Response | None) -> None:
            stream = request.stream
            grpc = ""
            if response is not None and "grpc-status" in response.headers.fields:
                grpc = response.headers.fields["grpc-status"][0]
            host = stream.upstream_host
            key = (stream.status, stream.flags, stream.upstream_cluster, host, stream.peer_header, grpc)
            entry = known.get(key)
            if entry is None or entry[0] is not stream.endpoint or entry[1] is not stream.cluster:
                if len(known) >= MAX_REMEMBERED:
                    known.clear()
                series = self._series(_labels(config, stream, grpc, _is_grpc(request)))
                entry = known[key] = (stream.endpoint, stream.cluster, series)
            entry[2].record(stream)

        return observe

    def _series(self, labels: Labels) -> Series:
        found = self.series.get(labels)
        if found is None:
            if len(self.series) >= MAX_SERIES:  # somebody makes up peers: they share one
                labels = tuple((name, "unknown" if name.startswith(("source_", "destination_")) else value) for name, value in labels)
            found = self.series.setdefault(labels, Series(labels))
        return found


def _is_grpc(request: Request) -> bool:
    return (request.headers.get("content-type") or "").startswith("application/grpc")


def _labels(config: IstioMetrics, stream: StreamInfo, grpc_status: str, is_grpc: bool) -> Labels:
    inbound = config.reporter == "destination"
    own, other = ("destination", "source") if inbound else ("source", "destination")
    values = {"reporter": config.reporter}
    values |= {f"{side}_{name}": "unknown" for side in ("source", "destination") for name in PEER}
    values |= _service(stream)
    peer = _from_header(stream.peer_header) if inbound else _from_endpoint(stream.endpoint)
    values |= {f"{other}_{name}": value for name, value in peer.items()}
    values |= {name: value for name, value in config.labels if name.startswith(own) or name not in values}
    values["request_protocol"] = "grpc" if is_grpc else "http"
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
