"""Shares: of clusters by weight, of injected faults, of copies, of hosts. Each as a distribution, with exact bounds."""

from side_by_side.bench import Bench
from side_by_side.cases import Case, case, split, to
from side_by_side.sampling import BATCH, sample

from lab.statistics import binomial_bounds
from mesh.model.route import WeightedCluster
from mesh.policy.fault import Fault

FALSE_ALARM_RATE = 1e-9
REQUESTS = 1000  # a share that is 15 points off slips through less than once in a thousand times


def weighted(**weights: int) -> Case:
    name = " and ".join(f"{name} {weight}" for name, weight in weights.items())
    return case(name, split(*(WeightedCluster(name, weight) for name, weight in weights.items())))


SHARES = {
    "red 90 and blue 10": {"red": 0.9, "blue": 0.1},
    "red 50 and blue 50": {"red": 0.5, "blue": 0.5},
    "red 1 and green 1 and blue 2": {"red": 0.25, "green": 0.25, "blue": 0.5},
    "red 100 and blue 0": {"red": 1.0, "blue": 0.0},
    "red 7 and blue 3": {"red": 0.7, "blue": 0.3},
    "red 300 and blue 100": {"red": 0.75, "blue": 0.25},
    "abort of 30 percent": {"fault": 0.3, "red": 0.7},
    "two hosts in turn": {"red": 0.5, "green": 0.5},
}

CASES = [
    weighted(red=90, blue=10),
    weighted(red=50, blue=50),
    weighted(red=1, green=1, blue=2),
    weighted(red=100, blue=0),
    weighted(red=7, blue=3),
    weighted(red=300, blue=100),
    case("abort of 30 percent", to("red", Fault(abort_status=503, abort_percent=30))),
    case("two hosts in turn", to("both")),
]


def test_both_share_out_as_configured(bench: Bench, case: Case) -> None:
    shares = SHARES[case.name]
    batch = 1 if "fault" in shares else BATCH  # Envoy closes on who sends many requests ahead and gets local replies
    for side, counts in sample(bench, case, REQUESTS, batch).items():
        assert set(counts) == {name for name, share in shares.items() if share}, side
        for name, share in shares.items():
            assert counts[name] in binomial_bounds(REQUESTS, share, FALSE_ALARM_RATE), f"{side}: {name} of {counts}"
