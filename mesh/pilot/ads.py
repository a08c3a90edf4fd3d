"""The aggregated discovery service on grpc.aio, state of the world. Envoy: envoy.service.discovery.v3.AggregatedDiscoveryService.

A stream's first message names its node; the later ones may leave it out. Messages of Istio's health type report the app's health
and are no subscription.
"""

import asyncio
import logging
from typing import Any

import grpc
from grpc import aio

from mesh.model.node import Node
from mesh.pilot.discovery import Connection, Discovery
from mesh.pilot.registry import Registry
from mesh.xds import ads
from mesh.xds.node import node_from_proto
from mesh.xds.subscription import Response
from mesh.xds.types import HEALTH, SHORT

log = logging.getLogger(__name__)


class Service(ads.AggregatedDiscoveryServiceServicer):  # type: ignore[misc] # generated code has no types
    """``ready`` is set once configuration and registry are loaded: no stream is served before, or it would wipe its proxy."""

    def __init__(self, discovery: Discovery, registry: Registry, ready: asyncio.Event) -> None:
        self._discovery = discovery
        self._registry = registry
        self._ready = ready

    async def StreamAggregatedResources(self, request_iterator: Any, context: Any) -> None:
        if not self._ready.is_set():
            await context.abort(grpc.StatusCode.UNAVAILABLE, "configuration is not loaded yet")
        first = await context.read()
        if first is aio.EOF:
            return
        try:
            node = _introduced(first)
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            return
        outbox: asyncio.Queue[Response | None] = asyncio.Queue()

        def send(responses: list[Response]) -> None:
            for response in responses:
                outbox.put_nowait(response)

        connection = self._discovery.open(node, send)
        log.info("%s connected (stream %d, %s)", node.id, connection.number, node.dataplane or node.generator or "envoy")
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write(outbox, context))
                await self._read(connection, first, context)
                outbox.put_nowait(None)
        finally:
            log.info("%s disconnected (stream %d)", node.id, connection.number)
            self._discovery.close(connection)

    async def _read(self, connection: Connection, first: Any, context: Any) -> None:
        request = first
        while request is not aio.EOF:
            self._take(connection, request)
            request = await context.read()

    def _take(self, connection: Connection, request: Any) -> None:
        failed = request.HasField("error_detail")
        error = request.error_detail.message if failed else None
        if request.type_url == HEALTH:
            self._registry.report(connection.node.id, error)
            return
        if request.type_url not in SHORT:
            log.debug("%s asks for %s, which is not served here", connection.node.id, request.type_url)
            return
        if failed:
            log.warning("%s rejected %s: %s", connection.node.id, SHORT[request.type_url], error)
        self._discovery.request(connection, request.type_url, nonce=request.response_nonce, names=list(request.resource_names), error=error)

    async def _write(self, outbox: "asyncio.Queue[Response | None]", context: Any) -> None:
        while (response := await outbox.get()) is not None:
            message = ads.DiscoveryResponse(
                version_info=response.version,
                type_url=response.type_url,
                nonce=response.nonce,
                resources=[packed.any for packed in response.resources],
                control_plane={"identifier": "seatrial"},
            )
            await context.write(message)


def _introduced(first: Any) -> Node:
    """Raises ValueError where the first message of a stream does not say whose it is."""
    if not first.node.id:
        raise ValueError("the first message of a stream must carry a node with an id")
    return node_from_proto(first.node)
