"""A second ADS stream of the same node that reports the app's health and nothing else: a stock Envoy's own stream cannot.

Istio: pilot-agent proxies Envoy's stream and puts the same messages on it (pkg/istio-agent/xds_proxy.go, health.go).
"""

import asyncio
import contextlib
import logging
from typing import Any

from grpc import aio

from mesh.model.node import Node
from mesh.model.world import Dice
from mesh.sidecar.xds_client import CHANNEL_OPTIONS, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, health_message, why
from mesh.xds import ads
from mesh.xds.node import node_to_proto

log = logging.getLogger(__name__)


class HealthStream:
    def __init__(self, address: str, node: Node, dice: Dice) -> None:
        self._address, self._node, self._dice = address, node, dice
        self._health: str | None = "no health report yet"
        self._changed = asyncio.Event()

    def report(self, error: str | None) -> None:
        self._health = error
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled; comes back when the control plane does."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._stream()
                pause = FIRST_PAUSE_SECONDS
            except* aio.AioRpcError as errors:
                log.info("control plane %s: %s", self._address, why(errors))
            await asyncio.sleep(pause * (0.5 + self._dice()))
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _stream(self) -> None:
        async with aio.insecure_channel(self._address, CHANNEL_OPTIONS) as channel:
            call = ads.AggregatedDiscoveryServiceStub(channel).StreamAggregatedResources()
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(self._write(call))
                while await call.read() is not aio.EOF:
                    pass
                writing.cancel()

    async def _write(self, call: Any) -> None:
        """The present health first, then every change. The event is cleared before the value is read: no change is missed."""
        self._changed.clear()
        message = health_message(self._health)
        message.node.CopyFrom(node_to_proto(self._node))
        with contextlib.suppress(aio.AioRpcError):  # the reader meets the same error, and raises it
            while True:
                await call.write(message)
                await self._changed.wait()
                self._changed.clear()
                message = health_message(self._health)
