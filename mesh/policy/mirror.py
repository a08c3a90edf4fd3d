"""Mirroring: a copy of a share of the requests goes to a second cluster, its answer is dropped. Envoy: RequestMirrorPolicy."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mirror:
    """A route may carry several. ``percent`` is 0-100."""

    cluster: str
    percent: float = 100.0
