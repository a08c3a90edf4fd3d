"""How long a whole request may take, retries included. Envoy: RouteAction.timeout. Istio: HTTPRoute.timeout."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeout:
    """``request_seconds`` 0 is no time-out (Istio's default). ``idle_seconds`` None leaves the connection manager's in force."""

    request_seconds: float = 0.0
    idle_seconds: float | None = None
