"""Brings the configuration: one ADS stream to the control plane, resources decoded and applied, ACK or NACK.

Envoy: source/extensions/config_subscription/grpc. A response is applied whole or not at all; what was in use before stays in use. When
the control plane is away the proxy goes on with what it has, and comes back with jittered, growing pauses.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import Any, Final

from grpc import aio

from mesh.model.cluster import Discovery
from mesh.model.listener import HttpConnectionManager, Listener
from mesh.model.node import Node
from mesh.model.world import Dice
from mesh.sidecar.proxy import Proxy, Refused
from mesh.xds import ads, resources
from mesh.xds.client_state import ClientState, Request
from mesh.xds.node import node_to_proto
from mesh.xds.types import CDS, EDS, HEALTH, LDS, PUSH_ORDER, RDS, SHORT, Rejected

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 2.0
INVALID_ARGUMENT: Final = 3
CHANNEL_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),  # a new channel a try: gRPC's own back-off must not come on top of ours
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.keepalive_time_ms", 30_000),
)
_WHOLE = (CDS, LDS)  # here what a response leaves out is gone; of the others it brings only what changed

Held = dict[str, dict[str, Any]]


class XdsClient:
    """``run`` until cancelled. ``synced`` is set once the proxy has all that its listeners and clusters name."""

    def __init__(self, address: str, node: Node, proxy: Proxy, dice: Dice) -> None:
        self.synced = asyncio.Event()
        self.connected = False
        self._address = address
        self._node = node
        self._proxy = proxy
        self._dice = dice
        self._state = ClientState()
        self._held: Held = {type_url: {} for type_url in PUSH_ORDER}
        self._decoded: dict[bytes, Any] = {}
        self._outbox: asyncio.Queue[Any] = asyncio.Queue()
        self._health: str | None = "no health report yet"
        self._came: set[str] = set()
        self._greeted = False
        self.errors: dict[str, str] = {}  # the last NACK by type, while it stands

    def report_health(self, error: str | None) -> None:
        """The app's health; None is healthy. It is told again on every new stream."""
        self._health = error
        if self._greeted:
            self._outbox.put_nowait(health_message(self._health))

    def versions(self) -> dict[str, str]:
        return {SHORT[type_url]: self._state.version(type_url) for type_url in PUSH_ORDER}

    async def run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                if await self._stream():
                    pause = FIRST_PAUSE_SECONDS
            except* aio.AioRpcError as errors:
                log.info("control plane %s: %s", self._address, why(errors))
            finally:
                self.connected = self._greeted = False
            await asyncio.sleep(pause * (0.5 + self._dice()))
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _stream(self) -> bool:
        """One stream to its end; whether anything came on it. Raises AioRpcError where the control plane cannot be reached."""
        came = False
        async with aio.insecure_channel(self._address, CHANNEL_OPTIONS) as channel:
            call = ads.AggregatedDiscoveryServiceStub(channel).StreamAggregatedResources()
            self._outbox = asyncio.Queue()
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(self._write(call))
                self._greet()
                while (response := await call.read()) is not aio.EOF:
                    if not came:
                        log.info("control plane %s: connected", self._address)
                    came = self.connected = True
                    await self._take(response)
                writing.cancel()
        return came

    def _greet(self) -> None:
        first, *others = self._state.connected()
        message = _message(first)
        message.node.CopyFrom(node_to_proto(self._node))
        self._outbox.put_nowait(message)
        for request in others:
            self._send(request)
        self._greeted = True
        if self._node.reports_health:
            self._outbox.put_nowait(health_message(self._health))

    def _send(self, request: Request | None) -> None:
        if request is not None:
            self._outbox.put_nowait(_message(request))

    async def _write(self, call: Any) -> None:
        with contextlib.suppress(aio.AioRpcError):  # the reader meets the same error, and raises it
            while True:
                await call.write(await self._outbox.get())

    async def _take(self, response: Any) -> None:
        """Apply, then subscribe to what the new state names, then acknowledge: in that order nothing is seen as finished too early."""
        type_url = response.type_url
        if type_url not in SHORT:
            return
        before = self._held[type_url]
        try:
            self._held[type_url] = self._merged(type_url, response.resources)
            await self._apply(type_url)
        except (Rejected, Refused) as error:
            self._held[type_url] = before
            log.warning("%s rejected: %s", SHORT[type_url], error)
            self.errors[SHORT[type_url]] = str(error)
            self._send(self._state.rejected(type_url, response.nonce, str(error)))
            return
        self.errors.pop(SHORT[type_url], None)
        self._came.add(type_url)
        self._subscribe()
        self._send(self._state.accepted(type_url, response.version_info, response.nonce))
        if not self.synced.is_set() and self._complete():
            self.synced.set()

    def _merged(self, type_url: str, packed: Iterable[Any]) -> dict[str, Any]:
        """The held resources of a type with the new ones. What has the same bytes as before is the same object: no work for anybody."""
        known = {} if type_url in _WHOLE else dict(self._held[type_url])
        for resource in packed:
            decoded: Any = self._decoded.get(resource.value)
            if decoded is None:
                decoded = resources.decode(type_url, resource)
                self._decoded[resource.value] = decoded
            known[decoded.cluster if type_url == EDS else decoded.name] = decoded
        return known

    async def _apply(self, type_url: str) -> None:
        held = tuple(self._held[type_url].values())
        if type_url == CDS:
            await self._proxy.apply(clusters=held)
        elif type_url == EDS:
            await self._proxy.apply(load_assignments=held)
        elif type_url == LDS:
            await self._proxy.apply(listeners=held)
        else:
            await self._proxy.apply(routes=held)

    def _subscribe(self) -> None:
        for type_url, names in ((EDS, self._named_endpoints()), (RDS, self._named_routes())):
            request = self._state.want(type_url, names)
            if request is not None:
                self._held[type_url] = {name: resource for name, resource in self._held[type_url].items() if name in names}
                self._send(request)
        in_use = {id(resource) for by_name in self._held.values() for resource in by_name.values()}
        self._decoded = {raw: decoded for raw, decoded in self._decoded.items() if id(decoded) in in_use}

    def _named_endpoints(self) -> set[str]:
        clusters = self._held[CDS].values()
        return {cluster.eds_service_name or cluster.name for cluster in clusters if cluster.discovery is Discovery.EDS}

    def _named_routes(self) -> set[str]:
        return {name for listener in self._held[LDS].values() for name in _routes_of(listener)}

    def _complete(self) -> bool:
        return (
            self._came >= set(_WHOLE)
            and self._named_endpoints() <= self._held[EDS].keys()
            and self._named_routes() <= self._held[RDS].keys()
        )


def why(errors: ExceptionGroup[aio.AioRpcError]) -> str:
    """The first status of a stream that broke."""
    first: Any = errors
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    return f"{first.code().name} {first.details()}"


def health_message(error: str | None) -> Any:
    """Istio's HealthInformation: no error is healthy."""
    message = ads.DiscoveryRequest(type_url=HEALTH)
    if error is not None:
        message.error_detail.code = 500
        message.error_detail.message = error
    return message


def _routes_of(listener: Listener) -> Iterable[str]:
    chains = (*listener.filter_chains, *((listener.default_filter_chain,) if listener.default_filter_chain else ()))
    managers = (chain.network_filter for chain in chains if isinstance(chain.network_filter, HttpConnectionManager))
    return tuple(manager.route_config_name for manager in managers if manager.route_config is None)


def _message(request: Request) -> Any:
    message = ads.DiscoveryRequest(
        type_url=request.type_url, version_info=request.version, response_nonce=request.nonce, resource_names=request.names
    )
    if request.error:
        message.error_detail.code = INVALID_ARGUMENT
        message.error_detail.message = request.error
    return message
