"""Direct responses, the filter: a fixed answer instead of forwarding. Parameters: mesh/policy/direct_response.py.

Envoy: the router's DirectResponseEntry. To 201 and all 3xx it adds a Location: the request's own URL.
"""

from mesh.policy.direct_response import DirectResponse
from mesh.sidecar.filter import EMPTY, Body, Context, Field, Filter, Forward, Headers, Request, Response, Scope, field


def build(scope: Scope, context: Context) -> Filter | None:
    answer = scope.route.policy(DirectResponse)
    if answer is None:
        return None
    limit = scope.configuration.max_direct_response_body_size_bytes
    if len(answer.body) > limit:
        raise ValueError(f"response body size is {len(answer.body)} bytes; maximum is {limit}")
    return DirectResponseFilter(answer)


class DirectResponseFilter:
    def __init__(self, answer: DirectResponse) -> None:
        self._answer = answer
        self._fields: dict[str, Field] = {}
        if answer.body:
            self._fields["content-length"] = field("content-length", str(len(answer.body)))
            self._fields["content-type"] = field("content-type", "text/plain")

    async def __call__(self, request: Request, forward: Forward) -> Response:
        status = self._answer.status
        body = Body.of(self._answer.body) if self._answer.body else EMPTY
        headers = Headers.of(self._fields.copy())
        if status == 201 or 300 <= status < 400:
            headers.set("location", f"{request.scheme}://{request.authority}{request.path}")
        return Response(status, headers, body, details="direct_response")
