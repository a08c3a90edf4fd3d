"""Header operations on the way up and down. Envoy: request_headers_to_add/remove. Istio: Headers.HeaderOperations.

Envoy: source/common/router/header_parser.cc. Where several levels carry operations they run from the nearest outward (weighted
cluster, route, virtual host, route configuration): the outermost ``set`` has the last word.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class HeaderOperations:
    """Names are lower-case. ``set`` overwrites, ``add`` appends; removal comes first, as in Envoy.

    ``host`` is not among them: the authority is for ``Rewrite`` to change. Values may hold the access log's operators; ``%%`` is one sign.
    """

    request_set: Pairs = ()
    request_add: Pairs = ()
    request_remove: tuple[str, ...] = ()
    response_set: Pairs = ()
    response_add: Pairs = ()
    response_remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One level's work on one side, ready to be done in this order: remove, set, add."""

    remove: tuple[str, ...]
    set: Pairs
    add: Pairs


def request_steps(levels: Sequence[HeaderOperations]) -> tuple[Step, ...]:
    return _steps((level.request_remove, level.request_set, level.request_add) for level in levels)


def response_steps(levels: Sequence[HeaderOperations]) -> tuple[Step, ...]:
    return _steps((level.response_remove, level.response_set, level.response_add) for level in levels)


def _steps(levels: Iterable[tuple[tuple[str, ...], Pairs, Pairs]]) -> tuple[Step, ...]:
    """Empty values are left out, as Envoy does: they add nothing; levels with nothing to do, too."""
    steps = [Step(remove, _settled(set_), _settled(add)) for remove, set_, add in levels]
    for step in steps:
        for name in (*step.remove, *(name for name, _ in step.set + step.add)):
            if name == "host" or name.startswith(":"):
                raise ValueError(":-prefixed or host headers may not be modified")
    return tuple(step for step in steps if step.remove or step.set or step.add)


def _settled(pairs: Pairs) -> Pairs:
    return tuple((name, value) for name, value in pairs if value)
