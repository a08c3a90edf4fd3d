"""How long a whole request may take, retries included. Envoy: RouteAction.timeout. Istio: HTTPRoute.timeout.

Envoy: source/common/router/router.cc (FilterUtility::finalTimeout). Lesson: scenarios/timeouts.
"""

from dataclasses import dataclass

REQUEST_HEADER = "x-envoy-upstream-rq-timeout-ms"


@dataclass(frozen=True, slots=True)
class Timeout:
    """``request_seconds`` 0 is no time-out (Istio's default). ``idle_seconds`` None leaves the connection manager's in force."""

    request_seconds: float = 0.0
    idle_seconds: float | None = None


def decide(configured_seconds: float, wish_milliseconds: str | None) -> float:
    """The seconds to allow, 0 for no limit: the request's own wish, where it is a number, takes precedence over the route's."""
    if wish_milliseconds is not None and wish_milliseconds.isascii() and wish_milliseconds.isdigit() and len(wish_milliseconds) < 16:
        return int(wish_milliseconds) / 1000
    return configured_seconds
