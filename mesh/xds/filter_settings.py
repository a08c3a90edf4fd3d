"""Per-route settings of HTTP filters (``typed_per_filter_config``): fault and CORS.

Envoy: extensions.filters.http.fault.v3.HTTPFault, extensions.filters.http.cors.v3.CorsPolicy.
"""

from typing import Any

from envoy.extensions.filters.common.fault.v3 import fault_pb2 as common_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from google.protobuf import wrappers_pb2

from mesh.model.route import find_policy
from mesh.policy.cors import CorsPolicy
from mesh.policy.fault import Fault
from mesh.xds import parts

FAULT = "envoy.filters.http.fault"
CORS = "envoy.filters.http.cors"


def write(policies: tuple[object, ...], target: Any) -> None:
    """``target`` is the map by filter name."""
    fault = find_policy(policies, Fault)
    if fault is not None:
        target[FAULT].CopyFrom(parts.pack(_encode_fault(fault)))
    cors = find_policy(policies, CorsPolicy)
    if cors is not None:
        target[CORS].CopyFrom(parts.pack(_encode_cors(cors)))


def read(source: Any) -> tuple[object, ...]:
    """The policies, CORS last. Raises ``ValueError`` for a filter that this data plane has not."""
    unknown = sorted(set(source) - {FAULT, CORS})
    if unknown:
        raise ValueError(f"per-route settings for {unknown[0]!r}: no such filter here")
    policies: list[object] = []
    if FAULT in source:
        policies.append(_decode_fault(parts.unpack(source[FAULT], fault_pb2.HTTPFault())))
    if CORS in source:
        policies.append(_decode_cors(parts.unpack(source[CORS], cors_pb2.CorsPolicy())))
    return tuple(policies)


def _encode_fault(fault: Fault) -> Any:
    message = fault_pb2.HTTPFault()
    if fault.delay_percent or fault.delay_seconds:
        message.delay.CopyFrom(
            common_pb2.FaultDelay(fixed_delay=parts.duration(fault.delay_seconds), percentage=parts.percent(fault.delay_percent))
        )
    if fault.abort_percent or fault.abort_status:
        message.abort.CopyFrom(fault_pb2.FaultAbort(http_status=fault.abort_status, percentage=parts.percent(fault.abort_percent)))
    return message


def _decode_fault(message: Any) -> Fault:
    if message.HasField("abort") and message.abort.WhichOneof("error_type") != "http_status":
        raise ValueError(f"fault abort by {message.abort.WhichOneof('error_type')} is not supported")
    return Fault(
        delay_seconds=parts.seconds(message.delay.fixed_delay),
        delay_percent=parts.percent_value(message.delay.percentage),
        abort_status=message.abort.http_status,
        abort_percent=parts.percent_value(message.abort.percentage),
    )


def _encode_cors(policy: CorsPolicy) -> Any:
    message = cors_pb2.CorsPolicy(
        allow_origin_string_match=[parts.string_matcher(origin) for origin in policy.allow_origins],
        allow_methods=policy.allow_methods,
        allow_headers=policy.allow_headers,
        expose_headers=policy.expose_headers,
        max_age=policy.max_age,
        forward_not_matching_preflights=wrappers_pb2.BoolValue(value=policy.forward_not_matching_preflights),
    )
    if policy.allow_credentials is not None:
        message.allow_credentials.value = policy.allow_credentials
    return message


def _decode_cors(message: Any) -> CorsPolicy:
    forward = message.forward_not_matching_preflights
    return CorsPolicy(
        allow_origins=tuple(parts.string_match(origin) for origin in message.allow_origin_string_match),
        allow_methods=message.allow_methods,
        allow_headers=message.allow_headers,
        expose_headers=message.expose_headers,
        max_age=message.max_age,
        allow_credentials=message.allow_credentials.value if message.HasField("allow_credentials") else None,
        forward_not_matching_preflights=forward.value if message.HasField("forward_not_matching_preflights") else True,
    )
