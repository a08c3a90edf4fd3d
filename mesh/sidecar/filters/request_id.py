"""A name for each request that the logs of all its hops share. Envoy: x-request-id, uuid extension. Istio: on at every proxy.

The first proxy that sees a request names it; the others pass the name on, and so must the applications between them.
"""

from collections.abc import Callable
from random import Random

from mesh.sidecar.filter import Field

_FREE = ~(0xF << 76 | 0x3 << 62)
_VERSION_4 = 0x4 << 76 | 0x2 << 62


class RequestIds:
    """Random UUIDs (version 4), from a generator of its own: they have to be unlikely to clash, not hard to guess."""

    def __init__(self, random: Random | None = None) -> None:
        self._bits: Callable[[int], int] = (random or Random()).getrandbits  # noqa: S311 - see above

    def __call__(self) -> Field:
        digits = "%032x" % (self._bits(128) & _FREE | _VERSION_4)
        value = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
        return value, b"x-request-id: %b\r\n" % value.encode()
