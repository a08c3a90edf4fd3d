"""What an agent is told, by environment variables.

``SEATRIAL_XDS_ADDRESS`` host:port of the control plane. ``SEATRIAL_NODE`` JSON with ip (empty: found out), name, namespace, labels,
workload_name, service_account, interception (NONE or REDIRECT) and bindings. ``SEATRIAL_DATAPLANE`` python (default) or envoy, then
``SEATRIAL_ENVOY_BINARY``. ``SEATRIAL_ADMIN_ADDRESS`` (loopback only), ``SEATRIAL_HEALTH_ADDRESS`` host:port to listen on.
``SEATRIAL_PROBE`` http://host:port/path or tcp://host:port of the app, empty for none. ``SEATRIAL_DRAIN_SECONDS``.
``SEATRIAL_ACCESS_LOG`` a path. ``SEATRIAL_CAPTURE`` 1: redirect the network namespace's traffic here, then give up root.
"""

import contextlib
import ipaddress
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from mesh.model.node import Interception, Node
from mesh.xds.node import bindings_from_json

DATAPLANES = ("python", "envoy")


class BadSetting(Exception):
    """Names the variable, what is wrong with it and what it should be."""

    def __init__(self, variable: str, problem: str) -> None:
        super().__init__(f"{variable}: {problem}")


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Settings:
    xds: Address
    node: Node
    dataplane: str
    envoy_binary: str
    admin: Address
    health: Address
    probe: str
    drain_seconds: float
    access_log: str
    capture: bool


def read(environment: Mapping[str, str]) -> Settings:
    """Raises BadSetting."""
    dataplane = environment.get("SEATRIAL_DATAPLANE") or "python"
    if dataplane not in DATAPLANES:
        raise BadSetting("SEATRIAL_DATAPLANE", f"{dataplane!r} is not one of {', '.join(DATAPLANES)}")
    binary = environment.get("SEATRIAL_ENVOY_BINARY", "")
    if dataplane == "envoy" and not binary:
        raise BadSetting("SEATRIAL_ENVOY_BINARY", "the path of an Envoy is needed for SEATRIAL_DATAPLANE=envoy")
    probe = environment.get("SEATRIAL_PROBE", "")
    if probe and not probe.startswith(("http://", "tcp://")):
        raise BadSetting("SEATRIAL_PROBE", f"{probe!r} is neither http://host:port/path nor tcp://host:port")
    xds = _address(environment, "SEATRIAL_XDS_ADDRESS", "")
    return Settings(
        xds=xds,
        node=_node(environment, dataplane, xds, bool(probe)),
        dataplane=dataplane,
        envoy_binary=binary,
        admin=_loopback(_address(environment, "SEATRIAL_ADMIN_ADDRESS", "127.0.0.1:15000")),
        health=_address(environment, "SEATRIAL_HEALTH_ADDRESS", "0.0.0.0:15021"),
        probe=probe,
        drain_seconds=_seconds(environment, "SEATRIAL_DRAIN_SECONDS", 5.0),
        access_log=environment.get("SEATRIAL_ACCESS_LOG") or "/dev/stdout",
        capture=environment.get("SEATRIAL_CAPTURE", "") in ("1", "true"),
    )


def _address(environment: Mapping[str, str], variable: str, default: str) -> Address:
    text = environment.get(variable) or default
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise BadSetting(variable, f"{text!r} is not host:port")
    return Address(host, int(port))


def _loopback(admin: Address) -> Address:
    """Whoever reaches the admin interface can end the proxy and read all that it knows."""
    with contextlib.suppress(ValueError):
        if admin.host == "localhost" or ipaddress.ip_address(admin.host).is_loopback:
            return admin
    raise BadSetting("SEATRIAL_ADMIN_ADDRESS", f"{admin} is not on loopback, and the admin interface asks nobody who they are")


def _seconds(environment: Mapping[str, str], variable: str, default: float) -> float:
    text = environment.get(variable)
    try:
        seconds = float(text) if text else default
    except ValueError:
        raise BadSetting(variable, f"{text!r} is not a number of seconds") from None
    if seconds < 0:
        raise BadSetting(variable, f"{text!r} is negative")
    return seconds


def _node(environment: Mapping[str, str], dataplane: str, xds: Address, reports_health: bool) -> Node:
    try:
        given = json.loads(environment.get("SEATRIAL_NODE") or "null")
        return Node(
            ip=given.get("ip") or own_address(xds),
            name=given["name"],
            namespace=given.get("namespace") or "default",
            kind=given.get("kind") or "sidecar",
            labels=dict(given.get("labels") or {}),
            workload_name=given.get("workload_name") or "",
            service_account=given.get("service_account") or "",
            interception=Interception(given.get("interception") or "REDIRECT"),
            bindings=bindings_from_json(given.get("bindings") or {}),
            dataplane=dataplane,
            reports_health=reports_health,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadSetting("SEATRIAL_NODE", f"cannot be read as a node: {error!r}") from None


def own_address(towards: Address) -> str:
    """The local address from which another is reached; no packet is sent. Raises BadSetting where there is no way to it."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((towards.host, towards.port))
            address: str = probe.getsockname()[0]
            return address
    except OSError as error:
        raise BadSetting("SEATRIAL_XDS_ADDRESS", f"{towards} cannot be reached: {error}") from None
