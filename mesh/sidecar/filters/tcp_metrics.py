"""Istio's metrics of TCP connections. Istio: istio.stats, docs "Standard metrics": istio_tcp_*.

A connection is counted as opened when its upstream is there; its bytes when it is closed.
"""

from mesh.model.listener import IstioMetrics
from mesh.sidecar.filter import Observer, Request, Response
from mesh.sidecar.metric_labels import MAX_SERIES, Labels, labels


class TcpSeries:
    """One combination of labels. ``sent``: to the client; ``received``: from it."""

    __slots__ = ("closed", "labels", "opened", "received_bytes", "sent_bytes")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.opened = self.closed = self.sent_bytes = self.received_bytes = 0


class TcpMetrics:
    """All series of a proxy."""

    def __init__(self) -> None:
        self.series: dict[Labels, TcpSeries] = {}

    def opened(self, config: IstioMetrics) -> Observer:
        def observe(request: Request, response: Response | None) -> None:
            self._of(config, request).opened += 1

        return observe

    def closed(self, config: IstioMetrics) -> Observer:
        def observe(request: Request, response: Response | None) -> None:
            series, stream = self._of(config, request), request.stream
            series.closed += 1
            series.sent_bytes += stream.bytes_sent
            series.received_bytes += stream.bytes_received

        return observe

    def _of(self, config: IstioMetrics, request: Request) -> TcpSeries:
        found = dict(labels(config, request.stream, "", "tcp"))
        for name in ("response_code", "grpc_response_status"):
            del found[name]
        key = tuple(found.items())
        series = self.series.get(key)
        if series is None:
            if len(self.series) >= MAX_SERIES:
                key = tuple((name, "unknown" if name.startswith(("source_", "destination_")) else value) for name, value in key)
            series = self.series.setdefault(key, TcpSeries(key))
        return series
