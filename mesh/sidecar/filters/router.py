"""The router: finds the route of a request, runs the chain that was compiled for it, and sends what comes through to the cluster.

Envoy: filters.http.router (Router::Filter::decodeHeaders). A look-up's answers exist beforehand (mesh/policy/routing.py), so all that
is done per request is to find one and call the chain that hangs on it.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from mesh.model.route import VirtualHost
from mesh.model.world import Dice
from mesh.policy.routing import Match, RouteTable
from mesh.sidecar.deadline import expected_time
from mesh.sidecar.filter import Field, Flag, Forward, Request, Reset, Response, Scope, field, local_reply

_ATTEMPTS = [field("x-envoy-attempt-count", str(count)) for count in range(256)]


class UpstreamCluster(Protocol):
    def send(self, request: Request) -> Awaitable[Response]: ...


class Clusters(Protocol):
    """``by_name`` is replaced whole as configuration changes."""

    @property
    def by_name(self) -> Mapping[str, Any]: ...


ChainBuilder = Callable[[Scope, Forward], Forward]


class Router:
    """``forward`` is what a connection manager calls."""

    def __init__(self, table: RouteTable, filters: tuple[str, ...], build_chain: ChainBuilder, clusters: Clusters, dice: Dice) -> None:
        self.table = table
        self._find = table.find
        self._dice = dice
        self._clusters = clusters
        self._chains: list[tuple[Forward, str]] = []
        for match in table.matches:
            scope = Scope(table.configuration, match.virtual_host, match.route, match.cluster, filters)
            name = match.cluster.cluster if match.cluster else ""
            self._chains.append((build_chain(scope, _upstream(scope, name, clusters)), name))

    def forward(self, request: Request) -> Awaitable[Response]:
        match = self._find(request, self._dice)
        if match is None:
            return _answer(local_reply(404, details="route_not_found", flags=Flag.NR))
        return self._run(match, request)

    def _run(self, match: Match, request: Request) -> Awaitable[Response]:
        stream = request.stream
        request.route = stream.route = match.route
        request.virtual_host = match.virtual_host
        chain, name = self._chains[match.index]
        request.cluster = name
        stream.upstream_cluster = name if name in self._clusters.by_name else ""
        return chain(request)


async def _answer(response: Response) -> Response:
    return response


def no_cluster() -> Response:
    """The route names a cluster that is not there."""
    return local_reply(503, details="cluster_not_found", flags=Flag.NC, reset=Reset.NO_CLUSTER)


def _upstream(scope: Scope, name: str, clusters: Clusters) -> Forward:
    """The end of a chain."""
    expected = expected_time(scope)
    counts = _counts_attempts(scope.virtual_host)

    def forward(request: Request) -> Awaitable[Response]:
        cluster: UpstreamCluster | None = clusters.by_name.get(name)
        if cluster is None:
            return _answer(no_cluster())
        if expected is not None:
            left = expected if not request.stream.attempts else _time_left(request, expected)
            request.headers.fields["x-envoy-expected-rq-timeout-ms"] = left
        if counts:
            request.headers.fields["x-envoy-attempt-count"] = _ATTEMPTS[min(request.stream.attempts + 1, 255)]
        return cluster.send(request)

    return forward


def _time_left(request: Request, expected: Field) -> Field:
    """Of the route's limit, which spans all tries, there may be less left than a try may take."""
    if request.time_left is None:
        return expected
    return field("x-envoy-expected-rq-timeout-ms", str(min(int(expected[0]), round(request.time_left() * 1000))))


def _counts_attempts(virtual_host: VirtualHost) -> bool:
    return virtual_host.include_request_attempt_count
