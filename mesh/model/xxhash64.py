"""XXH64, the hash by which Envoy spreads requests: the same key comes to the same endpoint through either data plane.

Envoy: source/common/common/hash.h HashUtil::xxHash64. The algorithm: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md.
Values come again and again (a user, a cookie), so the last ones are remembered.
"""

from functools import lru_cache
from struct import iter_unpack, unpack_from
from typing import Final

_MASK: Final = 2**64 - 1
_P1: Final = 0x9E3779B185EBCA87
_P2: Final = 0xC2B2AE3D27D4EB4F
_P3: Final = 0x165667B19E3779F9
_P4: Final = 0x85EBCA77C2B2AE63
_P5: Final = 0x27D4EB2F165667C5
REMEMBERED: Final = 4096


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (64 - bits))) & _MASK


def _round(accumulator: int, lane: int) -> int:
    return _rotate((accumulator + lane * _P2) & _MASK, 31) * _P1 & _MASK


def _stripes(data: bytes, length: int, seed: int) -> int:
    one, two, three, four = (seed + _P1 + _P2) & _MASK, (seed + _P2) & _MASK, seed, (seed - _P1) & _MASK
    for a, b, c, d in iter_unpack("<4Q", data[:length]):
        one, two, three, four = _round(one, a), _round(two, b), _round(three, c), _round(four, d)
    value = (_rotate(one, 1) + _rotate(two, 7) + _rotate(three, 12) + _rotate(four, 18)) & _MASK
    for accumulator in (one, two, three, four):
        value = ((value ^ _round(0, accumulator)) * _P1 + _P4) & _MASK
    return value


@lru_cache(REMEMBERED)
def xxhash64(data: bytes, seed: int = 0) -> int:
    size = len(data)
    at = size & ~31
    value = _stripes(data, at, seed) if at else (seed + _P5) & _MASK
    value = (value + size) & _MASK
    while at + 8 <= size:
        value = (_rotate(value ^ _round(0, unpack_from("<Q", data, at)[0]), 27) * _P1 + _P4) & _MASK
        at += 8
    if at + 4 <= size:
        value = (_rotate(value ^ (unpack_from("<I", data, at)[0] * _P1 & _MASK), 23) * _P2 + _P3) & _MASK
        at += 4
    for byte in data[at:]:
        value = _rotate(value ^ (byte * _P5 & _MASK), 11) * _P1 & _MASK
    value = (value ^ (value >> 33)) * _P2 & _MASK
    value = (value ^ (value >> 29)) * _P3 & _MASK
    return value ^ (value >> 32)
