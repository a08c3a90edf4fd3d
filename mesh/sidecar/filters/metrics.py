"""Istio's standard metrics, counted for every stream that has ended. Istio: istio.stats (proxy/extensions/stats), docs "Standard metrics".

Who sends what as peer metadata is up to the peer, so the number of series is bounded.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from mesh.model.cluster import Cluster
from mesh.model.endpoint import Endpoint
from mesh.model.listener import IstioMetrics
from mesh.sidecar import grpc_status
from mesh.sidecar.filter import Observer, Request, Response, StreamInfo
from mesh.sidecar.metric_labels import MAX_SERIES, Labels, labels

BUCKETS: Final = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1e3, 2.5e3, 5e3, 1e4, 3e4, 6e4, 3e5, 6e5, 1.8e6, 3.6e6)  # Envoy's
MAX_REMEMBERED: Final = 4096
MAX_SEEN: Final = 512


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
            grpc = "" if response is None else grpc_status.said(response)
            host = stream.upstream_host
            key = (stream.status, stream.flags, stream.upstream_cluster, host, stream.peer_header, grpc)
            entry = known.get(key)
            if entry is None or entry[0] is not stream.endpoint or entry[1] is not stream.cluster:
                if len(known) >= MAX_REMEMBERED:
                    known.clear()
                series = self._series(labels(config, stream, grpc, "grpc" if _is_grpc(request) else "http"))
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
