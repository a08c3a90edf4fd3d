"""Rewriting, the filter: another path or authority for the upstream. Decision: mesh/policy/rewrite.py.

Envoy: the router's finalizeRequestHeaders; what was there before goes along in x-envoy-original-path and x-envoy-original-host.
"""

from collections.abc import Awaitable

from mesh.policy.rewrite import PathChange, Rewrite, path_change
from mesh.sidecar.filter import Context, Filter, Forward, Request, Response, Scope, field

_NOTHING = Rewrite()


def build(scope: Scope, context: Context) -> Filter | None:
    if scope.cluster is None:
        return None
    rewrite = scope.route.policy(Rewrite) or _NOTHING
    if rewrite.path and rewrite.regex:
        raise ValueError("Specify only one of prefix_rewrite, regex_rewrite or path_rewrite_policy")
    change = path_change(scope.route.match.path, rewrite.path, rewrite.regex)
    authority = next((level.authority for level in scope.policies(Rewrite) if level.authority), "")
    return RewriteFilter(change, authority) if change or authority else None


class RewriteFilter:
    def __init__(self, change: PathChange | None, authority: str) -> None:
        self._change = change
        self._authority = authority

    def __call__(self, request: Request, forward: Forward) -> Awaitable[Response]:
        fields = request.headers.fields
        if self._authority:
            fields["x-envoy-original-host"] = field("x-envoy-original-host", request.authority)
            request.authority = self._authority
        path = self._change(request.path) if self._change is not None else ""
        if path:  # an empty one would be no target: Envoy leaves the path as it is
            fields["x-envoy-original-path"] = field("x-envoy-original-path", request.path)
            request.stream.original_path = request.path
            request.path = path
        return forward(request)
