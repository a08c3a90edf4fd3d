"""Header blocks that are alike but for a few values: a path, a request id, a length.

No counterpart in Envoy. Most heads on a connection differ from the one before in nothing else, so what is the same is compared as
bytes, and only those values are read. What does not fit, in any way, is left to the slow way, which also says what is wrong with it.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from mesh.sidecar.headers import Field
from mesh.sidecar.wire.heads import FORGETTABLE
from mesh.sidecar.wire.http2 import huffman
from mesh.sidecar.wire.http2.header_blocks import VALUE, BlockError, BlockMemory, read_integer

_CHANGING: Final = FORGETTABLE | {
    ":path",
    "content-length",
    "date",
    "grpc-timeout",
    "last-modified",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-upstream-service-time",
    "x-forwarded-for",
}
_PATTERNS: Final = {":path": re.compile(rb"/[\x21-\x7e]*").fullmatch, "content-length": re.compile(rb"[0-9]{1,18}").fullmatch}
_MAX_LEARNED_AT_ONCE: Final = 32
_KEPT: Final = 4

Hole = tuple[bytes, str, bytes, Callable[[bytes], object]]
"""What stands before the value, the field's name, how its line begins, what the value must be."""

Filled = tuple[dict[str, Field], str, int]
"""Fields, path ("" if it is not among the values), and content-length (-1 if it is not)."""


class Shape:
    """A block with holes for the values that change."""

    __slots__ = ("_fields", "_holes", "_room_bytes", "_tail", "head")

    def __init__(self, head: tuple[Any, ...], fields: dict[str, Field], holes: list[Hole], tail: bytes, room_bytes: int) -> None:
        self.head = head  # of the block it was learnt from
        self._fields = fields
        self._holes = holes
        self._tail = tail
        self._room_bytes = room_bytes  # for all values in the holes

    def fill(self, block: bytes) -> Filled | None:
        """Read a block of this shape; None if it is not."""
        position, room, path, length = 0, self._room_bytes, "", -1
        fields = None
        for before, name, begin, allowed in self._holes:
            if not block.startswith(before, position):
                return None
            start = position + len(before) + 1
            coded = block[start - 1]
            size = coded & 0x7F
            if size == 0x7F:
                size, start = read_integer(block, start, 0x7F)
            position = start + size
            value = block[start:position]
            if coded & 0x80:
                value = huffman.decode(value)
            room -= len(value)
            if not allowed(value):
                return None
            text = value.decode("utf-8", "surrogateescape")
            if fields is None:
                fields = self._fields.copy()
            if begin:
                fields[name] = text, begin + value + b"\r\n"
                if name == "content-length":
                    length = int(text)
            else:
                path = text
        if fields is None or room < 0 or position > len(block) or block[position:] != self._tail:
            return None
        return fields, path, length


class Shapes:
    """The shapes that one peer sends. ``learn`` is for blocks that ``match`` did not know."""

    __slots__ = ("_kept", "_may_learn")

    def __init__(self) -> None:
        self._kept: list[Shape] = []
        self._may_learn = _MAX_LEARNED_AT_ONCE  # a peer that never sends the same shape is not learnt from without end

    def match(self, block: bytes) -> tuple[tuple[Any, ...], Filled] | None:
        """Head of the block from which the shape was learnt, and what is different in this one."""
        for shape in self._kept:
            try:
                filled = shape.fill(block)
            except (IndexError, BlockError, huffman.HuffmanError):
                continue
            if filled is not None:
                if self._may_learn < _MAX_LEARNED_AT_ONCE:
                    self._may_learn += 1
                return shape.head, filled
        return None

    def learn(self, block: bytes, head: tuple[Any, ...], fields: dict[str, Field], memory: BlockMemory, max_bytes: int) -> None:
        """``fields`` are those of the head, from a block without state that was well-formed."""
        if not self._may_learn:
            return
        self._may_learn -= 1
        holes: list[Hole] = []
        seen: set[str] = set()
        begin = 0
        for start, end, (name, (value, _), size) in memory.literals(block):
            max_bytes -= size
            if name in seen:
                return  # joined with the other: not what a hole is
            if name in _CHANGING:
                seen.add(name)
            if name not in seen or start == end:
                continue
            max_bytes += len(value.encode("utf-8", "surrogateescape"))
            line = b"" if name[0] == ":" else name.encode() + b": "
            holes.append((block[begin:start], name, line, _PATTERNS.get(name, VALUE.fullmatch)))
            begin = end
        if holes:
            template = fields | {name: ("", b"") for _, name, line, _ in holes if line}  # what is secret is not kept
            self._kept.insert(0, Shape(head, template, holes, block[begin:], max_bytes))
            del self._kept[_KEPT:]
