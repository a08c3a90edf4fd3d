"""Access logs on the wire: files, and Istio's standard metrics.

A stock Envoy has no ``istio.stats`` filter; its ``envoy.access_loggers.stats`` gives the same counters and histograms with tags made by
access-log operators. Envoy: extensions.access_loggers.{file,stats}.v3. Istio: standard metrics.
"""

from collections.abc import Iterable
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import substitution_format_string_pb2 as formats
from envoy.extensions.access_loggers.file.v3 import file_pb2
from envoy.extensions.access_loggers.stats.v3 import stats_pb2

from mesh.model.listener import AccessLogFile, IstioMetrics
from mesh.xds import parts

FILE = "envoy.access_loggers.file"
STATS = "envoy.access_loggers.stats"
STAT_PREFIX = "seatrial"  # so an Envoy's names are envoy_seatrial_istio_…: the agent's merged metrics take it off

_COMMON = {
    "request_protocol": "http",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "destination_service": "%CLUSTER_METADATA(istio:service_host)%",
    "destination_service_name": "%CLUSTER_METADATA(istio:service_name)%",
    "destination_service_namespace": "%CLUSTER_METADATA(istio:service_namespace)%",
}
_PEER = ("workload", "workload_namespace", "principal", "app", "version", "cluster", "canonical_service", "canonical_revision")
_KEYS = {"workload": "workload_name"}  # an endpoint's ``workload`` is Istio's packed form of five facts
_TAGS = {
    "source": _COMMON
    | {"reporter": "source", "connection_security_policy": "unknown"}
    | {f"destination_{name}": f"%UPSTREAM_METADATA(istio:{_KEYS.get(name, name)})%" for name in _PEER if name != "principal"}
    | {"destination_principal": "unknown"},
    # Envoy cannot read the peer's metadata out of one header's JSON: the source stays unknown there.
    "destination": _COMMON
    | {"reporter": "destination", "connection_security_policy": "none"}
    | {f"source_{name}": "unknown" for name in _PEER},
}
_HISTOGRAMS = (
    ("istio_request_duration_milliseconds", stats_pb2.Config.Histogram.Milliseconds, "%DURATION%"),
    ("istio_request_bytes", stats_pb2.Config.Histogram.Bytes, "%BYTES_RECEIVED%"),
    ("istio_response_bytes", stats_pb2.Config.Histogram.Bytes, "%BYTES_SENT%"),
)


def encode_file(log: AccessLogFile) -> Any:
    message = file_pb2.FileAccessLog(path=log.path)
    if log.json_format:
        message.log_format.json_format.update(dict(log.json_format))
    elif log.text_format:
        message.log_format.CopyFrom(formats.SubstitutionFormatString())
        message.log_format.text_format_source.inline_string = log.text_format
    return accesslog_pb2.AccessLog(name=FILE, typed_config=parts.pack(message))


_TCP_COUNTERS = (
    ("istio_tcp_connections_opened_total", ""),  # told when they are closed: a stock Envoy's access log says so only then
    ("istio_tcp_connections_closed_total", ""),
    ("istio_tcp_sent_bytes_total", "%BYTES_SENT%"),
    ("istio_tcp_received_bytes_total", "%BYTES_RECEIVED%"),
)


def _wire_tags(metrics: IstioMetrics, others: dict[str, str]) -> list[Any]:
    tags = others | {name: value.replace("%", "%%") for name, value in metrics.labels}
    return [stats_pb2.Config.Tag(name=name, value_format=value) for name, value in sorted(tags.items())]


def encode_tcp_metrics(metrics: IstioMetrics) -> Any:
    others = {name: value for name, value in _TAGS[metrics.reporter].items() if name != "response_code"}
    wire_tags = _wire_tags(metrics, others | {"request_protocol": "tcp"})
    message = stats_pb2.Config(stat_prefix=STAT_PREFIX)
    for name, value in _TCP_COUNTERS:
        counter = message.counters.add(stat=stats_pb2.Config.Stat(name=name, tags=wire_tags))
        if value:
            counter.value_format = value
        else:
            counter.value_fixed.value = 1
    return accesslog_pb2.AccessLog(name=STATS, typed_config=parts.pack(message))


def encode_metrics(metrics: IstioMetrics) -> Any:
    wire_tags = _wire_tags(metrics, _TAGS[metrics.reporter])
    message = stats_pb2.Config(stat_prefix=STAT_PREFIX)
    counter = message.counters.add(stat=stats_pb2.Config.Stat(name="istio_requests_total", tags=wire_tags))
    counter.value_fixed.value = 1
    for name, unit, value in _HISTOGRAMS:
        message.histograms.add(stat=stats_pb2.Config.Stat(name=name, tags=wire_tags), unit=unit, value_format=value)
    return accesslog_pb2.AccessLog(name=STATS, typed_config=parts.pack(message))


def decode(messages: Iterable[Any]) -> tuple[tuple[AccessLogFile, ...], IstioMetrics | None]:
    files: list[AccessLogFile] = []
    metrics: IstioMetrics | None = None
    for message in messages:
        if message.name == FILE:
            files.append(_decode_file(parts.unpack(message.typed_config, file_pb2.FileAccessLog())))
        elif message.name == STATS:
            metrics = _decode_metrics(parts.unpack(message.typed_config, stats_pb2.Config()))
        else:
            raise ValueError(f"Didn't find a registered implementation for '{message.name}'")
    return tuple(files), metrics


def _decode_file(message: Any) -> AccessLogFile:
    pairs = sorted((key, str(parts.plain(value))) for key, value in message.log_format.json_format.fields.items())
    return AccessLogFile(message.path, message.log_format.text_format_source.inline_string, tuple(pairs))


def _decode_metrics(message: Any) -> IstioMetrics | None:
    if not message.counters:
        return None
    tags = {tag.name: tag.value_format for tag in message.counters[0].stat.tags}
    reporter = tags.get("reporter", "")
    if reporter not in _TAGS:
        raise ValueError(f"metrics of reporter {reporter!r}: neither source nor destination")
    own = sorted((name, value.replace("%%", "%")) for name, value in tags.items() if name not in _TAGS[reporter])
    return IstioMetrics(reporter, tuple(own))
