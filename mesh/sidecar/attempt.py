"""One request on one upstream connection: sent already, its answer awaited, or given up.

Envoy: Router::UpstreamRequest. An attempt can be awaited by a filter, or handed a callback (``then``): most requests meet no filter that
has to wait, and go from one connection to the other and back without a coroutine.
"""

import asyncio
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Protocol

from mesh.sidecar.filter import Request, Reset, Response
from mesh.sidecar.strand import Signal

if TYPE_CHECKING:
    from mesh.sidecar.host import Host
    from mesh.sidecar.upstream import UpstreamCluster


class Carrier(Protocol):
    """An HTTP/1 connection, or one stream of an HTTP/2 connection."""

    @property
    def local_address(self) -> str: ...

    def start(self, request: Request, came: Callable[[Response | Reset], None]) -> None: ...

    def abandon(self, request: Request) -> None: ...

    def give_back(self) -> None: ...


class Attempt(Signal[Response]):
    """Whoever loses interest before the answer is there must ``abandon`` it; cancelling who awaits it does so."""

    __slots__ = ("_cluster", "_connection", "_host", "_request")

    def __init__(self, cluster: "UpstreamCluster", host: "Host", connection: Carrier, request: Request) -> None:
        super().__init__()
        self._cluster = cluster
        self._host = host
        self._connection = connection
        self._request = request
        request.stream.upstream_local = connection.local_address
        connection.start(request, self._came)

    def __await__(self) -> Generator[Any, None, Response]:
        try:
            return (yield from super().__await__())
        except asyncio.CancelledError:
            self.abandon()
            raise

    def _came(self, outcome: Response | Reset) -> None:
        self._host.stats.rq_active -= 1
        self._cluster.stats.upstream_rq_active -= 1
        self.set(self._cluster.judge(self._request, self._host, outcome))

    def abandon(self) -> None:
        """Resets the upstream connection."""
        self._host.stats.rq_active -= 1
        self._cluster.stats.upstream_rq_active -= 1
        self._connection.abandon(self._request)
