"""A name for each request that the logs of all its hops share. Envoy: x-request-id, uuid extension. Istio: on at every proxy.

The first proxy that sees a request names it; the others pass the name on, and so must the applications between them.
"""

from collections.abc import Callable
from random import Random

from mesh.sidecar.filter import Field


class RequestIds:
    """Random UUIDs (version 4), from a generator of its own: they have to be unlikely to clash, not hard to guess."""

    def __init__(self, random: Random | None = None) -> None:
        self._bits: Callable[[int], int] = (random or Random()).getrandbits  # noqa: S311 - see above

    def __call__(self) -> Field:
        digits = f"{self._bits(128):032x}"
        value = f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{'89ab'[int(digits[16], 16) & 3]}{digits[17:20]}-{digits[20:]}"
        return value, b"x-request-id: %b\r\n" % value.encode()
