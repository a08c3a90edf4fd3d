"""Rules of a Gateway. Istio: pkg/config/validation/validation.go ValidateGateway, validateServer, validateTLSOptions."""

import re
from collections.abc import Iterator

from mesh.galley.models.gateway import GatewaySpec, Server, ServerTLSSettings
from mesh.galley.parse import Path
from mesh.galley.rules.words import bad, host_problems, odd, port_problems
from mesh.galley.schema import Problem

PROTOCOLS = ("HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "MONGO", "TCP", "TLS", "MYSQL", "REDIS")
PLAIN = frozenset({"HTTP", "GRPC", "GRPC-WEB", "HTTP2"})
ENCRYPTED = frozenset({"HTTPS", "TLS"})


def gateway_problems(spec: GatewaySpec) -> Iterator[Problem]:
    if not spec.servers:
        yield bad(("spec",), "a gateway needs at least one server", key=True)
    if not spec.selector:
        yield odd(("spec",), "a gateway without a selector is taken by every gateway proxy", "select one: istio: ingressgateway", key=True)
    names: set[str] = set()
    for index, server in enumerate(spec.servers):
        path: Path = ("spec", "servers", index)
        yield from _server(server, path)
        if server.port.name and server.port.name in names:
            yield bad((*path, "port", "name"), f'port names in servers must be unique: duplicate "{server.port.name}"')
        names.add(server.port.name)


def _server(server: Server, path: Path) -> Iterator[Problem]:
    port = server.port
    yield from port_problems(port.number, (*path, "port", "number"))
    if not port.name:
        yield bad((*path, "port"), "name: Required value", "as in http or https-443", key=True)
    if port.protocol.upper() not in PROTOCOLS:
        yield bad((*path, "port", "protocol"), f'"{port.protocol}" is not a protocol', f"there are {', '.join(PROTOCOLS)}")
    for index, host in enumerate(server.hosts):
        namespace, slash, name = host.rpartition("/")
        here = (*path, "hosts", index)
        if slash and namespace not in ("*", ".", "~") and not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", namespace):
            yield bad(here, f'"{namespace}" is not a namespace', 'a namespace, "." (this one) or "*" (all)')
        yield from host_problems(name, here)
    if server.bind:
        yield bad((*path, "bind"), "an address to bind to is not supported yet", "leave it out for all of the gateway's")
    yield from _tls(server, path)


def _tls(server: Server, path: Path) -> Iterator[Problem]:
    tls, protocol = server.tls, server.port.protocol.upper()
    if protocol in ENCRYPTED and tls is None:
        yield bad(path, f"server must have TLS settings for {protocol} protocols", "tls: {mode: PASSTHROUGH}", key=True)
    if tls is None:
        return
    here = (*path, "tls")
    if protocol in PLAIN and not _redirects_only(tls):
        yield bad(here, f"server cannot have TLS settings for plain {protocol} ports", "httpsRedirect alone may stand there", key=True)
    elif protocol in ENCRYPTED and tls.https_redirect:
        yield bad((*here, "httpsRedirect"), "it is for plain HTTP ports: here is HTTPS already", key=True)
    elif protocol in ENCRYPTED and tls.mode != "PASSTHROUGH":
        yield bad((*here, "mode"), f"mode {tls.mode} is not supported yet: a gateway does not end TLS", "PASSTHROUGH is")
    elif protocol in ENCRYPTED and (tls.server_certificate or tls.private_key or tls.credential_name):
        yield odd(here, "certificates have no effect with mode PASSTHROUGH", key=True)


def _redirects_only(tls: ServerTLSSettings) -> bool:
    return tls.https_redirect and tls.model_fields_set <= {"https_redirect"}
