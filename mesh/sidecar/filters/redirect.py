"""Redirects, the filter: a Location instead of forwarding. Decision: mesh/policy/redirect.py.

Envoy: the router's DirectResponseEntry of a RedirectAction.
"""

from mesh.policy.redirect import Redirect, decide
from mesh.policy.rewrite import path_change
from mesh.sidecar.filter import Context, Filter, Forward, Headers, Request, Response, Scope


def build(scope: Scope, context: Context) -> Filter | None:
    redirect = scope.route.policy(Redirect)
    return None if redirect is None else RedirectFilter(redirect, scope)


class RedirectFilter:
    def __init__(self, redirect: Redirect, scope: Scope) -> None:
        self._redirect = redirect
        self._change = path_change(scope.route.match.path, redirect.prefix, redirect.regex)

    async def __call__(self, request: Request, forward: Forward) -> Response:
        location = decide(
            self._redirect,
            self._change,
            scheme=request.scheme,
            protocol=request.headers.get("x-forwarded-proto") or request.scheme,
            authority=request.authority,
            path=request.path,
        )
        if self._change is not None:
            request.headers.set("x-envoy-original-path", request.path)
            request.path = self._change(request.path)  # nobody gets it, but so it is logged
        return Response(self._redirect.status, Headers([("location", location)]), details="direct_response")
