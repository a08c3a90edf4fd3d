"""Who is asked: priorities, localities, panic, degraded and draining endpoints."""

from collections.abc import Sequence

import pytest
from side_by_side.bench import Bench
from side_by_side.cases import case, to
from side_by_side.sampling import sample

from mesh.model.cluster import Cluster, Discovery, LbPolicy
from mesh.model.endpoint import Endpoint, Health, LoadAssignment, Locality, LocalityEndpoints

WELL, ILL, SO_SO, LEAVING = Health.HEALTHY, Health.UNHEALTHY, Health.DEGRADED, Health.DRAINING
COUNT = 1000
SIGMAS = 5.0

# name: (color, priority, locality's weight, health of each of its endpoints), panic percent, by locality, expected share of each color
GROUPS: dict[str, tuple[tuple[tuple[str, int, int, tuple[Health, ...]], ...], float, bool, dict[str, float]]] = {
    "first priority": ((("red", 0, 1, (WELL,)), ("green", 1, 1, (WELL,))), 0.0, False, {"red": 1.0}),
    "second priority": ((("red", 0, 1, (ILL,)), ("green", 1, 1, (WELL,))), 0.0, False, {"green": 1.0}),
    "spills over": ((("red", 0, 1, (WELL, ILL)), ("green", 1, 1, (WELL,))), 0.0, False, {"red": 0.7, "green": 0.3}),
    "nearly enough is left": (
        (("red", 0, 1, (WELL, ILL)), ("green", 0, 1, (WELL,)), ("blue", 1, 1, (WELL,))),
        0.0,
        False,
        {"red": 0.465, "green": 0.465, "blue": 0.07},
    ),
    "third": ((("red", 0, 1, (ILL,)), ("green", 1, 1, (LEAVING,)), ("blue", 2, 1, (WELL,))), 0.0, False, {"blue": 1.0}),
    "degraded": ((("red", 0, 1, (WELL,)), ("green", 0, 1, (SO_SO,))), 0.0, False, {"red": 0.7, "green": 0.3}),
    "only degraded": ((("red", 0, 1, (ILL,)), ("green", 0, 1, (SO_SO,))), 0.0, False, {"green": 1.0}),
    "panic": (
        (("red", 0, 1, (WELL,)), ("green", 0, 1, (ILL,)), ("blue", 0, 1, (ILL,))),
        50.0,
        False,
        dict.fromkeys(("red", "green", "blue"), 1 / 3),
    ),
    "no panic": ((("red", 0, 1, (WELL,)), ("green", 0, 1, (ILL,)), ("blue", 0, 1, (ILL,))), 30.0, False, {"red": 1.0}),
    "distributed": (
        (("red", 0, 70, (WELL,)), ("green", 0, 20, (WELL,)), ("blue", 0, 10, (WELL,))),
        0.0,
        True,
        {"red": 0.7, "green": 0.2, "blue": 0.1},
    ),
    "distributed, one ill": ((("red", 0, 50, (WELL, ILL)), ("green", 0, 50, (WELL,))), 0.0, True, {"red": 35 / 85, "green": 50 / 85}),
    "weights that do not count": ((("red", 0, 90, (WELL,)), ("green", 0, 10, (WELL,))), 0.0, False, {"red": 0.5, "green": 0.5}),
}
CASES = [case(name, to(name)) for name in GROUPS]


def clusters(ports: dict[str, int]) -> Sequence[Cluster]:
    made = []
    for name, (groups, panic, weighted, _) in GROUPS.items():
        localities = []
        for color, priority, weight, healths in groups:
            # A second endpoint of a color is ill and needs no server, but an address of its own.
            endpoints = tuple(Endpoint(f"127.0.0.{number + 1}", ports[color], health) for number, health in enumerate(healths))
            localities.append(LocalityEndpoints(endpoints, Locality("r", color), priority, weight))
        assignment = LoadAssignment(name, tuple(localities))
        made.append(
            Cluster(name, Discovery.STATIC, LbPolicy.RANDOM, load_assignment=assignment, panic_percent=panic, locality_weighted=weighted)
        )
    return made


@pytest.mark.parametrize("name", list(GROUPS))
def test_both_spread_the_same_way(bench: Bench, name: str) -> None:
    expected = GROUPS[name][3]
    for side, seen in sample(bench, next(one for one in CASES if one.name == name), COUNT).items():
        assert set(seen) <= set(expected), side
        for color, share in expected.items():
            spread = SIGMAS * (COUNT * share * (1 - share)) ** 0.5
            assert abs(seen[color] - COUNT * share) <= spread, (side, seen)
