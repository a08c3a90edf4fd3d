"""What a scenario did and saw, step by step: the raw material of the console's progress and of the HTML report.

A story is filled through ``record``; which story that is follows the running test (a context variable), so checks and loads need not be
handed one.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal["apply", "delete", "request", "load", "check", "wait", "note"]


@dataclass(frozen=True, slots=True)
class Step:
    """``ok`` is None for steps that judge nothing. ``detail`` is JSON-able; the report shows it under the title."""

    kind: Kind
    title: str
    ok: bool | None = None
    seconds: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Story:
    """One test's steps. ``verdict`` is pytest's outcome: passed, failed, skipped."""

    name: str
    scenario: str = ""
    purpose: str = ""
    verdict: str = ""
    seconds: float = 0.0
    steps: list[Step] = field(default_factory=list)
    failure: str = ""
    evidence: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


OnStep = Callable[[Step], None]
_current: ContextVar[tuple[Story, OnStep | None] | None] = ContextVar("story", default=None)


@contextmanager
def telling(story: Story, on_step: OnStep | None = None) -> Iterator[Story]:
    """Make ``story`` the one that ``record`` adds to; ``on_step`` hears each step as it happens."""
    token = _current.set((story, on_step))
    try:
        yield story
    finally:
        _current.reset(token)


def record(step: Step) -> Step:
    current = _current.get()
    if current is not None:
        story, on_step = current
        story.steps.append(step)
        if on_step is not None:
            on_step(step)
    return step
