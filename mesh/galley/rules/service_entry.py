"""Rules of a ServiceEntry. Istio: pkg/config/validation/validation.go ValidateServiceEntry, and the rules in its schema."""

import ipaddress
import re
from collections.abc import Iterator

from mesh.galley.metadata import label_problems
from mesh.galley.models.service_entry import ServiceEntrySpec, WorkloadEntry
from mesh.galley.parse import Path
from mesh.galley.rules.words import bad, export_to_problems, host_problems, port_problems
from mesh.galley.schema import Problem

PROTOCOLS = ("HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "MONGO", "TCP", "TLS", "MYSQL", "REDIS", "UDP", "HBONE", "DOUBLE-HBONE")


def service_entry_problems(spec: ServiceEntrySpec) -> Iterator[Problem]:
    yield from _hosts(spec)
    yield from _addresses(spec)
    yield from _ports(spec)
    yield from export_to_problems(spec.export_to, ("spec", "exportTo"))
    yield from _selector(spec)
    yield from _endpoints(spec)


def _hosts(spec: ServiceEntrySpec) -> Iterator[Problem]:
    for index, host in enumerate(spec.hosts):
        if host == "*":
            yield bad(("spec", "hosts", index), "hostname cannot be wildcard")
        else:
            yield from host_problems(host, ("spec", "hosts", index))


def _addresses(spec: ServiceEntrySpec) -> Iterator[Problem]:
    for index, address in enumerate(spec.addresses):
        path = ("spec", "addresses", index)
        if "/" in address and spec.resolution not in ("NONE", "STATIC"):
            yield bad(path, "CIDR addresses are allowed only for NONE/STATIC resolution types")
        elif not _is_network(address):
            yield bad(path, f'"{address}" is not an IP address or a CIDR range')


def _is_network(address: str) -> bool:
    # the schema takes groups with leading noughts (001:db8::), Python does not
    plain = re.sub(r"(^|:)0+(?=[0-9a-fA-F])", r"\1", address) if ":" in address else address
    try:
        ipaddress.ip_network(plain, strict=False)
    except ValueError:
        return False
    return True


def _ports(spec: ServiceEntrySpec) -> Iterator[Problem]:
    names: set[str] = set()
    numbers: set[int] = set()
    for index, port in enumerate(spec.ports):
        path = ("spec", "ports", index)
        yield from port_problems(port.number, (*path, "number"))
        yield from port_problems(port.target_port, (*path, "targetPort"))
        if port.name in names:
            yield bad((*path, "name"), f'Duplicate value: "{port.name}"')
        if port.number in numbers:
            yield bad((*path, "number"), f"port number cannot be duplicated: {port.number}")
        if port.protocol and port.protocol.upper() not in PROTOCOLS:
            yield bad((*path, "protocol"), f'"{port.protocol}" is not a protocol', f"there are {', '.join(PROTOCOLS[:9])}")
        names.add(port.name)
        numbers.add(port.number)


def _selector(spec: ServiceEntrySpec) -> Iterator[Problem]:
    selector = spec.workload_selector
    if selector is None:
        return
    path = ("spec", "workloadSelector")
    if spec.endpoints:
        yield bad(path, "only one of WorkloadSelector or Endpoints can be set", key=True)
    starred = [key for key, value in selector.labels.items() if "*" in key or "*" in value]
    for key in starred:
        yield bad((*path, "labels", key), "wildcard is not supported in selector")
    yield from label_problems({key: value for key, value in selector.labels.items() if key not in starred}, (*path, "labels"))


def _endpoints(spec: ServiceEntrySpec) -> Iterator[Problem]:
    path: Path = ("spec", "endpoints")
    if spec.endpoints and spec.resolution == "NONE":
        yield bad(path, "NONE mode cannot set endpoints", "resolution: STATIC or DNS", key=True)
    if len(spec.endpoints) > 1 and spec.resolution == "DNS_ROUND_ROBIN":
        yield bad(path, "DNS_ROUND_ROBIN mode cannot have multiple endpoints", key=True)
    if spec.resolution == "DYNAMIC_DNS":
        yield bad(("spec", "resolution"), "DYNAMIC_DNS is not supported yet", "use DNS")
    names = [port.name for port in spec.ports]
    for index, endpoint in enumerate(spec.endpoints):
        yield from _endpoint(endpoint, names, spec.resolution, (*path, index))


def _endpoint(endpoint: WorkloadEntry, names: list[str], resolution: str, path: Path) -> Iterator[Problem]:
    address = endpoint.address
    if not address and not endpoint.network:
        yield bad(path, "address: Required value")
    elif address.startswith("unix://"):
        yield bad((*path, "address"), "Unix domain sockets are not supported yet")
    elif resolution == "STATIC" and address and ("/" in address or not _is_network(address)):
        yield bad((*path, "address"), f'"{address}" is not an IP address', "resolution: DNS takes names")
    elif resolution.startswith("DNS") and address:
        yield from host_problems(address, (*path, "address"), wildcard=False)
    for name, number in endpoint.ports.items():
        yield from port_problems(number, (*path, "ports", name))
        if name not in names:
            yield bad((*path, "ports", name), f'the entry has no port "{name}"', key=True)
    yield from label_problems(endpoint.labels, (*path, "labels"))
