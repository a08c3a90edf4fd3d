"""A mergeable log-linear histogram of microseconds: exact below 128, within 0.8 % above.

Locust rounds percentiles to whole milliseconds, which hides a sidecar; so the load worker keeps this beside it.
"""

from collections import Counter
from collections.abc import Mapping

MANTISSA_BITS = 7


def bucket_of(microseconds: int) -> int:
    """The lower edge of the bucket: all but the first eight significant bits are dropped."""
    shift = microseconds.bit_length() - MANTISSA_BITS - 1
    return microseconds if shift <= 0 else (microseconds >> shift) << shift


class Histogram:
    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts: Counter[int] = Counter(counts or {})

    def record(self, microseconds: int) -> None:
        self.counts[bucket_of(max(0, microseconds))] += 1

    def merge(self, other: "Histogram") -> None:
        self.counts.update(other.counts)

    @property
    def total(self) -> int:
        return self.counts.total()

    def percentile(self, share: float) -> int:
        """Microseconds at or below which ``share`` (0-1) of the records lie; 0 when there are none."""
        wanted = max(1, -(-self.total * share // 1))
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                return bucket
        return 0

    def to_json(self) -> dict[str, int]:
        return {str(bucket): count for bucket, count in sorted(self.counts.items())}

    @classmethod
    def from_json(cls, data: Mapping[str, int]) -> "Histogram":
        return cls({int(bucket): count for bucket, count in data.items()})
