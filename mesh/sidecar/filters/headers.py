"""Header operations, the filter: remove, set and add on the way up and down. Decision: mesh/policy/headers.py.

Envoy: the router's finalizeRequestHeaders and finalizeResponseHeaders. The response's operations act on whatever comes back: from an
upstream, or as a local reply (an injected fault, too). A route that answers itself has them on that answer only.
"""

from collections.abc import Awaitable, Sequence

from mesh.policy.headers import HeaderOperations, Step, request_steps, response_steps
from mesh.sidecar.filter import Context, Field, Filter, Forward, Headers, Request, Response, Scope, field
from mesh.sidecar.headers import join_fields


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
            operation.apply(request.headers)
        response = await forward(request)
        for operation in self._down:
            operation.apply(response.headers)
        return response


class DirectHeadersFilter:
    """For redirects and direct responses."""

    def __init__(self, down: "Sequence[_Operation]") -> None:
        self._down = down

    async def __call__(self, request: Request, forward: Forward) -> Response:
        response = await forward(request)
        if response.details == "direct_response":
            for operation in self._down:
                operation.apply(response.headers)
        return response


class RequestHeadersFilter:
    """The usual case in a mesh, where every request tells the peer who calls: nothing to wait for."""

    def __init__(self, up: "Sequence[_Operation]") -> None:
        self._up = up

    def __call__(self, request: Request, forward: Forward) -> Awaitable[Response]:
        for operation in self._up:
            operation.apply(request.headers)
        return forward(request)


class _Operation:
    """One level's step with its fields built."""

    def __init__(self, step: Step) -> None:
        self._remove = step.remove
        self._set = {name: field(name, value) for name, value in step.set}
        self._add: list[tuple[str, Field]] = [(name, field(name, value)) for name, value in step.add]

    def apply(self, headers: Headers) -> None:
        fields = headers.fields
        for name in self._remove:
            fields.pop(name, None)
        fields.update(self._set)
        for name, new in self._add:
            old = fields.get(name)
            fields[name] = new if old is None else join_fields(old, new)


def _compile(steps: Sequence[Step]) -> list[_Operation]:
    return [_Operation(step) for step in steps]
