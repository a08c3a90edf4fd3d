"""The two chains, literally: what stands between a route's match and its cluster, in order, outermost first.

Envoy: the HTTP filter chain, and the steps of its router filter, which here are filters like the others. The first part answers and marks
on behalf of a route; response header operations wrap all answers but CORS' own. The order was measured on Envoy 1.40.
"""

from collections.abc import Awaitable
from typing import Final

from mesh.model.listener import Direction
from mesh.sidecar.filter import Context, Filter, FilterBuilder, Forward, Request, Response, Scope
from mesh.sidecar.filters import cors, direct_response, fault, headers, mirror, redirect, retry, rewrite, timeout

OUTBOUND: Final[tuple[FilterBuilder, ...]] = (
    cors.build,
    headers.build,
    fault.build,
    redirect.build,
    direct_response.build,
    rewrite.build,
    mirror.build,
    timeout.build,
    retry.build,
)

INBOUND: Final[tuple[FilterBuilder, ...]] = (
    cors.build,
    headers.build,
    fault.build,
    redirect.build,
    direct_response.build,
    rewrite.build,
    mirror.build,
    timeout.build,
    retry.build,
)

NAMED: Final = {cors.build: "envoy.filters.http.cors", fault.build: "envoy.filters.http.fault"}
"""Filters that act only where the connection manager lists them; the others are the router's own steps."""


def build_chain(direction: Direction, scope: Scope, context: Context, upstream: Forward) -> Forward:
    """The filters that this route and cluster use, one around the other, around ``upstream``. ValueError: bad configuration."""
    forward = upstream
    for build in reversed(INBOUND if direction is Direction.INBOUND else OUTBOUND):
        if build in NAMED and NAMED[build] not in scope.filters:
            continue
        filter_ = build(scope, context)
        if filter_ is not None:
            forward = _around(filter_, forward)
    return forward


def _around(filter_: Filter, forward: Forward) -> Forward:
    def call(request: Request) -> Awaitable[Response]:
        return filter_(request, forward)

    return call
