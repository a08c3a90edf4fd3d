"""Retries: after which failures, how often, how long to wait. Envoy: RetryPolicy and its back-off. Istio: HTTPRetry."""

from dataclasses import dataclass

DEFAULT_RETRY_ON = ("connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """``attempts`` counts retries, not the first try. ``per_try_timeout_seconds`` 0 is none. Back-off is Envoy's: jittered, doubling."""

    attempts: int = 2
    retry_on: tuple[str, ...] = DEFAULT_RETRY_ON
    per_try_timeout_seconds: float = 0.0
    retriable_status_codes: tuple[int, ...] = (503,)
    backoff_base_seconds: float = 0.025
    backoff_max_seconds: float = 0.25
    avoid_previous_hosts: bool = True
    host_selection_attempts: int = 5
