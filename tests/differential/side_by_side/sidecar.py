"""Our sidecar (and whatever else needs an event loop) in a thread of its own."""

import asyncio
import random
import threading
import time
from collections.abc import Coroutine, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self, TypeVar

from mesh.model.cluster import Cluster
from mesh.model.listener import Listener
from mesh.model.node import Node
from mesh.sidecar import proxy as proxy_module
from mesh.sidecar.loop import new_event_loop
from mesh.sidecar.proxy import Proxy
from mesh.xds import resources
from mesh.xds.types import CDS, LDS

T = TypeVar("T")

NODE = Node(ip="127.0.0.1", name="side-by-side")


class LoopThread:
    def __enter__(self) -> Self:
        self.loop = new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return future.result(timeout=20)

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class Sidecar:
    def __init__(self, thread: LoopThread, access_log: Path, listeners: Iterable[Listener], clusters: Iterable[Cluster]) -> None:
        self._thread = thread
        self._access_log = access_log
        self._listeners = [over_the_wire(LDS, one) for one in listeners]
        self._clusters = [over_the_wire(CDS, one) for one in clusters]

    def __enter__(self) -> Self:
        # The access log is read after every request: no second of patience.
        self._before = proxy_module.FLUSH_SECONDS, proxy_module.SWEEP_SECONDS
        vars(proxy_module).update(FLUSH_SECONDS=0.0, SWEEP_SECONDS=0.005)
        self.proxy = self._thread.call(self._start())
        self.listeners = self.proxy.listener_addresses()
        return self

    async def _start(self) -> Proxy:
        proxy = Proxy(NODE, time.monotonic, random.random, str(self._access_log))
        await proxy.__aenter__()
        await proxy.apply(listeners=self._listeners, routes=[], clusters=self._clusters, load_assignments=[])
        return proxy

    def stats(self) -> dict[str, int]:
        async def read() -> dict[str, int]:
            return self.proxy.stats()

        return self._thread.call(read())

    def __exit__(self, *_: object) -> None:
        vars(proxy_module).update(FLUSH_SECONDS=self._before[0], SWEEP_SECONDS=self._before[1])
        self._thread.call(self.proxy.__aexit__(None, None, None))


def over_the_wire(type_url: str, resource: Any) -> Any:
    """As the sidecar understands the very bytes that Envoy gets."""
    return resources.decode(type_url, resources.encode(resource))
