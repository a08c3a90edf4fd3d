"""The configuration a proxy runs: compiled from resources as a whole, refused as a whole, swapped as a whole.

Envoy: ListenerManagerImpl and RdsRouteConfigProvider. What did not change is taken over from the state before, so that a change costs what
it changes. A listener whose route configuration has not come yet is warming: it is known, but not bound.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from mesh.model.cluster import Cluster
from mesh.model.endpoint import LoadAssignment
from mesh.model.listener import Direction, FilterChain, HttpConnectionManager, Listener, TcpProxy
from mesh.model.route import RouteConfiguration
from mesh.model.world import Dice
from mesh.policy import filter_chain_match, routing
from mesh.policy.filter_chain_match import Arrival
from mesh.policy.routing import RouteTable
from mesh.sidecar.chain import build_chain
from mesh.sidecar.connection_manager import ConnectionManager, HttpStats
from mesh.sidecar.filter import Context, Forward, Observer, Scope
from mesh.sidecar.filters.request_id import RequestIds
from mesh.sidecar.filters.router import Clusters, Router
from mesh.sidecar.tcp import TcpChain, TcpStats

ROUTER_ONLY = ("envoy.filters.http.fault", "envoy.filters.http.cors", "envoy.filters.http.router")


class Refused(Exception):
    """Configuration that cannot be: ``kind`` is listener, route, cluster or load_assignment."""

    def __init__(self, kind: str, name: str, message: str) -> None:
        super().__init__(f"{kind} {name}: {message}")
        self.kind = kind
        self.name = name
        self.message = message


@dataclass(frozen=True, slots=True)
class Resources:
    listeners: Mapping[str, Listener] = field(default_factory=dict)
    routes: Mapping[str, RouteConfiguration] = field(default_factory=dict)
    clusters: Mapping[str, Cluster] = field(default_factory=dict)
    load_assignments: Mapping[str, LoadAssignment] = field(default_factory=dict)


Target = ConnectionManager | TcpChain


@dataclass(slots=True, eq=False)
class ActiveListener:
    """A listener at work: which chain takes which connection. ``only`` takes them all, where there is no choice and nothing to inspect."""

    config: Listener
    targets: dict[int, Target]  # by the chain's identity: chains hold what cannot be hashed
    only: Target | None
    by_name: dict[str, Target]
    routers: tuple[tuple[ConnectionManager, Router], ...]

    def chain_for(self, arrival: Arrival) -> Target | None:
        chain = filter_chain_match.decide(self.config.filter_chains, arrival) or self.config.default_filter_chain
        return None if chain is None else self.targets[id(chain)]


RouterKey = tuple[str, tuple[str, ...], Direction]


@dataclass(frozen=True, slots=True, eq=False)
class State:
    resources: Resources = Resources()
    tables: Mapping[str, RouteTable] = field(default_factory=dict)
    routers: Mapping[RouterKey, Router] = field(default_factory=dict)
    listeners: Mapping[str, ActiveListener] = field(default_factory=dict)
    warming: frozenset[str] = frozenset()


class World(Protocol):
    """What compiled configuration hangs on; it outlives every state."""

    @property
    def context(self) -> Context: ...

    @property
    def clusters(self) -> Clusters: ...

    @property
    def dice(self) -> Dice: ...

    @property
    def request_ids(self) -> RequestIds: ...

    def http_stats(self, prefix: str) -> HttpStats: ...

    def tcp_stats(self, prefix: str) -> TcpStats: ...

    def observers(self, config: HttpConnectionManager | TcpProxy) -> Sequence[Observer]: ...

    def told_of_opening(self, config: TcpProxy) -> Sequence[Observer]: ...


N = TypeVar("N")


def named(kind: str, resources: Iterable[N], name_of: Callable[[N], str]) -> dict[str, N]:
    result: dict[str, N] = {}
    for resource in resources:
        name = name_of(resource)
        if name in result:
            raise Refused(kind, name, "named twice")
        result[name] = resource
    return result


class Compiler:
    """Makes one state out of resources and the state before. Nothing outside changes, so it may fail half-way."""

    def __init__(self, resources: Resources, before: State, world: World) -> None:
        self._resources = resources
        self._before = before
        self._world = world
        self._tables: dict[str, RouteTable] = {}
        self._routers: dict[RouterKey, Router] = {}

    def compile(self) -> State:
        """Raises Refused."""
        for name, configuration in self._resources.routes.items():
            self._tables[name] = self._table("route", name, configuration, self._before.tables.get(name))
        for name, table in self._before.tables.items():
            self._tables.setdefault(name, table)  # a route configuration goes with the last listener that names it, not before
        listeners: dict[str, ActiveListener] = {}
        warming: set[str] = set()
        for name, listener in self._resources.listeners.items():
            if self._is_warming(listener):
                warming.add(name)
            else:
                listeners[name] = self._listener(listener, self._before.listeners.get(name))
        _check_addresses(listeners.values())
        self._check_unused()
        wanted = {name for name, _, _ in self._routers}.union(self._resources.routes)
        tables = {name: table for name, table in self._tables.items() if name in wanted}
        return State(self._resources, tables, self._routers, listeners, frozenset(warming))

    def _table(self, kind: str, name: str, configuration: RouteConfiguration, before: RouteTable | None) -> RouteTable:
        if before is not None and before.configuration == configuration:
            return before
        try:
            return routing.compile(configuration)
        except ValueError as error:
            raise Refused(kind, name, str(error)) from None

    def _is_warming(self, listener: Listener) -> bool:
        return any(
            isinstance(what, HttpConnectionManager) and what.route_config is None and what.route_config_name not in self._tables
            for what in (chain.network_filter for chain in _chains(listener))
        )

    def _router(self, table: RouteTable, filters: tuple[str, ...], direction: Direction) -> Router:
        name = table.configuration.name
        key = name, filters, direction
        known = self._routers.get(key) or self._before.routers.get(key)
        if known is None or known.table is not table:
            known = self._new_router(table, filters, direction)
        self._routers[key] = known
        return known

    def _new_router(self, table: RouteTable, filters: tuple[str, ...], direction: Direction) -> Router:
        world = self._world

        def chain(scope: Scope, upstream: Forward) -> Forward:
            return build_chain(scope, world.context, upstream)

        try:
            return Router(table, filters, chain, world.clusters, world.dice)
        except ValueError as error:
            raise Refused("route", table.configuration.name, str(error)) from None

    def _check_unused(self) -> None:
        """A route configuration that no listener names must be sound, too: it may be named by the next change."""
        used = {name for name, _, _ in self._routers}
        for name, table in self._tables.items():
            if name not in used and table is not self._before.tables.get(name):
                self._new_router(table, ROUTER_ONLY, Direction.OUTBOUND)

    def _listener(self, listener: Listener, before: ActiveListener | None) -> ActiveListener:
        if before is not None and before.config == listener:
            before_routers = tuple((manager, self._router_of(manager.config, listener)) for manager, _ in before.routers)
            if all(new is old for (_, new), (_, old) in zip(before_routers, before.routers, strict=True)):
                return before
            return ActiveListener(before.config, before.targets, before.only, before.by_name, before_routers)
        _check_matches(listener)
        active = ActiveListener(listener, {}, None, {}, ())
        routers: list[tuple[ConnectionManager, Router]] = []
        for chain in _chains(listener):
            target = self._target(chain.network_filter, listener, routers)
            active.by_name[chain.name or f"#{len(active.by_name)}"] = target
            active.targets[id(chain)] = target
        active.only = _only(active)
        active.routers = tuple(routers)
        return active

    def _target(
        self, config: HttpConnectionManager | TcpProxy, listener: Listener, routers: list[tuple[ConnectionManager, Router]]
    ) -> Target:
        world = self._world
        try:
            observers = world.observers(config)
        except ValueError as error:
            raise Refused("listener", listener.name, str(error)) from None
        if isinstance(config, TcpProxy):
            opening = world.told_of_opening(config)
            return TcpChain(config, world.clusters, observers, opening, world.tcp_stats(config.stat_prefix), world.dice)
        router = self._router_of(config, listener)
        stats = world.http_stats(config.stat_prefix)
        manager = ConnectionManager(config, listener.direction, router.forward, observers, stats, world.request_ids)
        routers.append((manager, router))
        return manager

    def _router_of(self, config: HttpConnectionManager, listener: Listener) -> Router:
        inline = config.route_config
        if inline is None:
            return self._router(self._tables[config.route_config_name], config.filters, listener.direction)
        try:
            before = self._before.routers.get((inline.name, config.filters, listener.direction))
            table = self._table("listener", listener.name, inline, before.table if before else None)
            return self._router(table, config.filters, listener.direction)
        except Refused as refused:
            raise Refused("listener", listener.name, refused.message) from None


def _chains(listener: Listener) -> tuple[FilterChain, ...]:
    return listener.filter_chains if listener.default_filter_chain is None else (*listener.filter_chains, listener.default_filter_chain)


def _only(active: ActiveListener) -> Target | None:
    config = active.config
    inspects = config.use_original_dst or config.original_dst_filter or config.tls_inspector or config.http_inspector
    if inspects or len(config.filter_chains) != 1 or _matching(config.filter_chains[0]) != _ANYTHING:
        return None
    return active.targets[id(config.filter_chains[0])]


def _matching(chain: FilterChain) -> tuple[object, ...]:
    return (
        chain.destination_port,
        chain.destination_prefixes,
        chain.server_names,
        chain.transport_protocol,
        chain.application_protocols,
    )


_ANYTHING = (None, (), (), "", ())


def _check_matches(listener: Listener) -> None:
    if len({_matching(chain) for chain in listener.filter_chains}) != len(listener.filter_chains):
        raise Refused("listener", listener.name, "multiple filter chains with the same matching rules are defined")
    for chain in listener.filter_chains:
        for name in chain.server_names:
            if "*" in name and not name.startswith("*."):
                raise Refused("listener", listener.name, f"partial wildcards are not supported in server_names: {name}")


def _check_addresses(listeners: Iterable[ActiveListener]) -> None:
    taken: dict[tuple[str, int], str] = {}
    for active in listeners:
        config = active.config
        if not config.port or not config.bind_to_port:
            continue
        other = taken.setdefault((config.address, config.port), config.name)
        if other != config.name:
            raise Refused("listener", config.name, f"has duplicate address '{config.address}:{config.port}' as existing listener '{other}'")
