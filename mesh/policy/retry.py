"""Retries: after which failures, how often, how long to wait. Envoy: RetryPolicy and its back-off. Istio: HTTPRetry.

Envoy: source/common/router/retry_state_impl.cc, common/backoff_strategy.cc. Istio's default for outbound routes is two retries on
``DEFAULT_RETRY_ON``, at other hosts than those tried. An injected fault is never retried: it answers before the router is asked, in
Istio as here. Lesson: scenarios/retries.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from mesh.model.world import Dice

DEFAULT_RETRY_ON = ("connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes")

HTTP_TOKENS = frozenset(
    {
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "envoy-ratelimited",
        "refused-stream",
        "retriable-4xx",
        "retriable-status-codes",
        "retriable-headers",
    }
)
GRPC_STATUSES = {"cancelled": "1", "deadline-exceeded": "4", "resource-exhausted": "8", "internal": "13", "unavailable": "14"}

HeaderLookup = Callable[[str], str | None]


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
    retriable_header_names: tuple[str, ...] = ()  # from the request only


class Failure(Enum):
    """How a try ended without a whole answer."""

    CONNECT = "connect"  # no connection to the upstream, or not in time
    REFUSED = "refused"  # HTTP/2 REFUSED_STREAM: surely not worked on
    BEFORE_REQUEST = "before request"  # the connection broke before it took the request
    RESET = "reset"  # it broke later, or the try's time was over
    OVERFLOW = "overflow"  # a circuit breaker: never retried
    NOWHERE = "nowhere"  # no cluster or no healthy host: a retry would find none either


REQUEST_HEADERS = (
    "x-envoy-retry-on",
    "x-envoy-retry-grpc-on",
    "x-envoy-max-retries",
    "x-envoy-retriable-status-codes",
    "x-envoy-retriable-header-names",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-hedge-on-per-try-timeout",
)
"""A caller's wishes; they end here and are not sent upstream. The connection manager lets them through from internal addresses only."""


def from_request(policy: RetryPolicy, header: HeaderLookup) -> RetryPolicy:
    """The policy with a request's wishes merged in: its conditions are added, its number of retries takes precedence."""
    wishes = _tokens(header("x-envoy-retry-on"), HTTP_TOKENS) + _tokens(header("x-envoy-retry-grpc-on"), GRPC_STATUSES)
    retry_on = policy.retry_on + tuple(token for token in wishes if token not in policy.retry_on)
    codes = tuple(int(code) for code in _split(header("x-envoy-retriable-status-codes")) if _is_number(code))
    names = tuple(name.lower() for name in _split(header("x-envoy-retriable-header-names")))
    per_try = header("x-envoy-upstream-rq-per-try-timeout-ms") or ""
    attempts = header("x-envoy-max-retries") or ""
    return replace(
        policy,
        retry_on=retry_on,
        attempts=int(attempts) if retry_on and _is_number(attempts) else policy.attempts,
        retriable_status_codes=policy.retriable_status_codes + codes,
        retriable_header_names=policy.retriable_header_names + names,
        per_try_timeout_seconds=int(per_try) / 1000 if _is_number(per_try) else policy.per_try_timeout_seconds,
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _split(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _tokens(text: str | None, known: frozenset[str] | dict[str, str]) -> tuple[str, ...]:
    return tuple(token for token in _split(text) if token in known)


def decide_reset(policy: RetryPolicy, failure: Failure) -> bool:
    """Whether a try that brought no answer is worth another: Envoy's wouldRetryFromReset."""
    on = policy.retry_on
    if failure in (Failure.OVERFLOW, Failure.NOWHERE):
        return False
    if failure is Failure.CONNECT and "connect-failure" in on:
        return True
    if failure is Failure.REFUSED and "refused-stream" in on:
        return True
    if failure in (Failure.BEFORE_REQUEST, Failure.CONNECT) and "reset-before-request" in on:
        return True
    return "reset" in on or "5xx" in on or "gateway-error" in on


def decide(policy: RetryPolicy, status: int, header: HeaderLookup) -> bool:
    """Whether an upstream's answer is worth another try: Envoy's wouldRetryFromHeaders."""
    on = policy.retry_on
    if header("x-envoy-ratelimited") is not None:
        return "envoy-ratelimited" in on
    if status >= 500 and ("5xx" in on or (status in (502, 503, 504) and "gateway-error" in on)):
        return True
    if status == 409 and "retriable-4xx" in on:
        return True
    if "retriable-status-codes" in on and status in policy.retriable_status_codes:
        return True
    if "retriable-headers" in on and any(header(name) is not None for name in policy.retriable_header_names):
        return True
    grpc_status = header("grpc-status")
    return grpc_status is not None and any(GRPC_STATUSES.get(token) == grpc_status for token in on)


def backoff_seconds(policy: RetryPolicy, retry: int, dice: Dice) -> float:
    """How long to wait before the given retry (1 is the first): anything below base·2^(retry-1), capped."""
    ceiling: float = policy.backoff_base_seconds * 2 ** min(retry - 1, 30)
    return dice() * min(ceiling, policy.backoff_max_seconds)
