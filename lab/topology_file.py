"""The file a topology is written in: its fields, its rules, and an error with line and column for each that is broken."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path as FilePath
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from lab.topology import RUNTIMES, GatewaySpec, PortSpec, Program, ServiceSpec, Topology, TopologyError, VersionSpec
from lab.yaml_marks import Document, Finding, Path, YamlError, did_you_mean, read

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")  # DNS-1123 label
LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?\Z")
LONGEST_NAME = 63
LONGEST_INSTANCE_SUFFIX = len("-99")


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PortFields(_Fields):
    name: str
    port: int = Field(ge=1, le=65535)


class ProgramFields(_Fields):
    module: str | None = None
    command: list[str] | None = Field(default=None, min_length=1)
    image: str | None = None
    environment: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    database: Literal["postgres"] | None = None


class VersionFields(ProgramFields):
    replicas: int = Field(default=1, ge=0, le=100)
    runtimes: list[Literal["local", "docker"]] = Field(default_factory=lambda: list(RUNTIMES))  # type: ignore[arg-type]


class ServiceFields(ProgramFields):
    ports: list[PortFields] = Field(min_length=1)
    readiness: str = "tcp"
    service_account: str | None = None
    versions: dict[str, VersionFields | None] = Field(min_length=1)


class GatewayFields(_Fields):
    ports: list[PortFields] = Field(min_length=1)
    labels: dict[str, str] = Field(default_factory=dict)


class TopologyFields(_Fields):
    name: str
    namespace: str = "default"
    services: dict[str, ServiceFields] = Field(min_length=1)
    gateways: dict[str, GatewayFields] = Field(default_factory=dict)
    ingress: str


def read_topology(file: str, text: str) -> Topology:
    try:
        document = read(file, text)
    except YamlError as error:
        raise TopologyError(file, text, error.findings) from error
    try:
        fields = TopologyFields.model_validate(document.data)
    except ValidationError as error:
        raise TopologyError(file, text, [_finding(document, details) for details in error.errors()]) from error
    findings = [*_rules(document, fields)]
    if findings:
        raise TopologyError(file, text, findings)
    return _topology(fields, FilePath(file).resolve().parent)


# --- what pydantic found, in the author's words ---


def _finding(document: Document, details: ErrorDetails) -> Finding:
    path: Path = tuple(part for part in details["loc"] if part != "[key]")
    kind = details["type"]
    inside = _dotted(path[:-1])
    name = path[-1] if path else ""
    if kind == "extra_forbidden":
        known = _known_fields(path)
        hint = did_you_mean(str(name), known) or f"known here: {', '.join(known)}"
        return Finding(f'unknown field "{name}" in {inside}', document.mark(path, key=True), hint)
    if kind == "missing":
        return Finding(f'{inside} needs "{name}"', document.mark(path[:-1], key=True))
    if kind == "string_type" and not isinstance(details["input"], dict | list):
        return Finding(f"{_dotted(path)} must be text", document.mark(path, key="[key]" in details["loc"]), "put it in quotes")
    message = details["msg"].replace("Input should be", "must be").replace("a valid dictionary or instance of", "a mapping, as in")
    return Finding(f"{_dotted(path)} {_plain(message)}", document.mark(path))


def _dotted(path: Path) -> str:
    return (
        "".join(f"[{part}]" if path[:index][-1:] == ("ports",) else f".{part}" for index, part in enumerate(path)).removeprefix(".")
        or "the topology"
    )


def _plain(message: str) -> str:
    message = (
        re.sub(r"a mapping, as in \w+", "a mapping", message)
        .replace("a valid ", "a ")
        .replace("a integer", "a whole number")
        .replace("dictionary", "mapping")
    )
    return message[0].lower() + message[1:]


def _known_fields(path: Path) -> list[str]:
    match path:
        case (_,):
            fields: type[BaseModel] = TopologyFields
        case ("services", _, _):
            fields = ServiceFields
        case ("gateways", _, _):
            fields = GatewayFields
        case ("services" | "gateways", _, "ports", _, _):
            fields = PortFields
        case _:
            fields = VersionFields
    return sorted(fields.model_fields)


# --- what fields alone cannot say ---


def _rules(document: Document, fields: TopologyFields) -> Iterator[Finding]:
    yield from _name_rule(document, ("name",), fields.name)
    yield from _name_rule(document, ("namespace",), fields.namespace)
    if fields.ingress not in fields.services:
        hint = did_you_mean(fields.ingress, fields.services)
        yield Finding(f'ingress "{fields.ingress}" is none of the services', document.mark(("ingress",)), hint)
    for name, service in fields.services.items():
        yield from _service_rules(document, ("services", name), service)
    for name, gateway in fields.gateways.items():
        path: Path = ("gateways", name)
        yield from _name_rule(document, path, name, key=True)
        yield from _port_rules(document, (*path, "ports"), gateway.ports)
        yield from _label_rules(document, path, gateway.labels)
        if name in fields.services:
            yield Finding(f'"{name}" is a service already', document.mark(path, key=True), "a gateway is a service of its own")


def _service_rules(document: Document, path: Path, service: ServiceFields) -> Iterator[Finding]:
    yield from _name_rule(document, path, str(path[-1]), key=True)
    yield from _port_rules(document, (*path, "ports"), service.ports)
    yield from _word_rules(document, path, service)
    if service.readiness != "tcp" and not service.readiness.startswith("/"):
        yield Finding('readiness is a path that starts with "/", or "tcp"', document.mark((*path, "readiness")))
    for name, version in service.versions.items():
        version = version or VersionFields()
        at = (*path, "versions", name)
        yield from _name_rule(document, at, name, key=True)
        longest = f"{path[-1]}-{name}"
        if len(longest) + LONGEST_INSTANCE_SUFFIX > LONGEST_NAME:
            yield Finding(f'"{longest}-0" is longer than {LONGEST_NAME} characters', document.mark(at, key=True))
        yield from _word_rules(document, at, version)
        yield from _program_rules(document, at, service, version)


def _name_rule(document: Document, path: Path, name: str, *, key: bool = False) -> Iterator[Finding]:
    if not NAME.match(name) or len(name) > LONGEST_NAME:
        hint = f'at most {LONGEST_NAME} of a-z, 0-9 and "-", and no "-" at either end'
        yield Finding(f'"{name}" is no name', document.mark(path, key=key), hint)


def _port_rules(document: Document, path: Path, ports: list[PortFields]) -> Iterator[Finding]:
    for index, port in enumerate(ports):
        yield from _name_rule(document, (*path, index, "name"), port.name)
        for earlier in ports[:index]:
            if earlier.port == port.port:
                yield Finding(f"port {port.port} appears twice", document.mark((*path, index, "port")))
            if earlier.name == port.name:
                yield Finding(f'port name "{port.name}" appears twice', document.mark((*path, index, "name")))


def _word_rules(document: Document, path: Path, fields: ProgramFields) -> Iterator[Finding]:
    for key in fields.environment:
        if not key or "=" in key or "\0" in key:
            yield Finding(f'"{key}" is no name of an environment variable', document.mark((*path, "environment", key), key=True))
    yield from _label_rules(document, path, fields.labels)


def _label_rules(document: Document, path: Path, labels: Mapping[str, str]) -> Iterator[Finding]:
    for key, value in labels.items():
        if not LABEL.match(value) or len(value) > LONGEST_NAME:
            hint = "letters, digits, '-', '_' and '.', at most 63"
            yield Finding(f'"{value}" is no value of a label', document.mark((*path, "labels", key)), hint)


def _programs(fields: ProgramFields) -> list[str]:
    return [name for name in ("module", "command", "image") if getattr(fields, name)]


def _program_rules(document: Document, path: Path, service: ServiceFields, version: VersionFields) -> Iterator[Finding]:
    chosen = version if _programs(version) else service
    at = path if chosen is version else path[:-2]
    names = _programs(chosen)
    if not names:
        yield Finding(f"{_dotted(path)} has nothing to run", document.mark(path, key=True), "needs module, command or image")
    elif "module" in names and len(names) > 1:
        yield Finding(f"a module and also {names[1]}: which one?", document.mark((*at, names[1]), key=True))
    elif "image" in names and "local" in version.runtimes:
        hint = "add `runtimes: [docker]` to the version"
        yield Finding("an image cannot run in the local runtime", document.mark((*at, "image"), key=True), hint)


# --- fields into nouns ---


def _topology(fields: TopologyFields, directory: FilePath) -> Topology:
    services = tuple(_service(name, service) for name, service in fields.services.items())
    gateways = tuple(
        GatewaySpec(name, tuple(PortSpec(port.name, port.port) for port in gateway.ports), gateway.labels)
        for name, gateway in fields.gateways.items()
    )
    return Topology(fields.name, services, fields.ingress, fields.namespace, directory, gateways)


def _service(name: str, fields: ServiceFields) -> ServiceSpec:
    return ServiceSpec(
        name=name,
        ports=tuple(PortSpec(port.name, port.port) for port in fields.ports),
        versions=tuple(_version(version_name, version or VersionFields(), fields) for version_name, version in fields.versions.items()),
        readiness=fields.readiness,
        service_account=fields.service_account or name,
    )


def _version(name: str, version: VersionFields, service: ServiceFields) -> VersionSpec:
    chosen = version if _programs(version) else service
    return VersionSpec(
        name=name,
        program=Program(chosen.module or "", tuple(chosen.command or ()), chosen.image or ""),
        replicas=version.replicas,
        labels={**service.labels, **version.labels},
        environment={**service.environment, **version.environment},
        runtimes=tuple(_in_order(version.runtimes)),
        database=version.database or service.database or "",
    )


def _in_order(runtimes: Iterable[str]) -> list[str]:
    wanted = set(runtimes)
    return [runtime for runtime in RUNTIMES if runtime in wanted]
