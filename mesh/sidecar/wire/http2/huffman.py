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


class _Steps(dict[int, "tuple[_Steps, bytes]"]):
    """From one node of the tree: byte to the next node's steps and what was read. ``final``: a string may end here."""

    __slots__ = ("final", "node")

    def __init__(self, node: int) -> None:
        super().__init__()
        self.node = node
        self.final = False

    def __missing__(self, byte: int) -> "tuple[_Steps, bytes]":
        node, text = self.node, bytearray()
        for shift in range(7, -1, -1):
            node = _NODES[node][byte >> shift & 1]
            if node < 0:
                if ~node == _EOS:
                    raise HuffmanError("end of string inside")
                text.append(~node)
                node = 0
        step = self[byte] = _steps[node], bytes(text)
        return step


_steps: Final = [_Steps(node) for node in range(len(_NODES))]


def _mark_final() -> _Steps:
    """A string ends at the root, or up to seven ones below it. Answers the root."""
    node = 0
    _steps[0].final = True
    for _ in range(_MAX_PADDING_BITS):
        node = _NODES[node][1]
        _steps[node].final = True
    return _steps[0]


_ROOT: Final = _mark_final()


def decode(data: bytes) -> bytes:
    """Raises HuffmanError."""
    steps, pieces = _ROOT, []
    for byte in data:
        steps, text = steps[byte]
        pieces.append(text)
    if not steps.final:
        raise HuffmanError("padding")
    return b"".join(pieces)
