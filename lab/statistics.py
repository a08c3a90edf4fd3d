"""Exact binomial arithmetic for assertions about chance: bounds at a stated false-alarm rate, and how many requests that takes.

A flat tolerance ("90 % ± 5 points of 100 requests") fails by luck and passes by luck. Here a test states its false-alarm rate
``alpha`` and the smallest deviation it must notice, and the sample size follows. Everything is exact; nothing is approximated
but the floating-point sums themselves (checked against scipy in the tests).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

FALSE_ALARM_RATE = 1e-6
POWER = 0.999


def _log_pmf(k: int, n: int, p: float) -> float:
    if p <= 0.0:
        return 0.0 if k == 0 else -math.inf
    if p >= 1.0:
        return 0.0 if k == n else -math.inf
    choose = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return choose + k * math.log(p) + (n - k) * math.log1p(-p)


def probability_at_most(k: int, n: int, p: float) -> float:
    """P(X ≤ k) for X ~ Binomial(n, p)."""
    if k < 0:
        return 0.0
    if k >= n:
        return 1.0
    if k > n * p:  # sum the shorter, smaller tail: the terms fall off fast and nothing cancels
        return max(0.0, 1.0 - probability_at_least(k + 1, n, p))
    return _tail(k, -1, n, p)


def probability_at_least(k: int, n: int, p: float) -> float:
    """P(X ≥ k) for X ~ Binomial(n, p)."""
    if k <= 0:
        return 1.0
    if k > n:
        return 0.0
    if k < n * p:
        return max(0.0, 1.0 - probability_at_most(k - 1, n, p))
    return _tail(k, 1, n, p)


def _tail(k: int, step: int, n: int, p: float) -> float:
    """The terms from ``k`` outward; past the mean each is smaller than the last, so stop once they no longer count."""
    term = total = math.exp(_log_pmf(k, n, p))
    if not 0.0 < p < 1.0:
        return total
    odds = p / (1.0 - p)
    while 0 <= k + step <= n and term > total * 1e-17:
        term *= odds * (n - k) / (k + 1) if step > 0 else k / ((n - k + 1) * odds)
        total += term
        k += step
    return min(1.0, total)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Counts from ``low`` to ``high`` (both included) are what chance explains; ``alpha`` is how often a good run falls outside."""

    low: int
    high: int
    n: int
    p: float
    alpha: float

    def __contains__(self, count: int) -> bool:
        return self.low <= count <= self.high

    def __str__(self) -> str:
        return f"{self.low}..{self.high} of {self.n} (p = {self.p:g}, false alarm ≤ {self.alpha:g})"


def binomial_bounds(n: int, p: float, alpha: float = FALSE_ALARM_RATE) -> Bounds:
    """The shortest two-sided acceptance region with at most ``alpha``/2 outside on either side.

    Raises ``ValueError`` for n < 0, p outside [0, 1] or alpha outside (0, 1).
    """
    if n < 0 or not 0.0 <= p <= 1.0 or not 0.0 < alpha < 1.0:
        raise ValueError(f"no binomial bounds for n={n}, p={p}, alpha={alpha}")
    low = _bisect(0, math.floor(n * p), lambda k: probability_at_most(k, n, p) > alpha / 2)
    high = n - _bisect(0, n - math.ceil(n * p), lambda k: probability_at_least(n - k, n, p) > alpha / 2)
    return Bounds(low, high, n, p, alpha)


def _bisect(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The smallest k in [low, high] for which ``holds``, given that it holds from some k on; ``high`` if from none."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def miss_probability(bounds: Bounds, true_p: float) -> float:
    """How often a mesh whose real share is ``true_p`` would still pass these bounds."""
    below = probability_at_most(bounds.low - 1, bounds.n, true_p)
    above = probability_at_least(bounds.high + 1, bounds.n, true_p)
    return max(0.0, 1.0 - below - above)


def sample_size(p: float, delta: float, alpha: float = FALSE_ALARM_RATE, power: float = POWER) -> int:
    """The fewest requests that tell ``p`` from ``p ± delta`` with the given power, at the given false-alarm rate.

    Raises ``ValueError`` when delta is not positive, or neither p + delta nor p - delta is a probability.
    """
    others = [q for q in (p - delta, p + delta) if 0.0 <= q <= 1.0]
    if delta <= 0 or not others:
        raise ValueError(f"no sample size tells {p} from {p} ± {delta}")

    def tells(n: int) -> bool:
        bounds = binomial_bounds(n, p, alpha)
        return all(miss_probability(bounds, q) <= 1 - power for q in others)

    n = 8
    while not tells(n):
        n *= 2
    # The power is a saw-tooth in n: bisect to its neighbourhood, then walk up to the first n that holds.
    low = _bisect(n // 2, n, tells)
    walk = max(1, low - 64)
    while not tells(walk):
        walk += 1
    return walk


def zero_failures_bound(n: int, confidence: float = 1 - FALSE_ALARM_RATE) -> float:
    """Having seen 0 failures of ``n``, the failure rate is below this with the given confidence (the rule of three, made exact)."""
    if n <= 0:
        return 1.0
    return float(1.0 - (1.0 - confidence) ** (1.0 / n))
