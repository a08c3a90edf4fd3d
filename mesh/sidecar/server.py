"""Listening sockets: accept, find out where the client wanted to go, pick the filter chain, hand the connection over.

Envoy: ListenerManagerImpl, ActiveTcpListener. Sockets are kept by address: a listener that changes keeps its socket, so nobody who
connects meanwhile is turned away.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import cast

from mesh.model.listener import Codec
from mesh.policy.filter_chain_match import TLS, Arrival
from mesh.sidecar.connection_manager import Worker
from mesh.sidecar.downstream import HttpConnection
from mesh.sidecar.http2_downstream import Http2Downstream
from mesh.sidecar.original_dst import original_dst
from mesh.sidecar.state import ActiveListener, Refused, Target
from mesh.sidecar.tcp import TcpChain, TcpConnection
from mesh.sidecar.wire import client_hello, first_bytes

BACKLOG = 4096

Address = tuple[str, int, str]
"""Host, port, and for port 0 the listener's name."""

OriginalDst = Callable[[object], "tuple[str, int] | None"]


class Server:
    """All sockets of a proxy. ``prepare`` may fail and changes nothing; ``commit`` cannot fail."""

    def __init__(self, worker: Worker, find_original_dst: OriginalDst = original_dst) -> None:
        self.worker = worker
        self.listeners: Mapping[str, ActiveListener] = {}
        self.find_original_dst = find_original_dst
        self.no_filter_chain_match = 0
        self.inspection_timeouts = 0
        self._sockets: dict[Address, _Socket] = {}

    async def prepare(self, listeners: Mapping[str, ActiveListener]) -> "list[_Socket]":
        """Bind the addresses that are new. Raises Refused."""
        fresh: list[_Socket] = []
        for name, active in listeners.items():
            config = active.config
            address = _address_of(active)
            if not config.bind_to_port or address in self._sockets:
                continue
            bound = _Socket(self, address, active)
            try:
                await bound.bind()
            except OSError as error:
                for other in fresh:
                    other.close()
                raise Refused(
                    "listener", name, f"cannot bind '{config.address}:{config.port}': {os.strerror(error.errno) if error.errno else error}"
                ) from None
            fresh.append(bound)
        return fresh

    def commit(self, listeners: Mapping[str, ActiveListener], fresh: "list[_Socket]") -> None:
        """Serve these listeners and no others."""
        before, self.listeners = self.listeners, listeners
        self._sockets.update({bound.address: bound for bound in fresh})
        wanted = {_address_of(active): active for active in listeners.values() if active.config.bind_to_port}
        for address in [address for address in self._sockets if address not in wanted]:
            self._sockets.pop(address).close()
        for address, active in wanted.items():
            self._sockets[address].active = active
        self._move_connections(before)

    def _move_connections(self, before: Mapping[str, ActiveListener]) -> None:
        """Connections go on under the new chain of the same name; where there is none, they end with their next answer."""
        moves: dict[Target, Target | None] = {}
        for name, old in before.items():
            new = self.listeners.get(name)
            if new is not None and new.by_name is old.by_name:
                continue
            for chain, target in old.by_name.items():
                moves[target] = new.by_name.get(chain) if new is not None else None
        if not moves:
            return
        for connection in list(self.worker.connections):
            if connection.manager in moves:
                successor = moves[connection.manager]
                connection.move_to(None if isinstance(successor, TcpChain) else successor)

    def addresses(self) -> dict[str, tuple[str, int]]:
        """Where each listener really listens, by name."""
        return {bound.active.config.name: bound.where for bound in self._sockets.values()}

    def owner_of(self, destination: tuple[str, int], other_than: ActiveListener) -> ActiveListener | None:
        """The listener of an original destination: its very address, or else any address on that port."""
        best: ActiveListener | None = None
        for active in self.listeners.values():
            config = active.config
            if config.port != destination[1] or active is other_than:
                continue
            if config.address == destination[0]:
                return active
            if config.address in ("0.0.0.0", "::"):
                best = active
        return best

    def close(self) -> None:
        for bound in self._sockets.values():
            bound.close()
        self._sockets.clear()


class _Socket:
    def __init__(self, server: Server, address: Address, active: ActiveListener) -> None:
        self.address = address
        self.active = active
        self.where = address[:2]
        self._server = server
        self._accepting: asyncio.AbstractServer | None = None

    async def bind(self) -> None:
        host, port, _ = self.address
        accepting = await self._server.worker.loop.create_server(self._protocol, host, port, backlog=BACKLOG, reuse_port=False)
        self._accepting = accepting
        self.where = accepting.sockets[0].getsockname()[:2]

    def _protocol(self) -> asyncio.BaseProtocol:
        active = self.active
        return _Arrival(self._server, active) if active.only is None else make_protocol(active.only, self._server.worker)

    def close(self) -> None:
        if self._accepting is not None:
            self._accepting.close()


class _Arrival(asyncio.Protocol):
    """A connection of which we do not know yet what it will be. What it says while it is looked at is handed on with it."""

    def __init__(self, server: Server, active: ActiveListener) -> None:
        self._server = server
        self._active = active
        self._destination: tuple[str, int] | None = None
        self._address = ("", 0)
        self._transport: asyncio.Transport | None = None
        self._timeout: asyncio.TimerHandle | None = None
        self._data = b""
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's are not its subclasses
        active, config = self._active, self._active.config
        self._address = transport.get_extra_info("sockname")[:2]
        if config.use_original_dst or config.original_dst_filter:
            self._destination = self._server.find_original_dst(transport.get_extra_info("socket"))
        if self._destination is not None:
            self._address = self._destination
            if config.use_original_dst:
                self._active = active = self._server.owner_of(self._destination, active) or active
        inspected = self._address[1] not in active.config.not_inspected_ports
        if inspected and (active.config.tls_inspector or active.config.http_inspector):
            if active.config.inspection_timeout_seconds:
                loop = self._server.worker.loop
                self._timeout = loop.call_later(active.config.inspection_timeout_seconds, self._not_told_in_time)
        else:
            self._hand_over(Arrival(self._address[1], self._address[0]))

    def data_received(self, data: bytes) -> None:
        self._data += data
        seen = self._inspect()
        if seen is not None:
            self._hand_over(seen)

    def eof_received(self) -> bool:
        self._ended = True
        self._hand_over(self._inspect() or Arrival(self._address[1], self._address[0]))
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timeout is not None:
            self._timeout.cancel()

    def _inspect(self) -> Arrival | None:
        """What the first bytes say; None: too early."""
        address, port = self._address
        config = self._active.config
        if config.tls_inspector:
            try:
                hello = client_hello.read(self._data)
            except client_hello.NotTls:
                pass
            else:
                return None if hello is None else Arrival(port, address, hello.server_name, TLS, hello.application_protocols)
        found = first_bytes.protocol(self._data) if config.http_inspector else ""
        return None if found is None else Arrival(port, address, application_protocols=(found,) if found else ())

    def _not_told_in_time(self) -> None:
        """A server that speaks first has a silent client."""
        if self._active.config.continue_after_inspection_timeout:
            self._hand_over(Arrival(self._address[1], self._address[0]))
        elif self._transport is not None:
            self._server.inspection_timeouts += 1
            self._transport.abort()

    def _hand_over(self, arrival: Arrival) -> None:
        transport = self._transport
        assert transport is not None
        if self._timeout is not None:
            self._timeout.cancel()
        target = self._active.chain_for(arrival)
        if target is None:
            self._server.no_filter_chain_match += 1
            transport.abort()
            return
        protocol = make_protocol(target, self._server.worker)
        protocol.original_dst = self._destination
        protocol.requested_server_name = arrival.server_name
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._data:
            protocol.data_received(self._data)
        if self._ended and not protocol.eof_received():
            transport.close()


def make_protocol(target: Target, worker: Worker) -> HttpConnection | Http2Downstream | TcpConnection:
    if isinstance(target, TcpChain):
        return TcpConnection(target, worker)
    return Http2Downstream(target, worker) if target.config.codec is Codec.HTTP2 else HttpConnection(target, worker)


def _address_of(active: ActiveListener) -> Address:
    config = active.config
    return config.address, config.port, "" if config.port else config.name
