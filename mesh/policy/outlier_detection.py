"""Outlier detection: an endpoint that fails again and again is left alone for a while. Envoy: OutlierDetection. Istio: outlierDetection.

Envoy: source/common/upstream/outlier_detection_impl.cc. What counts is what requests saw, not a probe: a 5xx, and what never came to an
answer, which counts as 503 (504 if it was too late) unless the two are told apart (``split_external_local_origin_errors``).
Lesson: scenarios/outlier_detection.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from mesh.model.cluster import OutlierDetection
from mesh.model.world import Dice

_GATEWAY_ERRORS = (502, 503, 504)

GRPC_TO_HTTP: Final[Mapping[str, int]] = {
    "0": 200,
    "1": 499,
    "3": 400,
    "4": 504,
    "5": 404,
    "6": 409,
    "7": 403,
    "8": 429,
    "9": 400,
    "10": 409,
    "11": 400,
    "12": 501,
    "14": 503,
    "16": 401,
}
"""What is not here is 500. Envoy: Grpc::Utility::grpcToHttpStatus."""


class Cause(Enum):
    """By the names of Envoy's counters, ``ejections_enforced_<name>``."""

    CONSECUTIVE_5XX = "consecutive_5xx"
    CONSECUTIVE_GATEWAY_FAILURE = "consecutive_gateway_failure"
    CONSECUTIVE_LOCAL_ORIGIN_FAILURE = "consecutive_local_origin_failure"


@dataclass(slots=True)
class Record:
    """What is remembered of an endpoint. ``times`` makes ejections longer and is forgotten step by step."""

    consecutive_5xx: int = 0
    gateway_failures: int = 0
    local_failures: int = 0
    times: int = 0
    ejected_at_seconds: float | None = None

    def forget(self) -> None:
        self.consecutive_5xx = self.gateway_failures = self.local_failures = 0


def answered(record: Record, settings: OutlierDetection, status: int) -> list[Cause]:
    """An answer, or what counts as one. Each cause is reported once, when its limit is reached."""
    if status < 500:
        record.consecutive_5xx = record.gateway_failures = 0
        return []
    causes = []
    if status in _GATEWAY_ERRORS:
        record.gateway_failures += 1
        if record.gateway_failures == settings.consecutive_gateway_failure:
            causes.append(Cause.CONSECUTIVE_GATEWAY_FAILURE)
    else:
        record.gateway_failures = 0
    record.consecutive_5xx += 1
    if record.consecutive_5xx == settings.consecutive_5xx:
        causes.append(Cause.CONSECUTIVE_5XX)
    return causes


def unanswered(record: Record, settings: OutlierDetection, status: int) -> list[Cause]:
    """No connection, a broken one, or no answer in time; ``status`` is what the client would be told."""
    if not settings.split_external_local_origin_errors:
        return answered(record, settings, status)
    record.local_failures += 1
    return [Cause.CONSECUTIVE_LOCAL_ORIGIN_FAILURE] if record.local_failures == settings.consecutive_local_origin_failure else []


def restart_count(record: Record, cause: Cause) -> None:
    """So that another bout of failures is noticed even if this one has not led to an ejection."""
    if cause is Cause.CONSECUTIVE_5XX:
        record.consecutive_5xx = 0
    elif cause is Cause.CONSECUTIVE_GATEWAY_FAILURE:
        record.gateway_failures = 0
    else:
        record.local_failures = 0


def room(settings: OutlierDetection, ejected: int, hosts: int) -> bool:
    """Whether one more of the cluster's hosts may be ejected."""
    return 100 * (ejected + 1) / hosts <= settings.max_ejection_percent


def enforced(settings: OutlierDetection, cause: Cause, dice: Dice) -> bool:
    percent = {
        Cause.CONSECUTIVE_5XX: settings.enforcing_consecutive_5xx,
        Cause.CONSECUTIVE_GATEWAY_FAILURE: settings.enforcing_consecutive_gateway_failure,
        Cause.CONSECUTIVE_LOCAL_ORIGIN_FAILURE: settings.enforcing_consecutive_local_origin_failure,
    }[cause]
    return percent >= 100 or dice() * 100 < percent


def eject(record: Record, settings: OutlierDetection, now_seconds: float) -> None:
    record.ejected_at_seconds = now_seconds
    if record.times * settings.base_ejection_seconds < settings.longest_seconds + settings.base_ejection_seconds:
        record.times += 1


def look_again(record: Record, settings: OutlierDetection, now_seconds: float) -> bool:
    """Once an interval. True: the ejection ends now."""
    if record.ejected_at_seconds is None:
        record.times = max(0, record.times - 1)
        return False
    if now_seconds - record.ejected_at_seconds < min(record.times * settings.base_ejection_seconds, settings.longest_seconds):
        return False
    record.ejected_at_seconds = None
    record.forget()
    return True
