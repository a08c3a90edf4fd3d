"""HTTP connection managers on the wire. Envoy: extensions.filters.network.http_connection_manager.v3.HttpConnectionManager."""

from typing import Any

from envoy.config.core.v3 import protocol_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from google.protobuf import wrappers_pb2

from mesh.model.listener import Codec, HttpConnectionManager
from mesh.xds import access_logs, parts, routes

_MANAGER = hcm_pb2.HttpConnectionManager
_FILTERS = {
    "envoy.filters.http.fault": fault_pb2.HTTPFault,
    "envoy.filters.http.cors": cors_pb2.Cors,
    "envoy.filters.http.router": router_pb2.Router,
}
_ROUTER = "envoy.filters.http.router"


def encode(manager: HttpConnectionManager) -> Any:
    message = _MANAGER(
        stat_prefix=manager.stat_prefix,
        codec_type=_MANAGER.CodecType.Value(manager.codec.value),
        http_filters=[hcm_pb2.HttpFilter(name=name, typed_config=parts.pack(_FILTERS[name]())) for name in manager.filters],
        access_log=[access_logs.encode_file(log) for log in manager.access_logs],
        upgrade_configs=[_MANAGER.UpgradeConfig(upgrade_type=kind) for kind in manager.upgrades],
        use_remote_address=wrappers_pb2.BoolValue(value=manager.use_remote_address),
        generate_request_id=wrappers_pb2.BoolValue(value=manager.generate_request_id),
        normalize_path=wrappers_pb2.BoolValue(value=manager.normalize_path),
        server_name=manager.server_name,
        server_header_transformation=_MANAGER.PASS_THROUGH if manager.pass_through_server_header else _MANAGER.OVERWRITE,
        stream_idle_timeout=parts.duration(manager.stream_idle_timeout_seconds),
        request_timeout=parts.duration(manager.request_timeout_seconds),
        request_headers_timeout=parts.duration(manager.request_headers_timeout_seconds),
        max_request_headers_kb=wrappers_pb2.UInt32Value(value=manager.max_request_headers_kb),
        common_http_protocol_options=protocol_pb2.HttpProtocolOptions(
            max_headers_count=wrappers_pb2.UInt32Value(value=manager.max_request_header_count)
        ),
    )
    if manager.http2_max_concurrent_streams is not None:
        message.http2_protocol_options.max_concurrent_streams.value = manager.http2_max_concurrent_streams
    if manager.metrics is not None:
        message.access_log.append(access_logs.encode_metrics(manager.metrics))
    if manager.route_config is not None:
        message.route_config.CopyFrom(routes.encode(manager.route_config))
    else:
        message.rds.CopyFrom(hcm_pb2.Rds(config_source=parts.over_ads(), route_config_name=manager.route_config_name))
    return message


def decode(packed: Any) -> HttpConnectionManager:
    message = parts.unpack(packed, _MANAGER())
    has = message.HasField
    files, metrics = access_logs.decode(message.access_log)
    limits = message.common_http_protocol_options
    codec = _MANAGER.CodecType.Name(message.codec_type)
    if codec not in Codec.__members__:
        raise ValueError(f"codec type {codec} is not supported")
    streams = message.http2_protocol_options.max_concurrent_streams
    return HttpConnectionManager(
        stat_prefix=message.stat_prefix,
        route_config_name=message.rds.route_config_name,
        route_config=routes.decode(message.route_config) if has("route_config") else None,
        filters=_decode_filters(message),
        access_logs=files,
        metrics=metrics,
        upgrades=_decode_upgrades(message),
        use_remote_address=message.use_remote_address.value,
        generate_request_id=message.generate_request_id.value if has("generate_request_id") else True,
        normalize_path=message.normalize_path.value,
        server_name=message.server_name or "envoy",
        pass_through_server_header=message.server_header_transformation == _MANAGER.PASS_THROUGH,
        stream_idle_timeout_seconds=parts.seconds(message.stream_idle_timeout) if has("stream_idle_timeout") else 300.0,
        request_timeout_seconds=parts.seconds(message.request_timeout),
        request_headers_timeout_seconds=parts.seconds(message.request_headers_timeout),
        max_request_headers_kb=message.max_request_headers_kb.value or 60,
        max_request_header_count=limits.max_headers_count.value or 100,
        codec=Codec[codec],
        http2_max_concurrent_streams=streams.value if message.http2_protocol_options.HasField("max_concurrent_streams") else None,
    )


def _decode_upgrades(message: Any) -> tuple[str, ...]:
    names = tuple(upgrade.upgrade_type for upgrade in message.upgrade_configs)
    if len({name.lower() for name in names}) < len(names):
        raise ValueError("Error: multiple upgrade configs with the same name")
    return names


def _decode_filters(message: Any) -> tuple[str, ...]:
    names = tuple(http_filter.name for http_filter in message.http_filters)
    for name in names:
        if name not in _FILTERS:
            raise ValueError(f"Didn't find a registered implementation for '{name}'")
    if _ROUTER in names[:-1]:
        raise ValueError(f"Error: terminal filter named {_ROUTER} of type {_ROUTER} must be the last filter in a http filter chain.")
    if not names or names[-1] != _ROUTER:
        raise ValueError("non-terminal filter is the last of the http filter chain: the router belongs there")
    return names
