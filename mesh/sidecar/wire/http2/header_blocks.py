"""Header blocks to fields and back: HPACK (RFC 7541) without a dynamic table on either side.

Envoy: nghttp2's tables of 4 KiB. Here the peer is told SETTINGS_HEADER_TABLE_SIZE=0; once it has acknowledged that, a block means the
same on every connection and forever, so that what it means is remembered by its bytes, and so is each field in it. Until then the
``hpack`` library keeps the table. The memory is bounded, and what never repeats or holds secrets is not remembered.

What is written here refers to the static table only.
"""

import re
from collections.abc import Iterator
from typing import Final

import hpack
from hpack.table import HeaderTable

from mesh.sidecar.headers import Field
from mesh.sidecar.wire.heads import FORGETTABLE, REMEMBERED_LINE_BYTES, REMEMBERED_LINES
from mesh.sidecar.wire.http2 import huffman

Entry = tuple[str, Field, int]
"""Name, field (a pseudo-header's has no line), and its size as RFC 9113 §6.5.2 counts it."""

_ENTRY_OVERHEAD_BYTES: Final = 32
_BOMB_FACTOR: Final = 4
"""A stateful block may be this much too large and still be answered; beyond, the table is lost and with it the connection."""

_NAME = re.compile(rb":?[!#$%&'*+\-.^_`|~0-9a-z]+")
VALUE = re.compile(rb"(?:[^\x00-\x20\x7f](?:[^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])?)?")


class BlockError(Exception):
    """Not HPACK: the connection cannot go on."""


class MalformedField(Exception):
    """HPACK, but not a field of HTTP: the stream cannot go on."""


class HeadTooLarge(Exception):
    """More fields, or longer ones, than wanted."""


def read_field(name: bytes, value: bytes) -> Entry:
    """Raises MalformedField where the name or the value has characters that HTTP does not (RFC 9113 §8.2.1)."""
    if not _NAME.fullmatch(name) or not VALUE.fullmatch(value):
        raise MalformedField("a field's name or value")
    line = b"" if name[0] == 0x3A else b"%b: %b\r\n" % (name, value)
    return name.decode("ascii"), (value.decode("utf-8", "surrogateescape"), line), len(name) + len(value) + _ENTRY_OVERHEAD_BYTES


_STATIC: Final[tuple[Entry, ...]] = tuple(read_field(*pair) for pair in HeaderTable.STATIC_TABLE)
_STATIC_NAMES: Final = tuple(name for name, _ in HeaderTable.STATIC_TABLE)
_LAST_INDEXED: Final = 0x80 + len(_STATIC)


def read_integer(block: bytes, position: int, prefix: int) -> tuple[int, int]:
    """The rest of an integer whose prefix is all ones; bounded, so that nobody makes it long."""
    value, shift = prefix, 0
    while shift < 28:
        byte = block[position]
        position += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise BlockError("an integer too large")


def _string_end(block: bytes, position: int) -> int:
    length = block[position] & 0x7F
    position += 1
    if length == 0x7F:
        length, position = read_integer(block, position, 0x7F)
    return position + length


def _literal_end(block: bytes, position: int) -> int:
    """Where the literal field that begins here ends; perhaps behind the block. Raises IndexError at the block's end."""
    return _string_end(block, _value_start(block, position))


def _value_start(block: bytes, position: int) -> int:
    mask = 0x3F if block[position] & 0x40 else 0x0F
    index = block[position] & mask
    position += 1
    if index == mask:
        _, position = read_integer(block, position, mask)
    elif not index:
        position = _string_end(block, position)
    return position


def _string(block: bytes, position: int) -> tuple[bytes, int]:
    coded = block[position] & 0x80
    end = _string_end(block, position)
    length = block[position] & 0x7F
    start = position + 1
    if length == 0x7F:
        _, start = read_integer(block, start, 0x7F)
    text = block[start:end]
    return huffman.decode(text) if coded else text, end


def _literal(raw: bytes) -> Entry:
    mask = 0x3F if raw[0] & 0x40 else 0x0F
    index, position = raw[0] & mask, 1
    if index == mask:
        index, position = read_integer(raw, position, mask)
    if not index:
        name, position = _string(raw, position)
    elif index <= len(_STATIC_NAMES):
        name = _STATIC_NAMES[index - 1]
    else:
        raise BlockError("an index without an entry")
    value, _ = _string(raw, position)
    return read_field(name, value)


class BlockMemory:
    """Reads and writes blocks that carry no state; one for all connections of a proxy."""

    def __init__(self) -> None:
        self._entries: dict[bytes, Entry] = {}
        self._encoded: dict[bytes, bytes] = {}

    def read(self, block: bytes, max_count: int, max_bytes: int) -> list[Entry]:
        """Raises BlockError, MalformedField, HeadTooLarge."""
        try:
            return self._read(block, max_count, max_bytes)
        except (IndexError, huffman.HuffmanError) as error:
            raise BlockError("a block cut short or badly coded") from error

    def _read(self, block: bytes, max_count: int, max_bytes: int) -> list[Entry]:
        known, entries = self._entries, []
        position, size = 0, len(block)
        while position < size and block[position] & 0xE0 == 0x20:
            position = _no_table(block, position)
        while position < size:
            first = block[position]
            if first & 0x80:
                if not 0x80 < first <= _LAST_INDEXED:
                    raise BlockError("an index without an entry")
                entry = _STATIC[first - 0x81]
                position += 1
            else:
                end = _literal_end(block, position)
                raw = block[position:end]
                if end > size:
                    raise BlockError("a block cut short")
                entry = known.get(raw) or self._literal(raw)
                position = end
            entries.append(entry)
            max_bytes -= entry[2]
            if max_bytes < 0 or len(entries) > max_count:
                raise HeadTooLarge
        return entries

    def literals(self, block: bytes) -> Iterator[tuple[int, int, Entry]]:
        """Every field of a well-formed block: where its value begins and ends (for an indexed one, nowhere), and what it is."""
        position = 0
        while position < len(block):
            first = block[position]
            if first & 0x80:
                yield position, position, _STATIC[first - 0x81]
                position += 1
            elif first & 0xE0 == 0x20:
                position += 1
            else:
                end = _literal_end(block, position)
                yield _value_start(block, position), end, _literal(block[position:end])
                position = end

    def _literal(self, raw: bytes) -> Entry:
        if raw[0] & 0xE0 == 0x20:
            raise BlockError("a table size behind a field")
        entry = _literal(raw)
        if len(raw) <= REMEMBERED_LINE_BYTES and entry[0] not in FORGETTABLE:
            if len(self._entries) >= REMEMBERED_LINES:
                self._entries.clear()
            self._entries[raw] = entry
        return entry

    def write(self, start: bytes, fields: dict[str, Field]) -> bytes:
        """``start``: the pseudo-headers. Fields that HTTP/2 does not have (RFC 9113 §8.2.2) and ``host`` are left out."""
        known, encode = self._encoded, self._encode
        return b"".join([start, *[known.get(line) or encode(line) for _, line in fields.values()]])

    def _encode(self, line: bytes) -> bytes:
        name, _, value = line.partition(b": ")
        start = _FORGETTABLE_STARTS.get(name)
        if start is not None and len(value) < _SHORT and value.find(b"\r\n") == len(value) - 2:
            return start + _LENGTHS[len(value) - 2] + value[:-2]
        encoded = b"".join([encode_field(*_split(one)) for one in line.split(b"\r\n")[:-1]])
        if encoded and start is None and len(line) <= REMEMBERED_LINE_BYTES:
            if len(self._encoded) >= REMEMBERED_LINES:
                self._encoded.clear()
            self._encoded[line] = encoded
        return encoded


def _split(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name, value.strip(b" \t")


def _no_table(block: bytes, position: int) -> int:
    """A size update at the start of a block; the only size allowed is none."""
    if block[position] != 0x20:
        raise BlockError("a table size that was not offered")
    return position + 1


class BlockReader:
    """Reads the blocks of one connection: with a table, until the peer has none."""

    def __init__(self, memory: BlockMemory, max_count: int, max_bytes: int) -> None:
        self._memory = memory
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._decoder: hpack.Decoder | None = hpack.Decoder(max_bytes * _BOMB_FACTOR)
        self._acknowledged = False
        self.stateless = False

    def acknowledged(self) -> None:
        """The peer knows that there shall be no table; its next block says that there is none (RFC 7541 §4.2).

        An encoder that does not keeps its table, of the size that every connection begins with, and the slow way.
        """
        self._acknowledged = True

    def read(self, block: bytes) -> list[Entry]:
        """Raises BlockError, MalformedField, HeadTooLarge. All of a block is read, so that the table stays right."""
        if self._decoder is None:
            return self._memory.read(block, self._max_count, self._max_bytes)
        decoder = self._decoder
        if self._acknowledged and block and block[0] & 0xE0 == 0x20:
            decoder.max_allowed_table_size = 0
        pairs = self._decode(decoder, block)
        if self._acknowledged and not decoder.header_table_size:
            self._decoder = None
            self.stateless = True
        if len(pairs) > self._max_count or sum(len(n) + len(v) + _ENTRY_OVERHEAD_BYTES for n, v in pairs) > self._max_bytes:
            raise HeadTooLarge
        return [read_field(name, value) for name, value in pairs]

    @staticmethod
    def _decode(decoder: hpack.Decoder, block: bytes) -> list[tuple[bytes, bytes]]:
        try:
            return [(bytes(pair[0]), bytes(pair[1])) for pair in decoder.decode(block, raw=True)]
        except (hpack.HPACKError, ValueError, IndexError) as error:
            raise BlockError(str(error)) from error


# --- writing

NO_TABLE: Final = b"\x20"
"""At the start of the first block: this side's table has no room from here on."""

_NAME_INDEX: Final = {name: index for index, (name, _) in reversed(list(enumerate(HeaderTable.STATIC_TABLE, 1)))}
_PAIR_INDEX: Final = {pair: index for index, pair in reversed(list(enumerate(HeaderTable.STATIC_TABLE, 1)))}
_NEVER_INDEXED: Final = frozenset({b"authorization", b"proxy-authorization", b"cookie", b"set-cookie"})
_NOT_HTTP2: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"http2-settings", b"host"}
)


def _prefixed(value: int, mask: int, flags: int) -> bytes:
    if value < mask:
        return bytes((flags | value,))
    value -= mask
    octets = [flags | mask]
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


_SHORT: Final = 0x7F
_LENGTHS: Final = tuple(bytes((length,)) for length in range(_SHORT))


def encode_string(text: bytes) -> bytes:
    """Not Huffman-coded: bytes on the wire are cheap inside a mesh, cycles are not."""
    size = len(text)
    return _LENGTHS[size] + text if size < _SHORT else _prefixed(size, _SHORT, 0) + text


def encode_path(path: str) -> bytes:
    text = path.encode("utf-8", "surrogateescape")
    size = len(text)
    return b"\x04" + _LENGTHS[size] + text if 1 < size < _SHORT else encode_field(b":path", text)


def _field_start(name: bytes) -> bytes:
    flags = 0x10 if name in _NEVER_INDEXED else 0
    index = _NAME_INDEX.get(name)
    return bytes((flags,)) + encode_string(name) if index is None else _prefixed(index, 0x0F, flags)


def encode_field(name: bytes, value: bytes) -> bytes:
    """One field, or nothing if HTTP/2 does not have it."""
    index = _PAIR_INDEX.get((name, value))
    if index is not None:
        return bytes((0x80 | index,))
    if name in _NOT_HTTP2 or (name == b"te" and value.lower() != b"trailers"):
        return b""
    return _field_start(name) + encode_string(value)


_FORGETTABLE_STARTS: Final = {name.encode(): _field_start(name.encode()) for name in FORGETTABLE}
"""How fields begin that are written anew each time."""
