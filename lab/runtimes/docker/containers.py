"""One lab's containers and network on the engine. Everything has labels that say whose it is: they, not names, are what is removed by."""

import getpass
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from lab.runtimes.docker.engine import said
from lab.runtimes.docker.plan import TOPOLOGY, ContainerSpec
from lab.runtimes.runtime import LabError
from lab.until import until

LAB, RUN, FOLDER, OWNER, PROCESS = (f"seatrial.{word}" for word in ("lab", "run", "folder", "owner", "process"))
AT_ONCE = 8
GONE_SECONDS = 30.0
LOGS = {"max-size": "64m"}

T = TypeVar("T")
R = TypeVar("R")


class PortTaken(LabError):
    """Somebody took a port between its choice and its use."""


def owner() -> str:
    """Who on which machine: an engine may serve several."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def at_once(do: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """In threads; the first failure is raised after all have ended."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = [pool.submit(do, item) for item in items]
    return [future.result() for future in futures]


@dataclass(frozen=True, slots=True)
class Containers:
    """``run`` names one ``up`` of the lab."""

    client: docker.DockerClient
    lab: str
    run: str
    folder: Path

    @property
    def network(self) -> str:
        return f"seatrial-{self.lab}-{self.run}"

    def create_network(self) -> None:
        self.client.networks.create(self.network, driver="bridge", labels=self._labels())

    def create(self, spec: ContainerSpec, image: str) -> None:
        """Raises ``LabError``."""
        settings = self._settings(spec)
        network = None
        if spec.joins:
            settings["network_mode"] = f"container:{self._name(spec.joins)}"
        else:
            endpoint = self.client.api.create_endpoint_config(aliases=list(spec.aliases))
            network = self.client.api.create_networking_config({self.network: endpoint})  # type: ignore[arg-type]
            settings["network_mode"] = self.network
            settings["port_bindings"] = {f"{port}/tcp": ("127.0.0.1", here) for port, here in spec.publish.items()}
        try:
            self.client.api.create_container(
                image,
                command=list(spec.command) or None,
                name=self._name(spec.name),
                hostname=None if spec.joins else spec.name.partition("/")[0],
                user=spec.user or None,
                environment=dict(spec.environment),
                labels=self._labels() | {PROCESS: spec.name},
                ports=[(port, "tcp") for port in spec.publish],
                volumes=list(spec.volumes),
                working_dir=TOPOLOGY if spec.folder else None,
                host_config=self.client.api.create_host_config(**settings),
                networking_config=network,
            )
        except APIError as error:
            raise LabError(f"cannot create the container of {spec.name}", why=said(error)) from error

    def _settings(self, spec: ContainerSpec) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "log_config": docker.types.LogConfig(type="json-file", config=LOGS),
            "security_opt": ["no-new-privileges"],
        }
        if spec.restricted:
            settings |= {"cap_drop": ["ALL"], "read_only": True, "tmpfs": {"/tmp": "mode=1777"}}  # noqa: S108  # the container's own
        if spec.capabilities:
            settings["cap_add"] = list(spec.capabilities)
        if spec.folder:
            settings["binds"] = {spec.folder: {"bind": TOPOLOGY, "mode": "ro"}}
        return settings

    def start(self, name: str) -> None:
        """Raises ``LabError``."""
        try:
            self.client.api.start(self._name(name))
        except APIError as error:
            why = said(error)
            if "port is already allocated" in why or "address already in use" in why:
                raise PortTaken(f"cannot start {name}", why=why) from error
            raise LabError(f"cannot start {name}", why=why.removeprefix("failed to create shim task: ")) from error

    def get(self, name: str) -> Container:
        """Raises ``LabError`` when it is not there."""
        try:
            return self.client.containers.get(self._name(name))
        except NotFound as error:
            raise LabError(f"lab {self.lab} has no container of {name}") from error

    def listed(self) -> list[dict[str, Any]]:
        """What the engine says of each, in one question."""
        found: list[dict[str, Any]] = self.client.api.containers(all=True, filters={"label": f"{RUN}={self.run}"})
        return found

    def _name(self, name: str) -> str:
        return f"seatrial-{self.lab}-{self.run}-{name.replace('/', '-')}"

    def _labels(self) -> dict[str, str]:
        return {LAB: self.lab, RUN: self.run, FOLDER: str(self.folder), OWNER: owner()}


def remove_labelled(client: docker.DockerClient, labels: Mapping[str, str]) -> None:
    """Every container and network with all these labels, until there is none. Raises ``TimeoutError`` when one stays."""
    filters = {"label": [f"{name}={value}" for name, value in labels.items()]}

    def none_left() -> bool:
        containers: list[dict[str, Any]] = client.api.containers(all=True, filters=filters)
        at_once(lambda container: _remove_container(client, container["Id"]), _joined_first(containers))
        networks: list[dict[str, Any]] = client.api.networks(filters=filters)
        at_once(lambda network: _remove_network(client, network["Id"]), networks)
        return not containers and not networks

    until(none_left, GONE_SECONDS, "the end of the lab's containers")


def _joined_first(containers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those with a network of their own last: nobody is left without one while he runs."""
    return sorted(containers, key=lambda container: not container["HostConfig"]["NetworkMode"].startswith("container:"))


def _remove_container(client: docker.DockerClient, identity: str) -> None:
    try:
        client.api.remove_container(identity, v=True, force=True)
    except NotFound:
        pass
    except APIError as error:
        if error.status_code != 409:  # its removal is already in progress
            raise


def _remove_network(client: docker.DockerClient, identity: str) -> None:
    try:
        client.api.remove_network(identity)
    except NotFound:
        pass
    except APIError as error:
        if error.status_code not in (403, 409):  # still in use: the next round has it
            raise
