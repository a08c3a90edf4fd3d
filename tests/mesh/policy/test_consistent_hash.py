"""Consistent hashing: the same hash and the same tables as Envoy's, and what they promise."""

from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from mesh.model.xxhash64 import xxhash64
from mesh.policy.consistent_hash import Maglev, Ring, key_of

NAMES = [f"10.0.0.{number}:8080" for number in range(1, 6)]
KEYS = [xxhash64(str(number).encode()) for number in range(4000)]
Table = Callable[[Sequence[str], Sequence[int]], Ring | Maglev]


@pytest.mark.parametrize(
    ("data", "plain", "seeded"),
    [
        (b"", 17241709254077376921, 15397730242686860875),
        (b"a", 15154266338359012955, 16051599287423682246),
        (b"jason", 13468311589255687167, 12209282967318089323),
        (b"127.0.0.1:8080_1023", 13467774474723663494, 13950531308369092261),
        (b"x" * 31, 6979749295578388976, 14922239680809824389),
        (b"y" * 32, 7267155159012462182, 14582915108349913609),
        (bytes(range(100)), 7692681977284421015, 4402730027071467555),
    ],
)
def test_the_hash_is_xxh64(data: bytes, plain: int, seeded: int) -> None:
    assert (xxhash64(data), xxhash64(data, 1)) == (plain, seeded)


@pytest.fixture(params=[Ring, lambda names, weights: Maglev(names, weights, 10007)], ids=["ring", "maglev"])
def table(request: pytest.FixtureRequest) -> Table:
    made: Table = request.param
    return made


def test_keys_spread_by_weight(table: Table) -> None:
    even, uneven = table(NAMES, [1] * 5), table(NAMES, [1, 1, 1, 1, 4])
    assert all(500 < count < 1150 for count in Counter(map(even.pick, KEYS)).values())
    assert 1600 < Counter(map(uneven.pick, KEYS))[4] < 2400


def test_most_keys_stay_where_they_are_when_an_endpoint_goes(table: Table) -> None:
    before, after = table(NAMES, [1] * 5), table(NAMES[:-1], [1] * 4)
    moved = sum(before.pick(key) != after.pick(key) for key in KEYS if before.pick(key) != 4)
    assert moved < 0.1 * len(KEYS)


def test_the_order_of_endpoints_does_not_matter(table: Table) -> None:
    names = NAMES[::-1]
    there, back = table(NAMES, [1] * 5), table(names, [1] * 5)
    assert all(NAMES[there.pick(key)] == names[back.pick(key)] for key in KEYS)


def test_keys_of_several_parts_differ_from_each_part() -> None:
    assert key_of([None, None]) is None
    assert key_of(["a", None]) == key_of([None, "a"]) == xxhash64(b"a")
    assert key_of(["a", "b"]) not in (key_of(["b", "a"]), key_of(["a"]))


def test_other_choices_for_a_key_find_other_endpoints(table: Table) -> None:
    whole = table(NAMES, [1] * 5)
    assert all(len({whole.pick(key, attempt) for attempt in range(40)}) == 5 for key in KEYS[:20])
