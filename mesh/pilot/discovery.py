"""The desk between configuration, registry and streams: makes each proxy's snapshot, hands it to its stream, knows who has applied what.

Istio: pilot/pkg/xds DiscoveryServer. Only what has changed for a proxy is sent to it; of registry changes many are taken together
(Istio debounces by 100 ms), configuration goes out at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from mesh.galley.config import Config
from mesh.model.node import Node
from mesh.pilot.registry import Registry
from mesh.pilot.snapshot import Packer, Snapshot, build
from mesh.pilot.translate import mesh as mesh_view
from mesh.pilot.translate import proxies
from mesh.xds.subscription import Response, Subscription


@dataclass(slots=True, eq=False)
class Connection:
    """One stream. It counts as a proxy once it has asked for a resource: an agent's stream that only reports health never does."""

    number: int
    node: Node
    send: Callable[[list[Response]], None]
    subscription: Subscription
    is_proxy: bool = False
    touched: int = 0  # the configuration version that last changed anything for this proxy
    snapshot: Snapshot | None = None


@dataclass(slots=True)
class _World:
    view: mesh_view.Mesh
    shared: proxies.Shared
    packer: Packer = field(default_factory=Packer)


class Discovery:
    """``on_progress`` is called after everything that may bring a proxy closer to being in sync."""

    def __init__(self, registry: Registry, config: Config, access_log_encoding: str = "TEXT") -> None:
        self._registry = registry
        self._config = config
        self._access_log_encoding = access_log_encoding
        self._world: _World | None = None
        self._connections: dict[int, Connection] = {}
        self._numbers = 0
        self.on_progress: Callable[[], None] = lambda: None
        self.stale = False  # the registry has changed and nobody has been told yet

    @property
    def connections(self) -> tuple[Connection, ...]:
        return tuple(self._connections.values())

    @property
    def config_version(self) -> int:
        return self._config.version

    def open(self, node: Node, send: Callable[[list[Response]], None]) -> Connection:
        self._numbers += 1
        connection = Connection(self._numbers, node, send, Subscription(narrow=node.generator == "grpc"))
        self._connections[connection.number] = connection
        self._registry.opened(node)
        return connection

    def close(self, connection: Connection) -> None:
        del self._connections[connection.number]
        self._registry.closed(connection.node.id)
        self.on_progress()

    def request(self, connection: Connection, type_url: str, *, nonce: str, names: list[str], error: str | None) -> None:
        if not connection.is_proxy:
            connection.is_proxy = True
            self._refresh(connection)
        connection.send(connection.subscription.on_request(type_url, nonce=nonce, names=names, error=error))
        self.on_progress()

    def configure(self, config: Config) -> None:
        """New configuration: every proxy is brought up to it at once."""
        self._config = config
        self.refresh()

    def refresh(self) -> None:
        """The registry or the configuration has changed: translate anew, send what differs."""
        self._world = None
        self.stale = False
        for connection in tuple(self._connections.values()):
            if connection.is_proxy:
                self._refresh(connection)
        self.on_progress()

    def registry_changed(self) -> None:
        """``refresh`` will follow; until then nobody counts as in sync."""
        self.stale = True

    def _refresh(self, connection: Connection) -> None:
        before = connection.snapshot
        snapshot = connection.snapshot = self.snapshot(connection.node)
        if before is None or _content(before) != _content(snapshot):
            connection.touched = snapshot.config_version
        connection.send(connection.subscription.on_snapshot(snapshot.version, snapshot.by_type))

    def snapshot(self, node: Node) -> Snapshot:
        """What this node should have now."""
        if self._world is None:
            view = mesh_view.view(self._config, self._registry.workloads, self._access_log_encoding)
            self._world = _World(view, proxies.share(view))
        parts = proxies.build(self._world.view, self._world.shared, node)
        return build(parts, self._config.version, self._world.packer)


def _content(snapshot: Snapshot) -> str:
    return snapshot.version.partition("/")[2]
