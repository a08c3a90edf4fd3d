"""Who is where, and well or not: workloads register by opening their stream, and are gone when it closes.

Istio: a WorkloadEntry's automatic registration, and health as istio-agent reports it (pkg/istio-agent/health). After a restart
of the control plane the registry as last known stands in for streams that are still to come back, for a while.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from mesh.model.node import Node
from mesh.model.world import Clock

GRACE_SECONDS = 15.0  # how long a remembered workload is believed without a stream


@dataclass(frozen=True, slots=True)
class Workload:
    """``health_message`` says why it is not healthy."""

    node: Node
    healthy: bool
    health_message: str = ""


@dataclass(slots=True)
class _Entry:
    workload: Workload
    streams: int = 0
    believed_until: float = 0.0


class Registry:
    """``on_change`` is called whenever what others may see of a workload has changed."""

    def __init__(self, clock: Clock, on_change: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self.on_change = on_change

    def remember(self, workloads: Iterable[Workload]) -> None:
        """The registry as it was before a restart."""
        until = self._clock() + GRACE_SECONDS
        for workload in workloads:
            self._entries.setdefault(workload.node.id, _Entry(workload, 0, until))

    def opened(self, node: Node) -> None:
        """A stream of this node. A workload that comes back keeps its last health until it reports anew."""
        entry = self._entries.get(node.id)
        if entry is None:
            self._entries[node.id] = _Entry(Workload(node, not node.reports_health, "no health report yet"), 1)
            self.on_change()
            return
        entry.streams += 1
        if entry.workload.node != node:
            entry.workload = replace(entry.workload, node=node)
            self.on_change()

    def closed(self, node_id: str) -> None:
        entry = self._entries.get(node_id)
        if entry is None:
            return
        entry.streams -= 1
        if entry.streams <= 0:
            del self._entries[node_id]
            self.on_change()

    def report(self, node_id: str, error: str | None) -> None:
        """The app's health as its agent saw it; None is healthy."""
        entry = self._entries.get(node_id)
        if entry is None:
            return
        reported = replace(entry.workload, healthy=error is None, health_message=error or "")
        if reported != entry.workload:
            entry.workload = reported
            self.on_change()

    def expire(self) -> None:
        """Forget remembered workloads whose stream has not come back in time."""
        now = self._clock()
        gone = [node_id for node_id, entry in self._entries.items() if entry.streams == 0 and entry.believed_until <= now]
        for node_id in gone:
            del self._entries[node_id]
        if gone:
            self.on_change()

    def missing(self) -> tuple[str, ...]:
        """The remembered ones without a stream."""
        return tuple(sorted(node_id for node_id, entry in self._entries.items() if entry.streams == 0))

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """All, in order of their node ids: the same set gives the same endpoints in the same order."""
        return tuple(self._entries[node_id].workload for node_id in sorted(self._entries))
