"""What the load's two processes tell each other: a ``LoadSpec`` down, one ``Second`` after another and a ``LoadResult`` up."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from lab.load.histogram import Histogram


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """``requests`` or ``duration_seconds`` ends the load; with neither it runs until stopped.

    ``rps`` makes it open-loop (that many a second are offered over all users); None is closed-loop: each user sends its next request when
    it has its answer. ``label`` says how an answer is counted: a dotted path into its JSON (``podname``, ``reviews.0.rating.color``) or
    ``header:<name>``; "" counts by status only.
    """

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    users: int = 8
    requests: int | None = None
    duration_seconds: float | None = None
    rps: float | None = None
    label: str = ""
    timeout_seconds: float = 30.0
    new_connection_per_request: bool = False

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "LoadSpec":
        data = json.loads(text)
        data["headers"] = tuple((name, value) for name, value in data["headers"])
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Second:
    """One second of load. ``labels`` divides ``ok``. Latencies in microseconds."""

    at_seconds: float
    ok: int
    failed: int
    labels: Mapping[str, int]
    p50_us: int
    p99_us: int


@dataclass(slots=True)
class LoadResult:
    """``failed`` counts answers of status 400 and above and requests without an answer (status 0, reason in ``errors``)."""

    statuses: Counter[int] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    histogram: Histogram = field(default_factory=Histogram)
    seconds: float = 0.0
    open_loop: bool = False
    timeline: list[Second] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return self.statuses.total()

    @property
    def failed(self) -> int:
        return sum(count for status, count in self.statuses.items() if status == 0 or status >= 400)

    @property
    def ok(self) -> int:
        return self.requests - self.failed

    @property
    def rps(self) -> float:
        return self.requests / self.seconds if self.seconds else 0.0

    def percentile_ms(self, share: float) -> float:
        return self.histogram.percentile(share) / 1000

    def to_json(self) -> str:
        return json.dumps(
            {
                "requests": self.requests,
                "ok": self.ok,
                "failed": self.failed,
                "seconds": round(self.seconds, 3),
                "rps": round(self.rps, 1),
                "open_loop": self.open_loop,
                "statuses": {str(k): v for k, v in sorted(self.statuses.items())},
                "labels": dict(self.labels),
                "errors": dict(self.errors),
                "latency_ms": {f"p{p}": self.percentile_ms(p / 100) for p in (50, 90, 95, 99)},
                "histogram_us": self.histogram.to_json(),
                "timeline": [asdict(second) for second in self.timeline],
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "LoadResult":
        data = json.loads(text)
        return cls(
            statuses=Counter({int(k): v for k, v in data["statuses"].items()}),
            labels=Counter(data["labels"]),
            errors=Counter(data["errors"]),
            histogram=Histogram.from_json(data["histogram_us"]),
            seconds=data["seconds"],
            open_loop=data["open_loop"],
            timeline=[Second(**second) for second in data["timeline"]],
        )
