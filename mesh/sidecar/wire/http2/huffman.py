"""Huffman-coded strings of RFC 7541 §5.2, a byte at a time.

The code is the library's table. A step (where we are in the tree, and eight bits more) is worked out when it first happens and kept:
text uses few of them, and there are not more than 256 x 256.
"""

from typing import Final

from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

_EOS: Final = 256
_MAX_PADDING_BITS: Final = 7


class HuffmanError(Exception):
    """Not the code, or padding that is too long or not of ones."""


def _tree() -> list[list[int]]:
    """Inner nodes as [on 0, on 1]; a leaf is the complement of its symbol."""
    nodes: list[list[int]] = [[0, 0]]
    for symbol, (code, length) in enumerate(zip(REQUEST_CODES, REQUEST_CODES_LENGTH, strict=True)):
        node = 0
        for shift in range(length - 1, 0, -1):
            bit = code >> shift & 1
            if not nodes[node][bit]:
                nodes.append([0, 0])
                nodes[node][bit] = len(nodes) - 1
            node = nodes[node][bit]
        nodes[node][code & 1] = ~symbol
    return nodes


_NODES: Final = _tree()
_steps: dict[int, tuple[int, bytes]] = {}


def _final_nodes() -> frozenset[int]:
    """Where a string may end: at the root, or up to seven ones below it."""
    nodes, node = {0}, 0
    for _ in range(_MAX_PADDING_BITS):
        node = _NODES[node][1]
        nodes.add(node)
    return frozenset(node << 8 for node in nodes)


_FINAL: Final = _final_nodes()


def _step(key: int) -> tuple[int, bytes]:
    """``key``: node << 8 | byte. Answers the next node << 8 and what was read."""
    node, byte, text = key >> 8, key & 0xFF, bytearray()
    for shift in range(7, -1, -1):
        node = _NODES[node][byte >> shift & 1]
        if node < 0:
            if ~node == _EOS:
                raise HuffmanError("end of string inside")
            text.append(~node)
            node = 0
    step = _steps[key] = node << 8, bytes(text)
    return step


def decode(data: bytes) -> bytes:
    """Raises HuffmanError."""
    known, node, pieces = _steps, 0, []
    for byte in data:
        node, text = known.get(node | byte) or _step(node | byte)
        pieces.append(text)
    if node not in _FINAL:
        raise HuffmanError("padding")
    return b"".join(pieces)
