"""Answer at once with a fixed status and body. Envoy: DirectResponseAction. Istio: HTTPDirectResponse."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DirectResponse:
    status: int
    body: bytes = b""
