"""Fault injection: delay a share of requests, abort a share. Envoy: filters.http.fault.v3.HTTPFault. Istio: HTTPFaultInjection.

Lesson: scenarios/fault_delay, scenarios/fault_abort.
"""

from dataclasses import dataclass

from mesh.model.world import Dice


@dataclass(frozen=True, slots=True)
class Fault:
    """Percentages are 0-100 and roll independently. ``abort_status`` is an HTTP status (200-599)."""

    delay_seconds: float = 0.0
    delay_percent: float = 0.0
    abort_status: int = 0
    abort_percent: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    delay_seconds: float
    abort_status: int | None


def decide(fault: Fault, dice: Dice) -> Verdict:
    """Roll once for the delay and once for the abort: the two are independent."""
    delayed = dice() * 100 < fault.delay_percent
    aborted = dice() * 100 < fault.abort_percent and fault.abort_status != 0
    return Verdict(fault.delay_seconds if delayed else 0.0, fault.abort_status if aborted else None)
