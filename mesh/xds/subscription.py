"""The server's side of one ADS stream, state of the world, without I/O: what to send when a request or a new snapshot comes.

Envoy: xds_protocol.rst. Three rules go beyond it:

- One response in flight a type: what comes meanwhile waits for the ACK or NACK, so that an ACK always says which resources it means.
- Make before break: listeners and routes wait until the clusters and endpoints they need are acknowledged, and a cluster that
  goes is kept until no acknowledged listener or route can need it.
- A changed cluster makes Envoy warm it until its endpoints come again, so they are sent again, changed or not.

A NACK is never answered with what was rejected: only a change is sent.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mesh.xds.types import CDS, EDS, LDS, PUSH_ORDER, RDS, WILDCARD


@dataclass(frozen=True, slots=True)
class Packed:
    """A resource ready to go: ``any`` is its protobuf, ``digest`` stands for its content."""

    name: str
    any: Any
    digest: str


Resources = Mapping[str, Mapping[str, Packed]]  # by type URL, then by name


@dataclass(frozen=True, slots=True)
class Response:
    type_url: str
    version: str
    nonce: str
    resources: tuple[Packed, ...]


@dataclass(slots=True)
class _Type:
    """What is known of one type on this stream. The three maps are name → digest."""

    names: frozenset[str] | None = None  # None: the wildcard
    asked: bool = True  # an answer is due, even one that says nothing new
    nonce: str = ""  # of the response in flight
    last_nonce: str = ""
    version_sent: str = ""
    version_acked: str = ""
    error: str = ""
    in_flight: dict[str, str] = field(default_factory=dict)
    acked: dict[str, str] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    force: set[str] = field(default_factory=set)


class Subscription:
    """``narrow``: a client that asks by name for all it needs (proxyless gRPC); only what it asked for counts as owed to it."""

    def __init__(self, *, narrow: bool = False) -> None:
        self._narrow = narrow
        self._types: dict[str, _Type] = {}
        self._snapshot: Resources = {}
        self._version = ""
        self._nonces = (f"{number:x}" for number in itertools.count(1))
        self._clusters_sent: Mapping[str, Packed] = {}  # a leaving cluster is sent from here until it may go

    def on_snapshot(self, version: str, resources: Resources) -> list[Response]:
        """The newest truth; what the stream is behind on is sent now or when its turn comes."""
        self._version, self._snapshot = version, resources
        return list(self._pump())

    def on_request(self, type_url: str, *, nonce: str, names: Iterable[str], error: str | None) -> list[Response]:
        """A first request, a changed subscription, an ACK (``error`` None) or a NACK. A stale nonce is passed over."""
        wanted = frozenset(names)
        state = self._types.get(type_url)
        if state is None or not nonce:
            state = self._types[type_url] = _Type()
        elif nonce != state.last_nonce:
            return []
        elif nonce == state.nonce:
            self._settle(state, error)
        self._rename(type_url, state, wanted)
        return list(self._pump())

    def _settle(self, state: _Type, error: str | None) -> None:
        if error is None:
            state.acked, state.rejected, state.error = state.in_flight, {}, ""
            state.version_acked = state.version_sent
        else:
            state.rejected, state.error = state.in_flight, error or "rejected without a reason"
        state.nonce = ""

    def _rename(self, type_url: str, state: _Type, wanted: frozenset[str]) -> None:
        """``*`` or nothing means all for listeners and clusters, unless names were asked for before."""
        if type_url in WILDCARD and ("*" in wanted or (not wanted and not state.names)):
            state.names = None
            return
        before = state.names or frozenset()
        state.names = wanted
        if wanted - before:
            state.asked = True
        for name in before - wanted:
            state.acked.pop(name, None)

    def _wanted(self, type_url: str, state: _Type) -> dict[str, Packed]:
        there = self._snapshot.get(type_url, {})
        return dict(there) if state.names is None else {name: there[name] for name in sorted(state.names) if name in there}

    def _pump(self) -> Iterator[Response]:
        """Send what is due, in push order."""
        if not self._version:
            return
        for type_url in PUSH_ORDER:
            state = self._types.get(type_url)
            if state is None or state.nonce:
                continue
            if type_url in (LDS, RDS) and (self.behind(CDS) or self.behind(EDS)):
                return
            response = self._next(type_url, state)
            if response is not None:
                yield response

    def _next(self, type_url: str, state: _Type) -> Response | None:
        wanted = self._wanted(type_url, state)
        digests = {name: packed.digest for name, packed in wanted.items()}
        whole = type_url in (CDS, LDS)  # here what is left out is gone
        if type_url == CDS and state.names is None and (self.behind(LDS) or self.behind(RDS)):
            digests = {**state.acked, **digests}
        changed = {name for name, digest in digests.items() if state.acked.get(name) != digest} | (state.force & set(digests))
        removed = whole and bool(set(state.acked) - set(digests))
        if state.rejected and digests == state.rejected:
            return None
        if not (changed or removed or state.asked):
            state.rejected, state.error = {}, ""  # what was rejected is wanted no more
            return None
        if not digests and not whole:
            return None  # named, but none of it exists yet
        if type_url == CDS:
            self._warm_again(changed)
            wanted |= {name: self._clusters_sent[name] for name in set(digests) - set(wanted)}
            self._clusters_sent = wanted
        chosen = wanted.values() if whole or state.asked else [wanted[name] for name in sorted(changed)]
        state.asked, state.force = False, set()
        state.in_flight, state.version_sent = digests, self._version
        state.nonce = state.last_nonce = next(self._nonces)
        return Response(type_url, self._version, state.nonce, tuple(chosen))

    def _warm_again(self, clusters: set[str]) -> None:
        endpoints = self._types.get(EDS)
        if endpoints is not None:
            endpoints.force |= clusters & set(endpoints.acked)

    def behind(self, type_url: str) -> bool:
        """Whether the client still lacks something of this type that the snapshot has for it."""
        state = self._types.get(type_url)
        owed = self._snapshot.get(type_url, {})
        if self._narrow:
            owed = self._wanted(type_url, state) if state is not None else {}
        if state is None:
            return bool(owed)
        return any(state.acked.get(name) != packed.digest for name, packed in owed.items()) or bool(state.force)

    @property
    def settled(self) -> bool:
        """The client has applied the whole snapshot: all of it acknowledged, nothing in flight, nothing left that should be gone."""
        if not self._version or any(self.behind(type_url) or self._surplus(type_url) for type_url in PUSH_ORDER):
            return False
        return not any(state.nonce or state.error for state in self._types.values())

    def _surplus(self, type_url: str) -> bool:
        state = self._types.get(type_url)
        if state is None or type_url not in WILDCARD:
            return False
        return bool(set(state.acked) - set(self._snapshot.get(type_url, {})))

    @property
    def error(self) -> str:
        """The last NACK's text while it stands, empty otherwise."""
        return next((state.error for state in self._types.values() if state.error), "")

    def status(self, type_url: str) -> tuple[str, str, str, str]:
        """(sent version, acknowledged version, SYNCED | STALE | NOT SENT | NACK, error), as ``istioctl proxy-status`` tells it."""
        state = self._types.get(type_url)
        if state is None or not state.version_sent:
            return "", "", "NOT SENT", ""
        if state.error:
            return state.version_sent, state.version_acked, "NACK", state.error
        word = "STALE" if state.nonce or self.behind(type_url) else "SYNCED"
        return state.version_sent, state.version_acked, word, ""
