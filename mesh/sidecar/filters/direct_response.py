"""Direct responses, the filter: a fixed answer instead of forwarding. Parameters: mesh/policy/direct_response.py.

Envoy: the router's DirectResponseEntry.
"""

from mesh.policy.direct_response import DirectResponse
from mesh.sidecar.filter import EMPTY, Body, Context, Field, Filter, Forward, Headers, Request, Response, Scope, field


def build(scope: Scope, context: Context) -> Filter | None:
    answer = scope.route.policy(DirectResponse)
    return None if answer is None else DirectResponseFilter(answer)


class DirectResponseFilter:
    def __init__(self, answer: DirectResponse) -> None:
        self._answer = answer
        self._fields: dict[str, Field] = {}
        if answer.body:
            self._fields["content-length"] = field("content-length", str(len(answer.body)))
            self._fields["content-type"] = field("content-type", "text/plain")

    async def __call__(self, request: Request, forward: Forward) -> Response:
        body = Body.of(self._answer.body) if self._answer.body else EMPTY
        return Response(self._answer.status, Headers.of(self._fields.copy()), body, details="direct_response")
