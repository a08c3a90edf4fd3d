"""What a runtime is to the lab: it starts a topology's processes somewhere, tells where they are, and takes all of them away again.

``lab.runtimes.local`` and ``lab.runtimes.docker`` are two; each has ``create(folder) -> Runtime``.
"""

import importlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, cast

from lab.client import Response
from lab.state import LabFolder
from lab.topology import RUNTIMES, Topology

Progress = Callable[[str], None]
ACCESS_LOG_ENCODING = "SEATRIAL_ACCESS_LOG_ENCODING"


class LabError(Exception):
    """A lab could not do what was asked. ``str()`` says what, where, why, and how to go on."""

    def __init__(self, what: str, *, where: str = "", why: str = "", how: str = "") -> None:
        self.what, self.where, self.why, self.how = what, where, why, how
        lines = [what]
        lines += [f"  --> {where}"] if where else []
        lines += [f"  | {line}" for line in why.splitlines()]
        lines += [f"  {how}"] if how else []
        super().__init__("\n".join(lines))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a workload is, as seen from here. ``inbound``: service port → host:port of its sidecar's inbound listener."""

    name: str
    service: str
    version: str
    address: str
    inbound: Mapping[str, str]
    admin: str = ""
    health: str = ""

    @property
    def is_gateway(self) -> bool:
        """A proxy without an app: it has no version."""
        return not self.version


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything of a lab is; kept in ``lab.json``. ``control``: URL of the control plane's HTTP API, ``xds``: its host:port."""

    control: str
    xds: str
    places: tuple[Place, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Layout":
        return cls(data["control"], data["xds"], tuple(Place(**place) for place in data["places"]))


@dataclass(frozen=True, slots=True)
class ProcessState:
    """``name`` is ``<workload>/app``, ``<workload>/proxy`` or ``control``.

    ``status``: running, stopping; stopped or killed on demand; crashed, or exited with status 0, by itself.
    ``exit_status`` is negative for a signal, as in ``subprocess``; ``id`` a pid or a container's id.
    """

    name: str
    status: str
    id: str = ""
    exit_status: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ended(self) -> str:
        """How it ended, in words."""
        if self.exit_status is None:
            return self.status
        return f"killed by signal {-self.exit_status}" if self.exit_status < 0 else f"exit status {self.exit_status}"


class Runtime(Protocol):
    """One lab's processes. All names of processes are as in ``ProcessState``; methods that take some return when it is done."""

    def up(self, topology: Topology, dataplane: str, services_yaml: str, progress: Progress, tied: bool) -> Layout:
        """Start everything and return; readiness is the lab's to see. ``tied``: all goes when this process goes. Raises ``LabError``."""

    def settled(self) -> None:
        """The lab is up: from now on it stays until ``down``, unless it is tied."""

    def down(self) -> None:
        """Remove everything that the journal knows of, whatever state it is in. Does nothing when nothing is there."""

    def processes(self) -> list[ProcessState]:
        """Every process of the lab. Raises ``LabError`` when the runtime itself has died."""

    def start(self, names: Sequence[str]) -> None: ...

    def stop(self, names: Sequence[str], grace_seconds: float) -> None: ...

    def kill(self, names: Sequence[str]) -> None: ...

    def log(self, name: str, tail: int | None = None) -> str:
        """``name`` as of a process, or ``<workload>/access``; ``tail``: only so many last lines."""

    def follow(self, name: str, tail: int | None = None) -> Iterator[str]:
        """The lines so far, then each as it comes."""

    def exec(self, workload: str, argv: Sequence[str]) -> int:
        """Run ``argv`` where the app runs, with its environment, on this terminal; return its exit status."""

    def admin(self, workload: str, path: str, method: str = "GET") -> Response:
        """The data plane's admin interface."""


def runtime_for(name: str, folder: LabFolder) -> Runtime:
    """The runtime of this name, imported when asked for."""
    if name not in RUNTIMES:
        raise LabError(f'there is no runtime "{name}"', how=f"runtimes: {', '.join(RUNTIMES)}")
    module = importlib.import_module(f"lab.runtimes.{name}")
    return cast(Runtime, module.create(folder))


def control_settings() -> dict[str, str]:
    """The caller's wishes that the control plane reads from its environment: how proxies write access logs (TEXT or JSON)."""
    wish = os.environ.get(ACCESS_LOG_ENCODING)
    return {ACCESS_LOG_ENCODING: wish} if wish else {}
