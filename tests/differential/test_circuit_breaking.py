"""What finds no room: how many connections, waiting and running requests and retries a cluster may have."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

import pytest
from side_by_side.asking import Ask, Outcome
from side_by_side.bench import Bench, Side, differences, one_of
from side_by_side.cases import Case, case, get, to

from lab.until import until
from mesh.model.cluster import CircuitBreakers, Cluster
from mesh.policy.retry import RetryPolicy

COUNTED = (
    "upstream_cx_total",
    "upstream_cx_active",
    "upstream_cx_overflow",
    "upstream_rq_total",
    "upstream_rq_completed",
    "upstream_rq_5xx",
    "upstream_rq_active_overflow",
    "upstream_rq_pending_total",
    "upstream_rq_pending_active",
    "upstream_rq_pending_overflow",
    "upstream_rq_retry",
    "upstream_rq_retry_success",
    "upstream_rq_retry_overflow",
    "upstream_rq_retry_limit_exceeded",
)
SLOW = get("/", "0.4:200")
RETRY = RetryPolicy(1, ("5xx",), backoff_base_seconds=0.001, backoff_max_seconds=0.01)


def clusters(ports: dict[str, int]) -> Sequence[Cluster]:
    def limited(name: str, color: str, breakers: CircuitBreakers) -> Cluster:
        return replace(one_of(name, ports[color]), circuit_breakers=breakers)

    return [
        limited("one-and-one", "red", CircuitBreakers(max_connections=1, max_pending_requests=1)),
        limited("two-and-three", "red", CircuitBreakers(max_connections=2, max_pending_requests=3)),
        limited("one-request", "red", CircuitBreakers(max_requests=1)),
        limited("no-waiting", "red", CircuitBreakers(max_pending_requests=0)),
        limited("no-retry", "red", CircuitBreakers(max_retries=0)),
        limited("one-retry", "red", CircuitBreakers(max_retries=1)),
        replace(limited("three-requests", "red", CircuitBreakers(max_connections=1)), max_requests_per_connection=3),
    ]


CASES = [
    case("one and one", to("one-and-one")),
    case("two and three", to("two-and-three")),
    case("one request", to("one-request")),
    case("no waiting", to("no-waiting"), get()),
    case("no retry", to("no-retry", RETRY), get("/", "503,200"), get("/", "200")),
    case("one retry", to("one-retry", RETRY)),
    case("three requests", to("three-requests"), *[get()] * 7),
]


def named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def in_turn(bench: Bench, side: Side, case: Case, asks: Sequence[Ask], settled: Sequence[dict[str, int]]) -> list[Outcome]:
    """All on their way at once, but each sent only when the one before shows in the cluster's counters as ``settled`` says."""
    cluster = case.routes[0].clusters[0].cluster
    futures: list[Future[Outcome]] = []
    for ask, expected in zip(asks, settled, strict=True):
        futures.append(bench.pool.submit(side.ask, bench.listener_of(case), case.domain, ask))
        until(lambda expected=expected: side.stats(cluster, *expected) == expected, 2, f"{side.name} shows {expected}")
    return [future.result() for future in futures]


@pytest.mark.parametrize(
    ("name", "settled", "statuses"),
    [
        (
            "one and one",
            [
                {"upstream_rq_active": 1},
                {"upstream_rq_pending_active": 1},
                {"upstream_rq_pending_overflow": 1},
                {"upstream_rq_pending_overflow": 2},
            ],
            [200, 200, 503, 503],
        ),
        (
            "two and three",
            [
                {"upstream_rq_active": 1},
                {"upstream_rq_active": 2},
                {"upstream_rq_pending_active": 1},
                {"upstream_rq_pending_active": 2},
                {"upstream_rq_pending_active": 3},
                {"upstream_rq_pending_overflow": 1},
            ],
            [200, 200, 200, 200, 200, 503],
        ),
        ("one request", [{"upstream_rq_active": 1}, {"upstream_rq_active_overflow": 1}], [200, 503]),
    ],
)
def test_both_turn_away_the_same_requests(bench: Bench, name: str, settled: list[dict[str, int]], statuses: list[int]) -> None:
    case = named(name)
    cluster = case.routes[0].clusters[0].cluster
    both = [in_turn(bench, side, case, [SLOW] * len(settled), settled) for side in (bench.envoy, bench.sidecar)]
    assert [outcome.answer.status for outcome in both[0]] == statuses
    assert not [line for pair in zip(*both, strict=True) for line in differences(*(one.comparable() for one in pair))]
    assert bench.envoy.stats(cluster, *COUNTED) == bench.sidecar.stats(cluster, *COUNTED)


def test_one_request_is_retried_where_one_may_be(bench: Bench) -> None:
    case = named("one retry")
    asks = [get("/", "503,0.4:200"), get("/", "503,200")]
    settled = [{"upstream_rq_retry": 1}, {"upstream_rq_retry_overflow": 1}]
    both = [in_turn(bench, side, case, asks, settled) for side in (bench.envoy, bench.sidecar)]
    assert [outcome.answer.status for outcome in both[0]] == [200, 503]
    assert not [line for pair in zip(*both, strict=True) for line in differences(*(one.comparable() for one in pair))]
    retries = [name for name in COUNTED if "retry" in name]  # Envoy closes the connection of an answer that it gives up
    assert bench.envoy.stats("one-retry", *retries) == bench.sidecar.stats("one-retry", *retries)


@pytest.mark.parametrize("name", ["no waiting", "no retry", "three requests"])
def test_both_answer_alike(bench: Bench, name: str) -> None:
    case = named(name)
    cluster = case.routes[0].clusters[0].cluster
    bench.compare(case)
    assert bench.envoy.stats(cluster, *COUNTED) == bench.sidecar.stats(cluster, *COUNTED)
