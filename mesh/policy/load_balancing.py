"""Choosing one endpoint among the healthy ones. Envoy: cluster.v3 lb_policy. Istio: DestinationRule loadBalancer.simple.

Each policy is a pure ``pick``: what changes from pick to pick (a turn, how busy an endpoint is, a throw of the dice) comes in as an
argument. Who takes part at all: mesh/policy/locality.py.
Lesson: scenarios/load_balancing.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import gcd

from mesh.model.world import Dice

MAX_SCHEDULE = 4096


def schedule(weights: Sequence[int]) -> tuple[int, ...]:
    """One round of weighted round robin, as indices: each index as often as its weight says, spread as evenly as it goes.

    >>> schedule([3, 1])
    (0, 0, 1, 0)
    """
    if len(set(weights)) <= 1:
        return tuple(range(len(weights)))
    divisor = gcd(*weights)
    shares = [weight // divisor for weight in weights]
    while sum(shares) > MAX_SCHEDULE:
        shares = [max(1, share // 2) for share in shares]
    total = sum(shares)
    credit = [0] * len(shares)
    turns = []
    for _ in range(total):
        credit = [have + share for have, share in zip(credit, shares, strict=True)]
        chosen = max(range(len(credit)), key=credit.__getitem__)
        credit[chosen] -= total
        turns.append(chosen)
    return tuple(turns)


def pick_round_robin(turns: Sequence[int], turn: int) -> int:
    """``turns`` from ``schedule``; ``turn`` counts up by one from pick to pick."""
    return turns[turn % len(turns)]


def running_sums(weights: Sequence[int]) -> tuple[int, ...]:
    return tuple(accumulate(weights))


def pick_random(sums: Sequence[int], dice: Dice) -> int:
    """``sums`` from ``running_sums``: an endpoint comes with a probability of its share of the weight."""
    return min(bisect_right(sums, dice() * sums[-1]), len(sums) - 1)


def pick_least_request(sums: Sequence[int], active: Sequence[int], dice: Dice) -> int:
    """The less busy of two that the dice choose. Weights bias the choice of the two, not the comparison.

    Two choices bring most of what looking at all would, and do not send everybody to the same idle endpoint at once.
    """
    first, second = pick_random(sums, dice), pick_random(sums, dice)
    return second if active[second] < active[first] else first
