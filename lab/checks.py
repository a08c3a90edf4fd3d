"""Checks that a scenario makes. Each says what it expected and saw, goes into the story, and raises ``CheckFailed`` if they differ.

Checks about chance use exact binomial bounds (``lab.statistics``): a correct mesh fails one of them at most once in a million runs.
"""

from collections.abc import Collection, Mapping

from lab.client import Response
from lab.load.model import LoadResult
from lab.statistics import FALSE_ALARM_RATE, binomial_bounds, sample_size, zero_failures_bound
from lab.story import Step, record


class CheckFailed(AssertionError):
    """What was expected is not what was seen."""


def check(title: str, holds: bool, seen: object, **detail: object) -> None:
    """Record a judgement; raise ``CheckFailed`` when it does not hold."""
    record(Step("check", title, ok=holds, detail={"seen": str(seen), **detail}))
    if not holds:
        raise CheckFailed(f"{title}: saw {seen}")


def requests_for(shares: Mapping[str, float], notice: float, alpha: float = FALSE_ALARM_RATE) -> int:
    """How many requests tell these shares from ones that are ``notice`` off (0.05: five points), at the false-alarm rate of ``split``."""
    each = alpha / len(shares)
    return max(sample_size(share, notice, each) for share in shares.values())


def split(counts: Mapping[str, int], shares: Mapping[str, float], alpha: float = FALSE_ALARM_RATE) -> None:
    """Each label's count lies within exact binomial bounds of its share; nothing else was seen.

    ``alpha`` holds for the whole check: it is divided among the labels.
    """
    total = sum(counts.values())
    strangers = {label: count for label, count in counts.items() if label not in shares and count}
    rows, holds = [], total > 0 and not strangers
    for label, share in shares.items():
        bounds = binomial_bounds(total, share, alpha / len(shares))
        inside = counts.get(label, 0) in bounds
        holds = holds and inside
        rows.append({"label": label, "share": share, "count": counts.get(label, 0), "low": bounds.low, "high": bounds.high, "ok": inside})
    wanted = " / ".join(f"{label} {share:.0%}" for label, share in shares.items())
    seen = ", ".join(f"{row['label']} {row['count']} (allowed {row['low']}..{row['high']})" for row in rows)
    if strangers:
        seen += f", unexpected {strangers}"
    check(f"traffic splits {wanted}", holds, f"{seen} of {total}", rows=rows, alpha=alpha)


def only(counts: Mapping[str, int], label: str) -> None:
    """Every answer came from ``label``."""
    total = sum(counts.values())
    check(f"every answer is {label}", total > 0 and counts.get(label, 0) == total, dict(counts))


def none_failed(result: LoadResult) -> None:
    """No request of the load failed; says how small a failure rate that proves."""
    bound = zero_failures_bound(result.requests)
    seen = f"{result.failed} of {result.requests} failed"
    if result.failed:
        seen += f": statuses {dict(result.statuses)}, errors {dict(result.errors)}"
    check("no request fails", result.requests > 0 and result.failed == 0, seen, failure_rate_below=bound)


def status(response: Response, expected: int) -> None:
    check(f"status is {expected}", response.status == expected, response.status)


def statuses(counts: Mapping[int, int], expected: Collection[int]) -> None:
    """Only these statuses were seen, and each of them at least once."""
    check(f"statuses are exactly {sorted(expected)}", {s for s, n in counts.items() if n} == set(expected), dict(counts))


def contains(response: Response, text: str) -> None:
    seen = response.text if len(response.text) <= 300 else f"{len(response.text)} bytes without it"
    check(f"the answer says “{text}”", text in response.text, seen if text not in response.text else "yes")


def lacks(response: Response, text: str) -> None:
    check(f"the answer does not say “{text}”", text not in response.text, "it does" if text in response.text else "right")


def took(response: Response, at_least_seconds: float = 0.0, below_seconds: float = float("inf")) -> None:
    """The answer took this long: a time-out or delay that the configuration states, not a speed."""
    holds = at_least_seconds <= response.seconds < below_seconds
    check(f"it takes {at_least_seconds:g} s or more, less than {below_seconds:g} s", holds, f"{response.seconds:.2f} s")


def equal(title: str, seen: object, expected: object) -> None:
    check(f"{title} is {expected!r}", seen == expected, repr(seen))
