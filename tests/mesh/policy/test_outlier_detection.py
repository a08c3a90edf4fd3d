"""Outlier detection, the decision."""

from mesh.model.cluster import OutlierDetection
from mesh.policy.outlier_detection import Cause, Record, answered, eject, enforced, look_again, restart_count, room, unanswered

SETTINGS = OutlierDetection(
    consecutive_5xx=3, consecutive_gateway_failure=2, base_ejection_seconds=10.0, max_ejection_seconds=25.0, max_ejection_percent=50
)


def test_the_limits_count_failures_in_a_row() -> None:
    record = Record()
    assert [answered(record, SETTINGS, status) for status in (500, 500, 200, 500, 500)] == [[]] * 5
    assert answered(record, SETTINGS, 500) == [Cause.CONSECUTIVE_5XX]
    assert answered(record, SETTINGS, 500) == []  # once


def test_gateway_errors_have_a_count_of_their_own() -> None:
    record = Record()
    assert [answered(record, SETTINGS, status) for status in (502, 500, 504)] == [[], [], [Cause.CONSECUTIVE_5XX]]
    restart_count(record, Cause.CONSECUTIVE_5XX)
    assert answered(record, SETTINGS, 503) == [Cause.CONSECUTIVE_GATEWAY_FAILURE]


def test_no_answer_counts_as_one_unless_the_two_are_told_apart() -> None:
    split = OutlierDetection(split_external_local_origin_errors=True, consecutive_local_origin_failure=1)
    record = Record()
    assert unanswered(record, SETTINGS, 503) == []
    assert record.consecutive_5xx == 1
    assert unanswered(record, split, 503) == [Cause.CONSECUTIVE_LOCAL_ORIGIN_FAILURE]
    assert record.consecutive_5xx == 1


def test_each_ejection_is_longer_than_the_last_up_to_a_limit() -> None:
    record, now, lengths = Record(), 0.0, []
    for _ in range(4):
        eject(record, SETTINGS, now)
        began = now
        while not look_again(record, SETTINGS, now):
            now += 1
        lengths.append(now - began)
    assert lengths == [10, 20, 25, 25]


def test_an_endpoint_that_behaves_is_forgiven_step_by_step() -> None:
    record = Record(times=2)
    assert [look_again(record, SETTINGS, 1.0), record.times, look_again(record, SETTINGS, 2.0), record.times] == [False, 1, False, 0]


def test_no_more_than_a_part_of_the_cluster_is_ejected() -> None:
    assert [room(SETTINGS, ejected, 4) for ejected in (0, 1, 2)] == [True, True, False]
    assert not room(SETTINGS, 0, 1)


def test_what_is_not_enforced_is_only_counted() -> None:
    assert not enforced(SETTINGS, Cause.CONSECUTIVE_GATEWAY_FAILURE, lambda: 0.0)
    assert enforced(SETTINGS, Cause.CONSECUTIVE_5XX, lambda: 0.999)
