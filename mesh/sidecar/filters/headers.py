"""Header operations, the filter: remove, set and add on the way up and down. Decision: mesh/policy/headers.py.

Envoy: the router's finalizeRequestHeaders and finalizeResponseHeaders. The response's operations act on whatever comes back: from an
upstream, or as a local reply (an injected fault, too). A route that answers itself has them on that answer only.
"""

from collections.abc import Awaitable, Sequence
from typing import cast

from mesh.policy.headers import HeaderOperations, Step, request_steps, response_steps
from mesh.sidecar.filter import Context, Field, Filter, Forward, Headers, Request, Response, Scope, field
from mesh.sidecar.headers import join_fields
from mesh.sidecar.log_format import compile_text
from mesh.sidecar.wall import WallClock


def build(scope: Scope, context: Context) -> Filter | None:
    levels = scope.policies(HeaderOperations)
    up = _compile(request_steps(levels)) if scope.cluster is not None else []
    down = _compile(response_steps(levels))
    if down and scope.cluster is None:
        return DirectHeadersFilter(down)
    if down:
        return HeadersFilter(up, down)
    return RequestHeadersFilter(up) if up else None


class HeadersFilter:
    def __init__(self, up: "Sequence[_Operation]", down: "Sequence[_Operation]") -> None:
        self._up = up
        self._down = down

    async def __call__(self, request: Request, forward: Forward) -> Response:
        for operation in self._up:
            operation.apply(request.headers, request, None)
        response = await forward(request)
        if response.details != "cors_response":
            for operation in self._down:
                operation.apply(response.headers, request, response)
        return response


class DirectHeadersFilter:
    """For redirects and direct responses."""

    def __init__(self, down: "Sequence[_Operation]") -> None:
        self._down = down

    async def __call__(self, request: Request, forward: Forward) -> Response:
        response = await forward(request)
        if response.details == "direct_response":
            for operation in self._down:
                operation.apply(response.headers, request, response)
        return response


class RequestHeadersFilter:
    """The usual case in a mesh, where every request tells the peer who calls: nothing to wait for."""

    def __init__(self, up: "Sequence[_Operation]") -> None:
        self._up = up

    def __call__(self, request: Request, forward: Forward) -> Awaitable[Response]:
        for operation in self._up:
            operation.apply(request.headers, request, None)
        return forward(request)


class _Operation:
    """One level's step with its fields built; a value with operators in it is made for each request."""

    def __init__(self, step: Step) -> None:
        self._remove = step.remove
        self._set = {name: field(name, _plain(value)) for name, value in step.set if not _has_operators(value)}
        self._add = [(name, field(name, _plain(value))) for name, value in step.add if not _has_operators(value)]
        self._made = [(name, compile_text(value, NO_WALL, ""), True) for name, value in step.set if _has_operators(value)]
        self._made += [(name, compile_text(value, NO_WALL, ""), False) for name, value in step.add if _has_operators(value)]

    def apply(self, headers: Headers, request: Request, response: Response | None) -> None:
        fields = headers.fields
        for name in self._remove:
            fields.pop(name, None)
        fields.update(self._set)
        for name, new in self._add:
            _append(fields, name, new)
        if self._made:
            self._make(fields, request, response)

    def _make(self, fields: dict[str, Field], request: Request, response: Response | None) -> None:
        if response is not None:
            request.stream.status = response.status
        for name, line, overwrites in self._made:
            value = line(request, response).strip(" \t")
            if value and overwrites:
                fields[name] = field(name, value)
            elif value:
                _append(fields, name, field(name, value))


def _append(fields: dict[str, Field], name: str, new: Field) -> None:
    old = fields.get(name)
    fields[name] = new if old is None else join_fields(old, new)


def _has_operators(value: str) -> bool:
    return "%" in value.replace("%%", "")


def _plain(value: str) -> str:
    return value.replace("%%", "%")


class _NoWall:
    def stamp(self, epoch_seconds: float) -> str:
        return ""


NO_WALL = cast(WallClock, _NoWall())  # a filter does not know the time of day


def _compile(steps: Sequence[Step]) -> list[_Operation]:
    return [_Operation(step) for step in steps]
