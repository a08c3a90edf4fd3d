"""Endpoints that fail again and again are left alone for a while."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from side_by_side.bench import Bench, Side, differences, one_of
from side_by_side.cases import Case, case, get, to
from side_by_side.envoy import free_port

from lab.until import until
from mesh.model.cluster import Cluster, OutlierDetection
from mesh.policy.timeout import Timeout

COUNTED = (
    "outlier_detection.ejections_active",
    "outlier_detection.ejections_overflow",
    "outlier_detection.ejections_enforced_total",
    "outlier_detection.ejections_detected_consecutive_5xx",
    "outlier_detection.ejections_enforced_consecutive_5xx",
    "outlier_detection.ejections_detected_consecutive_gateway_failure",
    "outlier_detection.ejections_enforced_consecutive_gateway_failure",
)
LONG = OutlierDetection(consecutive_5xx=3, interval_seconds=0.1, base_ejection_seconds=60.0, max_ejection_percent=100)
SHORT = replace(LONG, base_ejection_seconds=1.5)
GATEWAY = replace(LONG, consecutive_5xx=0, consecutive_gateway_failure=2, enforcing_consecutive_gateway_failure=100)
LOCAL = replace(LONG, split_external_local_origin_errors=True, consecutive_local_origin_failure=2)


def clusters(ports: dict[str, int]) -> Sequence[Cluster]:
    def watched(name: str, outlier: OutlierDetection, *colors: str) -> Cluster:
        return replace(one_of(name, *(ports[color] for color in colors)), outlier_detection=outlier)

    refusing = replace(one_of("never there", free_port()), outlier_detection=LONG)
    refusing_locally = replace(one_of("never there locally", free_port()), outlier_detection=LOCAL)
    return [
        *(watched(name, LONG, "red") for name in ("fails", "recovers", "breaks", "too late", "no cluster of its own")),
        watched("returns", SHORT, "red"),
        watched("gateway", GATEWAY, "red"),
        watched("other 5xx", GATEWAY, "red"),
        watched("local", LOCAL, "red"),
        watched("not local", LOCAL, "red"),
        watched("two", LONG, "red", "green"),
        watched("at most 50", replace(LONG, max_ejection_percent=50), "red", "green"),
        watched("at most 49", replace(LONG, max_ejection_percent=49), "red", "green"),
        replace(watched("panic", LONG, "red", "green"), panic_percent=60.0),
        refusing,
        refusing_locally,
    ]


def times(count: int, script: str) -> list:
    return [get("/", script)] * count


CASES = [
    case("fails", to("fails"), *times(5, "503")),
    case("recovers", to("recovers"), *times(2, "500"), get(), *times(2, "500"), get(), *times(3, "500"), get()),
    case("breaks", to("breaks"), *times(5, "close")),
    case("too late", to("too late", Timeout(0.05)), *times(4, "0.2:200")),
    case("gateway", to("gateway"), get("/", "503"), get("/", "500"), get("/", "502"), get("/", "504"), get()),
    case("other 5xx", to("other 5xx"), *times(6, "500")),
    case("local", to("local"), *times(4, "close")),
    case("not local", to("not local"), *times(3, "503"), get()),
    case("never there locally", to("never there locally"), *[get()] * 4),
    case("never there", to("never there"), *[get()] * 5),
    case("at most 49", to("at most 49"), *times(8, "503")),
    case("two", to("two")),
    case("at most 50", to("at most 50")),
    case("panic", to("panic")),
    case("returns", to("returns")),
]
BY_TURN = ("two", "at most 50", "at most 49", "panic", "returns")


@pytest.mark.parametrize("name", [case.name for case in CASES if case.name not in BY_TURN])
def test_both_eject_alike(bench: Bench, name: str) -> None:
    case = named(name)
    for number, ask in enumerate(case.asks):
        envoy, sidecar = bench.ask(case, ask)
        assert not differences(envoy.comparable(), sidecar.comparable()), number
        settle(bench.envoy, name)
    assert bench.envoy.stats(name, *COUNTED) == bench.sidecar.stats(name, *COUNTED)


def named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def settle(side: Side, cluster: str) -> None:
    """Envoy ejects in its main thread, which answers this; its worker hears of it a moment later."""
    side.stats(cluster)


def ask(bench: Bench, side: Side, name: str, script: str, count: int) -> list[tuple[int, str]]:
    """Status, and who answered."""
    case = named(name)
    outcomes = []
    for _ in range(count):
        outcomes.append(side.ask(bench.listener_of(case), case.domain, get("/", script)))
        settle(side, name)
    return [(outcome.answer.status, outcome.upstream[0].cluster if outcome.upstream else "") for outcome in outcomes]


@pytest.mark.parametrize(("name", "left"), [("two", 0), ("at most 50", 1), ("at most 49", 2), ("panic", 2)])
def test_both_leave_as_many_where_all_fail(bench: Bench, name: str, left: int) -> None:
    def who_answers(side: Side) -> set[tuple[int, str]]:
        return set(ask(bench, side, name, "200", 6))

    for side in (bench.envoy, bench.sidecar):
        ask(bench, side, name, "503", 12)
        # Envoy's worker hears of a second change within a second only then (update_merge_window).
        until(lambda side=side: len({who for _, who in who_answers(side) if who}) == left, 5, f"{side.name} leaves {left}")
        assert {status for status, _ in who_answers(side)} == ({200} if left else {503}), side.name
    names = [name for name in COUNTED if not name.endswith("overflow")]
    assert bench.envoy.stats(name, *names) == bench.sidecar.stats(name, *names)


def test_both_take_an_endpoint_back(bench: Bench) -> None:
    for side in (bench.envoy, bench.sidecar):
        assert [status for status, _ in ask(bench, side, "returns", "503", 3)] == [503] * 3
        until(lambda side=side: ask(bench, side, "returns", "200", 1) == [(503, "")], 3, f"{side.name} ejects it")
        until(lambda side=side: ask(bench, side, "returns", "200", 1) == [(200, "red")], 5, f"{side.name} takes it back")
        assert side.stats("returns", "outlier_detection.ejections_active") == {"outlier_detection.ejections_active": 0}
