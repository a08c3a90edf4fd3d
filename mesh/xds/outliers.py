"""Outlier detection on the wire. Envoy: config.cluster.v3.OutlierDetection.

Envoy also ejects by success rate, by default; nobody means that with a handful of endpoints, so like Istio we switch it off.
"""

from typing import Any

from mesh.model.cluster import OutlierDetection
from mesh.xds import parts
from mesh.xds.types import Rejected

_COUNTS = {
    "consecutive_5xx": "consecutive_5xx",
    "enforcing_consecutive_5xx": "enforcing_consecutive_5xx",
    "consecutive_gateway_failure": "consecutive_gateway_failure",
    "enforcing_consecutive_gateway_failure": "enforcing_consecutive_gateway_failure",
    "consecutive_local_origin_failure": "consecutive_local_origin_failure",
    "enforcing_consecutive_local_origin_failure": "enforcing_consecutive_local_origin_failure",
    "max_ejection_percent": "max_ejection_percent",
}
_DURATIONS = {"interval_seconds": "interval", "base_ejection_seconds": "base_ejection_time", "max_ejection_seconds": "max_ejection_time"}
_SWITCHED_OFF = ("enforcing_success_rate", "enforcing_local_origin_success_rate")


def encode(outlier: OutlierDetection | None, message: Any) -> None:
    """Into a cluster's message."""
    if outlier is None:
        return
    wire = message.outlier_detection
    for ours, theirs in _COUNTS.items():
        getattr(wire, theirs).value = getattr(outlier, ours)
    for ours, theirs in _DURATIONS.items():
        getattr(wire, theirs).CopyFrom(parts.duration(getattr(outlier, ours)))
    wire.split_external_local_origin_errors = outlier.split_external_local_origin_errors
    for name in _SWITCHED_OFF:
        getattr(wire, name).value = 0


def decode(message: Any) -> OutlierDetection | None:
    if not message.HasField("outlier_detection"):
        return None
    wire = message.outlier_detection
    for name in _SWITCHED_OFF[: 2 if wire.split_external_local_origin_errors else 1]:
        if not wire.HasField(name) or getattr(wire, name).value:
            raise Rejected(message.name, f"outlier_detection.{name}: ejection by success rate is not supported yet, set it to 0")
    given: dict[str, Any] = {ours: getattr(wire, theirs).value for ours, theirs in _COUNTS.items() if wire.HasField(theirs)}
    given |= {ours: parts.seconds(getattr(wire, theirs)) for ours, theirs in _DURATIONS.items() if wire.HasField(theirs)}
    return OutlierDetection(split_external_local_origin_errors=wire.split_external_local_origin_errors, **given)
