"""Consistent hashing: requests with the same key go to the same endpoint, and most still do when endpoints come and go.

Envoy: source/common/upstream/ring_hash_lb.cc, maglev_lb.cc, common/http/hash_policy.cc. Istio: loadBalancer.consistentHash. The tables
are built as Envoy builds them, with its hash, so that both data planes choose the same endpoint. Lesson: scenarios/load_balancing.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import ceil

from mesh.model.world import Dice
from mesh.model.xxhash64 import xxhash64

MIN_RING_SIZE = 1024
MAX_RING_SIZE = 8 * 1024 * 1024
MAGLEV_SIZE = 65537
_MASK = 2**64 - 1


class Source(Enum):
    HEADER = "header"
    COOKIE = "cookie"
    SOURCE_IP = "source ip"
    QUERY = "query"


@dataclass(frozen=True, slots=True)
class HashPolicy:
    """What of a request is its key. A cookie with ``ttl_seconds`` is made where the client has none; 0 makes it last a session."""

    source: Source
    name: str = ""
    path: str = ""
    ttl_seconds: float | None = None


def set_cookie(policy: HashPolicy, value: str) -> str:
    age = f"; Max-Age={int(policy.ttl_seconds)}" if policy.ttl_seconds else ""
    path = f"; Path={policy.path}" if policy.path else ""
    return f'{policy.name}="{value}"{age}{path}; HttpOnly'


def key_of(values: Sequence[str | None]) -> int | None:
    """None where the request has none of it: then the dice choose."""
    key: int | None = None
    for value in values:
        if value is not None:
            one = xxhash64(value.encode("utf-8", "surrogateescape"))
            key = one if key is None else (((key << 1) | (key >> 63)) & _MASK) ^ one
    return key


def random_key(dice: Dice) -> int:
    return int(dice() * 2**64)


class Ring:
    """Points on a circle; a key belongs to the next one, and another choice for it to one after that."""

    def __init__(self, names: Sequence[str], weights: Sequence[int], smallest: int = MIN_RING_SIZE) -> None:
        whole = sum(weights)
        shares = [weight / whole for weight in weights]
        scale = min(ceil(min(shares) * smallest) / min(shares), float(MAX_RING_SIZE))
        points: list[tuple[int, int]] = []
        target = 0.0
        for index, (name, share) in enumerate(zip(names, shares, strict=True)):
            target += scale * share
            number = 0
            while len(points) < target:
                points.append((xxhash64.__wrapped__(f"{name}_{number}".encode()), index))
                number += 1
        points.sort()
        self._hashes = [point for point, _ in points]
        self._indices = [index for _, index in points]

    def pick(self, key: int, attempt: int = 0) -> int:
        return self._indices[(bisect_left(self._hashes, key) + attempt) % len(self._hashes)]


class Maglev:
    """A table in which each endpoint has taken, in turn, the next free place of its own permutation."""

    def __init__(self, names: Sequence[str], weights: Sequence[int], size: int = MAGLEV_SIZE) -> None:
        order = sorted(range(len(names)), key=names.__getitem__)
        heaviest = max(weights)
        table = [-1] * size
        places = [xxhash64(names[i].encode()) % size for i in order]
        skips = [xxhash64(names[i].encode(), 1) % (size - 1) + 1 for i in order]
        targets = [0.0] * len(order)
        filled, turn = 0, 0
        while filled < size:
            turn += 1
            for number, index in enumerate(order):
                if filled == size or turn * weights[index] < targets[number]:
                    continue
                targets[number] += heaviest
                place, skip = places[number], skips[number]
                while table[place] >= 0:
                    place = (place + skip) % size
                table[place] = index
                places[number] = (place + skip) % size
                filled += 1
        self._table = table

    def pick(self, key: int, attempt: int = 0) -> int:
        if attempt:
            key ^= _MASK - attempt + 1
        return self._table[key % len(self._table)]
