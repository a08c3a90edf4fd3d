"""The client's side of one ADS stream, state of the world, without I/O: which request follows which event.

Envoy: xds_protocol.rst. Listeners and clusters are asked for by the wildcard, endpoints and routes by name. After a reconnect the
versions that are in use are named again, with an empty nonce.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from mesh.xds.types import CDS, EDS, LDS, PUSH_ORDER, RDS, WILDCARD


@dataclass(frozen=True, slots=True)
class Request:
    """``error`` set makes it a NACK of the response with ``nonce``; ``version`` is then still the one in use."""

    type_url: str
    version: str = ""
    nonce: str = ""
    names: tuple[str, ...] = ()
    error: str = ""


@dataclass(slots=True)
class _Type:
    names: frozenset[str] = frozenset()
    version: str = ""
    nonce: str = ""
    asked: bool = field(default=False)


class ClientState:
    def __init__(self) -> None:
        self._types = {type_url: _Type() for type_url in (CDS, EDS, LDS, RDS)}

    def connected(self) -> list[Request]:
        """The first requests on a new stream."""
        requests = []
        for type_url in PUSH_ORDER:
            state = self._types[type_url]
            state.nonce = ""
            state.asked = type_url in WILDCARD or bool(state.names)
            if state.asked:
                requests.append(self._request(type_url))
        return requests

    def want(self, type_url: str, names: Iterable[str]) -> Request | None:
        """Subscribe to exactly these names; None when that is so already."""
        state = self._types[type_url]
        wanted = frozenset(names)
        if wanted == state.names and state.asked:
            return None
        if not wanted and not state.asked:
            return None
        state.names, state.asked = wanted, True
        return self._request(type_url)

    def accepted(self, type_url: str, version: str, nonce: str) -> Request:
        state = self._types[type_url]
        state.version, state.nonce = version, nonce
        return self._request(type_url)

    def rejected(self, type_url: str, nonce: str, error: str) -> Request:
        self._types[type_url].nonce = nonce
        return self._request(type_url, error)

    def version(self, type_url: str) -> str:
        """The version in use, empty before the first."""
        return self._types[type_url].version

    def _request(self, type_url: str, error: str = "") -> Request:
        state = self._types[type_url]
        return Request(type_url, state.version, state.nonce, tuple(sorted(state.names)), error)
