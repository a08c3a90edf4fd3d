"""Mirroring: a copy of a share of the requests goes to a second cluster, its answer is dropped. Envoy: RequestMirrorPolicy.

Envoy: source/common/router/shadow_writer_impl.cc. Istio: HTTPMirrorPolicy. Lesson: scenarios/mirroring.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mesh.model.world import Dice


@dataclass(frozen=True, slots=True)
class Mirror:
    """A route may carry several. ``percent`` is 0-100."""

    cluster: str
    percent: float = 100.0


def decide(mirrors: Sequence[Mirror], dice: Dice) -> list[str]:
    """The clusters that get a copy of this request: each mirror rolls for itself."""
    return [mirror.cluster for mirror in mirrors if dice() * 100 < mirror.percent]


def shadow_authority(authority: str) -> str:
    """``reviews:9080`` → ``reviews-shadow:9080``: the copy's receiver can tell it from the real thing by its Host."""
    colon = authority.rfind(":")
    if colon <= authority.rfind("]"):
        return f"{authority}-shadow"
    return f"{authority[:colon]}-shadow{authority[colon:]}"
