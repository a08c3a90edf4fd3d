"""Which endpoints take part: by health, priority and locality. Envoy: LoadBalancerBase. Istio: localityLbSetting.

Envoy: source/common/upstream/load_balancer_impl.cc and load_balancer_factory_base. A priority keeps all of its load while at least
1/1.4 of it is healthy; what it cannot carry spills over to the next. Where too few are healthy altogether (the panic threshold), health
is ignored: half of the endpoints could not carry everything. Lesson: scenarios/locality_failover.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from mesh.model.endpoint import Endpoint, Health, LoadAssignment, LocalityEndpoints

OVERPROVISIONING = 140  # percent


@dataclass(frozen=True, slots=True)
class Level:
    """A priority in numbers."""

    healthy: int
    degraded: int
    total: int

    def percent(self, count: int) -> int:
        return min(100, OVERPROVISIONING * count // self.total) if self.total else 0


@dataclass(frozen=True, slots=True)
class Loads:
    """Percent of the traffic for each priority: for its healthy endpoints, its degraded ones, and whether to ignore their health."""

    healthy: tuple[int, ...]
    degraded: tuple[int, ...]
    panic: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """Endpoints among which a balancer chooses, with their part of the traffic."""

    weight: float
    endpoints: tuple[Endpoint, ...]


def loads(levels: Sequence[Level], panic_percent: float) -> Loads:
    available = min(100, sum(level.percent(level.healthy) + level.percent(level.degraded) for level in levels))
    count = len(levels)
    if not available and not panic_percent:
        return Loads((100, *[0] * (count - 1)), (0,) * count, (False,) * count)
    threshold = 0 if available == 100 else panic_percent
    panic = tuple(100 * (one.healthy + one.degraded) < threshold * one.total or (not one.total and threshold > 0) for one in levels)
    if all(panic):
        return Loads(_by_size([level.total for level in levels]), (0,) * count, panic)
    left = 100
    healthy, left = _spread([level.percent(level.healthy) for level in levels], available, left)
    degraded, left = _spread([level.percent(level.degraded) for level in levels], available, left)
    first = next((i for i, level in enumerate(levels) if level.healthy), None)  # gets what rounding has left
    if left and first is not None:
        healthy[first] += left
    elif left:
        degraded[next(i for i, level in enumerate(levels) if level.degraded)] += left
    return Loads(tuple(healthy), tuple(degraded), panic)


def _spread(percents: Sequence[int], available: int, left: int) -> tuple[list[int], int]:
    given = []
    for percent in percents:
        load = min(left, percent * 100 // available)
        given.append(load)
        left -= load
    return given, left


def _by_size(totals: Sequence[int]) -> tuple[int, ...]:
    whole = sum(totals)
    if not whole:
        return (100, *[0] * (len(totals) - 1))
    shares = [100 * total // whole for total in totals]
    shares[next(i for i, total in enumerate(totals) if total)] += 100 - sum(shares)
    return tuple(shares)


def shares(
    assignment: LoadAssignment | None, ejected: Callable[[Endpoint], bool], panic_percent: float, *, by_locality: bool = False
) -> tuple[Share, ...]:
    """Who takes part, with what part of the traffic. ``by_locality``: the localities' weights divide a priority's part."""
    if assignment is None:
        return ()
    ordered = sorted(assignment.localities, key=lambda group: group.priority)
    priorities = [tuple(groups) for _, groups in groupby(ordered, key=lambda group: group.priority)]
    if not priorities:
        return ()

    def state(endpoint: Endpoint) -> Health:
        if ejected(endpoint) or endpoint.health in (Health.UNHEALTHY, Health.DRAINING):
            return Health.UNHEALTHY
        return Health.DEGRADED if endpoint.health is Health.DEGRADED else Health.HEALTHY

    plan = loads([_level(groups, state) for groups in priorities], panic_percent)
    found: list[Share] = []
    for index, groups in enumerate(priorities):
        if plan.panic[index]:
            everybody = tuple(e for group in groups for e in group.endpoints)
            found.append(Share(plan.healthy[index] + plan.degraded[index], everybody))
            continue
        for wanted, load in ((Health.HEALTHY, plan.healthy[index]), (Health.DEGRADED, plan.degraded[index])):
            found += _within(groups, wanted, state, load, by_locality=by_locality)
    return tuple(share for share in found if share.weight > 0 and share.endpoints)


def _level(groups: Sequence[LocalityEndpoints], state: Callable[[Endpoint], Health]) -> Level:
    states = [state(endpoint) for group in groups for endpoint in group.endpoints]
    return Level(states.count(Health.HEALTHY), states.count(Health.DEGRADED), len(states))


def _within(
    groups: Sequence[LocalityEndpoints], wanted: Health, state: Callable[[Endpoint], Health], load: int, *, by_locality: bool
) -> list[Share]:
    """A priority's endpoints, as one group or locality by locality; one that is mostly ill gets less than its weight."""
    members = [tuple(e for e in group.endpoints if state(e) is wanted and e.weight > 0) for group in groups]
    if not by_locality:
        return [Share(load, tuple(e for group in members for e in group))]
    weights = [
        group.weight * min(1.0, OVERPROVISIONING / 100 * len(some) / len(group.endpoints)) if group.endpoints else 0.0
        for group, some in zip(groups, members, strict=True)
    ]
    whole = sum(weights)
    return [Share(load * weight / whole, some) for weight, some in zip(weights, members, strict=True)] if whole else []
