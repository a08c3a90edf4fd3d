"""CORS, the filter: answers preflights and marks the answers that another site's page may read. Decision: mesh/policy/cors.py.

Envoy: filters.http.cors, which leaves redirects and direct responses alone.
"""

from mesh.policy.cors import CorsPolicy, compile_origins, is_preflight, merge, preflight_headers, response_headers
from mesh.sidecar.filter import Context, Filter, Forward, Headers, Request, Response, Scope, field


def build(scope: Scope, context: Context) -> Filter | None:
    policies = scope.policies(CorsPolicy)
    return CorsFilter(merge(policies)) if policies and scope.cluster is not None else None


class CorsFilter:
    def __init__(self, policy: CorsPolicy) -> None:
        self._policy = policy
        self._allows = compile_origins(policy.allow_origins)
        self._response_fields = {name: field(name, value) for name, value in response_headers(policy)}

    async def __call__(self, request: Request, forward: Forward) -> Response:
        origin = request.headers.get("origin")
        if not origin:
            return await forward(request)
        allowed = self._allows(origin)
        answered = allowed or not self._policy.forward_not_matching_preflights
        if answered and is_preflight(request.method, request.headers.get("access-control-request-method")):
            pairs = preflight_headers(self._policy, origin, allowed, request.headers.get)
            return Response(200, Headers(pairs), details="cors_response")
        response = await forward(request)
        if allowed:
            fields = response.headers.fields
            fields["access-control-allow-origin"] = field("access-control-allow-origin", origin)
            fields.update(self._response_fields)
        return response
