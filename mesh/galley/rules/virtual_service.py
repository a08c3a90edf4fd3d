"""Rules of a VirtualService as a whole, and of its matches. Istio: pkg/config/validation/validation.go ValidateVirtualService."""

from collections.abc import Iterator

from mesh.galley.models.virtual_service import HTTPMatchRequest, HTTPRoute, StringMatch, VirtualServiceSpec
from mesh.galley.parse import Path
from mesh.galley.rules.http_route import http_route_problems
from mesh.galley.rules.tcp_route import tcp_route_problems, tls_route_problems
from mesh.galley.rules.words import (
    bad,
    export_to_problems,
    header_name_problems,
    host_problems,
    odd,
    port_problems,
    regex_problems,
)
from mesh.galley.schema import Problem

SPEC: Path = ("spec",)
HTTP: Path = ("spec", "http")


def virtual_service_problems(spec: VirtualServiceSpec) -> Iterator[Problem]:
    yield from _hosts(spec)
    yield from _gateways(spec)
    yield from export_to_problems(spec.export_to, (*SPEC, "exportTo"))
    if not (spec.http or spec.tcp or spec.tls):
        yield bad(SPEC, "http, tcp or tls must be provided")
    for index, tcp in enumerate(spec.tcp):
        yield from tcp_route_problems(tcp, (*SPEC, "tcp", index))
    for index, tls in enumerate(spec.tls):
        yield from tls_route_problems(tls, spec.hosts, (*SPEC, "tls", index))
    for index, route in enumerate(spec.http):
        for number, match in enumerate(route.match):
            yield from _match(match, (*HTTP, index, "match", number))
        yield from http_route_problems(route, (*HTTP, index))
    yield from _unreachable(spec.http)


def _hosts(spec: VirtualServiceSpec) -> Iterator[Problem]:
    if not spec.hosts:
        yield bad(
            (*SPEC, "hosts"),
            "Required value: at least one host",
            "delegates (VirtualServices without hosts) are not supported yet",
            key=True,
        )
    for index, host in enumerate(spec.hosts):
        path = (*SPEC, "hosts", index)
        yield from host_problems(host, path)
        if host == "*" and spec.in_mesh:
            yield bad(path, "the wildcard host * is not allowed for what is bound to the mesh", "name the hosts, or bind it to a gateway")
        if host in spec.hosts[:index]:
            yield bad(path, f'duplicate host "{host}"')


def _gateways(spec: VirtualServiceSpec) -> Iterator[Problem]:
    for index, name in enumerate(spec.gateways):
        if not name:
            yield bad((*SPEC, "gateways", index), "a gateway cannot be empty")


def _match(match: HTTPMatchRequest, path: Path) -> Iterator[Problem]:
    for field, one in (("uri", match.uri), ("scheme", match.scheme), ("method", match.method), ("authority", match.authority)):
        if one is not None:
            yield from _string_match(one, (*path, field), empty=False)
    for field, named in (("headers", match.headers), ("withoutHeaders", match.without_headers), ("queryParams", match.query_params)):
        for name, one in named.items():
            here = (*path, field, name)
            yield from _string_match(one, here, empty=True)
            if name.startswith("@request.auth."):
                yield bad(here, "routing by JWT claims is not supported yet", key=True)
            elif field != "queryParams":
                yield from header_name_problems(name.removeprefix(":"), here)
    yield from port_problems(match.port, (*path, "port"))
    if match.ignore_uri_case and match.uri is not None and match.uri.regex is not None:
        yield odd((*path, "ignoreUriCase"), "it has no effect on a regular expression", 'begin it with "(?i)"', key=True)


def _string_match(match: StringMatch, path: Path, *, empty: bool) -> Iterator[Problem]:
    if match.regex is not None:
        yield from regex_problems(match.regex, (*path, "regex"))
    elif match.prefix == "":
        yield bad((*path, "prefix"), "a prefix cannot be empty", "leave the match out to match all")
    elif match.exact is None and match.prefix is None and not empty:
        yield bad(path, "one of exact, prefix, regex must be set", key=True)


def _unreachable(routes: tuple[HTTPRoute, ...]) -> Iterator[Problem]:
    """Istio's IST0130 and IST0131, the plain cases: a route after one that takes everything, and the same match twice."""
    all_taken: int | None = None
    seen: dict[str, int] = {}
    for index, route in enumerate(routes):
        path = (*HTTP, index)
        if all_taken is not None:
            message = f"http[{index}] is never reached: http[{all_taken}] matches everything"
            yield Problem(path, message, "the first route that matches is taken", code="IST0130")
        elif not route.match or any(_takes_all(match) for match in route.match):
            all_taken = index
        for number, match in enumerate(route.match):
            known = seen.setdefault(match.model_dump_json(exclude={"name", "stat_prefix"}), index)
            if known != index and all_taken != known:
                yield Problem((*path, "match", number), f"this match stands in http[{known}] already, which is taken first", code="IST0131")


def _takes_all(match: HTTPMatchRequest) -> bool:
    given = match.model_fields_set - {"name", "stat_prefix", "ignore_uri_case"}
    return not given or (given == {"uri"} and match.uri is not None and match.uri.prefix == "/")
