"""The chain, literally: what stands between a route's match and its cluster, in order, outermost first.

Envoy: the HTTP filter chain, and the steps of its router filter, which here are filters like the others. The first part answers and marks
on behalf of a route; response header operations wrap all answers but CORS' own. The order was measured on Envoy 1.40.
"""

from collections.abc import Awaitable
from typing import Final

from mesh.sidecar.filter import Context, Filter, FilterBuilder, Forward, Request, Response, Scope
from mesh.sidecar.filters import consistent_hash, cors, direct_response, fault, headers, mirror, redirect, retry, rewrite, timeout

CORS: Final = "envoy.filters.http.cors"
FAULT: Final = "envoy.filters.http.fault"

ROUTER: Final[tuple[FilterBuilder, ...]] = (
    redirect.build,
    direct_response.build,
    rewrite.build,
    consistent_hash.build,
    mirror.build,
    timeout.build,
    retry.build,
)
"""The steps of Envoy's router filter."""

NAMED: Final = {cors.build: CORS, fault.build: FAULT}
"""Filters that act only where the connection manager lists them."""


def builders(filters: tuple[str, ...]) -> tuple[FilterBuilder, ...]:
    """Outermost first. An aborted request never comes to CORS where, as in Istio, the fault filter is listed before it."""
    if FAULT in filters and CORS in filters and filters.index(FAULT) < filters.index(CORS):
        return (headers.build, fault.build, cors.build, *ROUTER)
    return (cors.build, headers.build, fault.build, *ROUTER)


def build_chain(scope: Scope, context: Context, upstream: Forward) -> Forward:
    """The filters that this route and cluster use, one around the other, around ``upstream``. ValueError: bad configuration."""
    forward = upstream
    for build in reversed(builders(scope.filters)):
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
