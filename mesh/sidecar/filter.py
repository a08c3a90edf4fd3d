"""The shape of a feature in the data plane: ``async (Request, Forward) -> Response``, and the nouns it handles.

Envoy: Http::StreamFilter. A filter looks at the request, perhaps answers itself (``local_reply``), perhaps awaits ``forward(request)``
once or several times, and looks at the response. Cancelling the await (``asyncio.timeout``) resets the upstream request. Bodies are
streams (``mesh.sidecar.body``); a filter touches them only if it must.

How to write one (``filters/fault.py`` for example): a module has ``build(scope, context) -> Filter | None``, called once per route and
cluster when configuration arrives; None means that this route does not use the feature, and then it costs nothing. What it returns is
called for each request, for many at the same time: it keeps no state of a request in itself.

    def build(scope: Scope, context: Context) -> Filter | None:
        fault = scope.policy(Fault)
        return None if fault is None else FaultFilter(fault, context.dice, context.sleep)

How to …
- answer oneself: ``return local_reply(503, "no healthy upstream", details="no_healthy_upstream", flags=Flag.UH)``.
- mark without answering: ``request.stream.flags |= Flag.DI``. Flags of a reply that is given up (a retry follows) do not count, so a
  filter sets those on the response it returns: ``response.flags |= Flag.URX``.
- retry: ``request.body.retain(limit)`` before the first ``forward``; afterwards ``request.body.replayable`` says whether another
  ``forward(request)`` would send the whole body; ``response.discard()`` gives the failed answer up. ``response.reset`` says which way
  the upstream failed (``Reset``), None for an answer that came from upstream. ``request.host_selection_attempts = 5`` makes the
  balancer look for an endpoint that is not in ``request.stream.tried``. A forward changes nothing in ``request`` but its stream info.
- limit the time of the whole answer: watch ``response.body.on_end(…)``, and ``response.body.fail("…")`` cuts it off downstream;
  ``request.body.on_end`` tells when the request was entirely here (Envoy starts the route's time-out then).
- send a copy: ``context.background(context.send(cluster, copy))`` with ``copy = request.copy(Body.of(data))``.
- change headers on the hot path: build ``field(name, value)`` in ``build`` and write ``request.headers.fields[name] = FIELD``.
"""

import enum
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from mesh.model.route import Route, RouteConfiguration, VirtualHost, WeightedCluster, find_policy
from mesh.model.world import Clock, Dice
from mesh.sidecar.body import EMPTY, Body, BodyBroken, BodyTooLarge
from mesh.sidecar.headers import Field, Headers, field
from mesh.sidecar.stream_info import UNKNOWN_PEER, Flag, Peer, StreamInfo, flag_text

if TYPE_CHECKING:
    from mesh.sidecar.limits import Pool

__all__ = [
    "EMPTY",
    "UNKNOWN_PEER",
    "Body",
    "BodyBroken",
    "BodyTooLarge",
    "Context",
    "Field",
    "Filter",
    "FilterBuilder",
    "Flag",
    "Forward",
    "Headers",
    "Observer",
    "Peer",
    "Request",
    "Reset",
    "Response",
    "Scope",
    "StreamInfo",
    "Timer",
    "field",
    "flag_text",
    "local_reply",
]

P = TypeVar("P")


class Reset(enum.Enum):
    """How an upstream failed to answer; the value is Envoy's text after ``reset reason:``."""

    CONNECTION_FAILURE = "remote connection failure"  # retry-on connect-failure
    CONNECTION_TIMEOUT = "connection timeout"  # connect-failure, too
    CONNECTION_TERMINATION = "connection termination"  # reset; the request may have been worked on
    REUSED_CONNECTION = "connection termination "  # reset-before-request: a pooled connection was closed before it took the request
    REMOTE_RESET = "remote reset"  # HTTP/2: of this stream only
    REFUSED_STREAM = "remote refused stream reset"  # HTTP/2: surely not worked on, or gone away before it was
    OVERFLOW = "overflow"  # not retried
    PROTOCOL_ERROR = "protocol error"  # the upstream spoke garbage: Envoy answers 502
    NO_HEALTHY_UPSTREAM = "no healthy upstream"
    NO_CLUSTER = "no cluster"
    PER_TRY_TIMEOUT = "per try timeout"  # set by the retry filter


class Request:
    """One request on its way up. ``path`` holds the query string; ``authority`` is the Host header's value."""

    scheme = "http"
    upgrade = ""  # "websocket" …: the client asks to leave HTTP, and this listener allows it
    original_dst: tuple[str, int] | None = None
    chunked = False  # as it came
    host_selection_attempts = 1
    time_left: Callable[[], float] | None = None  # seconds of the route's time-out
    route: Route | None = None  # these three: set by the router filter
    virtual_host: VirtualHost | None = None
    cluster = ""
    hash_key: int | None = None  # for consistent hashing

    def __init__(
        self,
        method: str = "GET",
        path: str = "/",
        authority: str = "",
        headers: Headers | None = None,
        body: Body = EMPTY,
        stream: StreamInfo | None = None,
        scheme: str = "http",
    ) -> None:
        self.method = method
        self.path = path
        self.authority = authority
        if scheme != "http":
            self.scheme = scheme
        self.headers = Headers() if headers is None else headers
        self.body = body
        self.stream = StreamInfo() if stream is None else stream

    @classmethod
    def of(cls, method: str, path: str, authority: str, fields: dict[str, Field], stream: StreamInfo) -> "Request":
        """A request without a body, around a dict of ready fields."""
        request = cls.__new__(cls)
        request.method, request.path, request.authority = method, path, authority
        request.headers, request.body, request.stream = Headers.of(fields), EMPTY, stream
        return request

    def copy(self, body: Body = EMPTY) -> "Request":
        """The same request with headers and stream info of its own."""
        copy = Request(self.method, self.path, self.authority, self.headers.copy(), body, scheme=self.scheme)
        copy.stream.start_seconds, copy.stream.start_time = self.stream.start_seconds, self.stream.start_time
        copy.original_dst, copy.route, copy.virtual_host, copy.cluster = self.original_dst, self.route, self.virtual_host, self.cluster
        return copy

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.authority}{self.path}>"


class Response:
    """One answer on its way down. ``flags`` and ``details`` count only if this very answer reaches the client."""

    __slots__ = ("body", "details", "flags", "headers", "reset", "status")

    def __init__(
        self,
        status: int,
        headers: Headers | None = None,
        body: Body = EMPTY,
        *,
        flags: int = 0,
        details: str = "via_upstream",
        reset: Reset | None = None,
    ) -> None:
        self.status = status
        self.headers = Headers() if headers is None else headers
        self.body = body
        self.flags = flags
        self.details = details
        self.reset = reset

    @property
    def local(self) -> bool:
        """Made here, not by an upstream."""
        return self.details != "via_upstream"

    def discard(self) -> None:
        """Nobody will read this answer: its upstream connection is let go of."""
        self.body.close()

    def __repr__(self) -> str:
        return f"<Response {self.status} {flag_text(self.flags)} {self.details}>"


Forward = Callable[[Request], Awaitable[Response]]
"""The rest of the chain."""

Filter = Callable[[Request, Forward], Awaitable[Response]]

Observer = Callable[[Request, Response | None], None]
"""Told once, when a stream has ended; None when the client left before there was an answer. All else stands in ``request.stream``."""


class Timer(Protocol):
    def cancel(self) -> None: ...


class Context(Protocol):
    """What a filter may use of the world, handed to ``build``."""

    clock: Clock
    dice: Dice
    own_address: str

    async def sleep(self, seconds: float) -> None: ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer: ...

    def background(self, work: Coroutine[Any, Any, object]) -> None:
        """Run beside the request, owned by the proxy: ended when the proxy stops, its failure counted, not raised."""
        ...

    def pool(self, cluster: str) -> "Pool | None":
        """A cluster's limits and what is on its way there; None where there is no such cluster."""
        ...

    async def send(self, cluster: str, request: Request) -> Response:
        """Straight to a cluster, past all filters. Never raises for an upstream's failure: the response says so."""
        ...


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a filter is to act: a route, one of its clusters (None if a policy answers instead), and what they stand in."""

    configuration: RouteConfiguration
    virtual_host: VirtualHost
    route: Route
    cluster: WeightedCluster | None = None
    filters: tuple[str, ...] = ()  # names of the connection manager's HTTP filters

    def policies(self, kind: type[P]) -> tuple[P, ...]:
        """All policies of a class, nearest first: weighted cluster, route, virtual host, route configuration."""
        return tuple(policy for level in self._levels for policy in level if type(policy) is kind)

    def policy(self, kind: type[P]) -> P | None:
        """The nearest policy of a class."""
        for level in self._levels:
            found = find_policy(level, kind)
            if found is not None:
                return found
        return None

    @property
    def _levels(self) -> tuple[tuple[object, ...], ...]:
        own = self.cluster.policies if self.cluster is not None else ()
        return own, self.route.policies, self.virtual_host.policies, self.configuration.policies


FilterBuilder = Callable[[Scope, Context], Filter | None]

_TEXT_PLAIN = field("content-type", "text/plain")


def local_reply(status: int, body: str = "", *, details: str, flags: int = 0, reset: Reset | None = None) -> Response:
    """An answer of our own, with Envoy's plain text body and headers."""
    headers = Headers()
    data = body.encode()
    if data:
        headers.fields["content-length"] = field("content-length", str(len(data)))
        headers.fields["content-type"] = _TEXT_PLAIN
    return Response(status, headers, Body.of(data) if data else EMPTY, flags=flags, details=details, reset=reset)
