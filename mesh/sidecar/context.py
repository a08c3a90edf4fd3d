"""The world as a running proxy offers it to its filters: real timers, work beside the request, calls to any cluster."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from mesh.model.world import Clock, Dice
from mesh.sidecar.clusters import Clusters
from mesh.sidecar.filter import Request, Response, Timer
from mesh.sidecar.filters.router import no_cluster
from mesh.sidecar.limits import Pool

_log = logging.getLogger(__name__)


class RunningContext:
    """Implements ``mesh.sidecar.filter.Context``. It owns its tasks: ``close`` cancels them and waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, dice: Dice, clusters: Clusters, own_address: str) -> None:
        self.clock = clock
        self.dice = dice
        self.own_address = own_address
        self.background_failures = 0
        self._loop = loop
        self._clusters = clusters
        self._tasks: set[asyncio.Task[object]] = set()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return self._loop.call_later(seconds, callback)

    def background(self, work: Coroutine[Any, Any, object]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.background_failures += 1
            _log.error("work beside a request failed", exc_info=task.exception())

    def pool(self, cluster: str) -> Pool | None:
        upstream = self._clusters.by_name.get(cluster)
        return None if upstream is None else upstream.pool

    async def send(self, cluster: str, request: Request) -> Response:
        upstream = self._clusters.by_name.get(cluster)
        return no_cluster() if upstream is None else await upstream.send(request)

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
