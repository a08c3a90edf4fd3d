"""Rules of a Kubernetes Service, as far as it matters here. Kubernetes: pkg/apis/core/validation ValidateService."""

import re
from collections.abc import Iterator

from mesh.galley.metadata import label_problems
from mesh.galley.models.service import ServiceSpec
from mesh.galley.rules.words import bad, port_problems
from mesh.galley.schema import Problem


def service_problems(spec: ServiceSpec) -> Iterator[Problem]:
    names: set[str] = set()
    numbers: set[tuple[int, str]] = set()
    if not spec.ports and spec.type != "ExternalName" and spec.cluster_ip != "None":
        yield bad(("spec",), "ports: Required value")
    for index, port in enumerate(spec.ports):
        path = ("spec", "ports", index)
        yield from port_problems(port.port, (*path, "port"))
        if len(spec.ports) > 1 and not port.name:
            yield bad(path, "name: Required value when there are several ports")
        if port.name and (not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", port.name) or len(port.name) > 63):
            yield bad((*path, "name"), f'"{port.name}" is not a port name', "lower-case letters, digits and -")
        if port.name in names and port.name:
            yield bad((*path, "name"), f'Duplicate value: "{port.name}"')
        if (port.port, port.protocol) in numbers:
            yield bad((*path, "port"), f"Duplicate value: {port.port}")
        if isinstance(port.target_port, int):
            yield from port_problems(port.target_port, (*path, "targetPort"))
        names.add(port.name)
        numbers.add((port.port, port.protocol))
    yield from label_problems(spec.selector, ("spec", "selector"))
