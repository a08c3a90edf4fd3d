"""Counters and histograms as Prometheus wants to read them. Envoy: /stats/prometheus; Istio's metrics have no ``envoy_`` before them."""

from collections.abc import Iterable, Iterator, Mapping

from mesh.sidecar.filters.metrics import BUCKETS, Histogram, Series
from mesh.sidecar.filters.tcp_metrics import TcpSeries
from mesh.sidecar.metric_labels import Labels

GAUGES = ("_active",)
_LABEL_OF = {"cluster": "envoy_cluster_name", "http": "envoy_http_conn_manager_prefix", "tcp": "envoy_tcp_prefix"}
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def istio(series: Iterable[Series]) -> Iterator[str]:
    """Nothing of a metric that has not counted yet."""
    rows = [(_text(one.labels), one) for one in series]
    if not rows:
        return
    yield "# TYPE istio_requests_total counter\n"
    for labels, one in rows:
        yield f"istio_requests_total{{{labels}}} {one.requests}\n"
    for name in ("istio_request_duration_milliseconds", "istio_request_bytes", "istio_response_bytes"):
        yield f"# TYPE {name} histogram\n"
        for labels, one in rows:
            yield from _histogram(name, labels, _of(one, name))


def istio_tcp(series: Iterable[TcpSeries]) -> Iterator[str]:
    rows = [(_text(one.labels), one) for one in series]
    counters = {
        "connections_opened": "opened",
        "connections_closed": "closed",
        "sent_bytes": "sent_bytes",
        "received_bytes": "received_bytes",
    }
    for name, attribute in counters.items() if rows else ():
        yield f"# TYPE istio_tcp_{name}_total counter\n"
        for labels, one in rows:
            yield f"istio_tcp_{name}_total{{{labels}}} {getattr(one, attribute)}\n"


def _of(series: Series, name: str) -> Histogram:
    if name == "istio_request_bytes":
        return series.request_bytes
    return series.response_bytes if name == "istio_response_bytes" else series.durations


def _histogram(name: str, labels: str, histogram: Histogram) -> Iterator[str]:
    count = 0
    counts, total = histogram.read()
    for bound, found in zip((*BUCKETS, float("inf")), counts, strict=True):
        count += found
        shown = "+Inf" if bound == float("inf") else f"{bound:g}" if bound < 1e6 else f"{bound:.0f}"
        yield f'{name}_bucket{{{labels},le="{shown}"}} {count}\n'
    yield f"{name}_sum{{{labels}}} {total}\n{name}_count{{{labels}}} {count}\n"


def envoy(stats: Mapping[str, int]) -> Iterator[str]:
    """``cluster.<name>.upstream_rq_total`` → ``envoy_cluster_upstream_rq_total{envoy_cluster_name="<name>"}``."""
    families: dict[str, list[str]] = {}
    for path, value in stats.items():
        group, _, rest = path.partition(".")
        name, _, stat = rest.rpartition(".")
        family = f"envoy_{group}_{stat}"
        labels = _text(((_LABEL_OF[group], name),)) if group in _LABEL_OF else ""
        families.setdefault(family, []).append(f"{family}{{{labels}}} {value}\n")
    for family, lines in families.items():
        yield f"# TYPE {family} {'gauge' if family.endswith(GAUGES) else 'counter'}\n"
        yield from lines


def _text(labels: Labels) -> str:
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels)
