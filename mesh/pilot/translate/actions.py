"""What an HTTPRoute does, as clusters and policies. Istio: pilot/pkg/networking/core/route/route.go, retry/retry.go."""

import base64
from collections.abc import Iterable, Iterator

from mesh.galley.models import virtual_service as istio
from mesh.model.match import MatchKind, RouteMatch
from mesh.model.route import WeightedCluster
from mesh.pilot.translate import matches, names
from mesh.pilot.translate.mesh import Mesh
from mesh.policy.cors import CorsPolicy
from mesh.policy.direct_response import DirectResponse
from mesh.policy.fault import Fault
from mesh.policy.headers import HeaderOperations
from mesh.policy.mirror import Mirror
from mesh.policy.redirect import Redirect
from mesh.policy.retry import RetryPolicy
from mesh.policy.rewrite import Rewrite
from mesh.policy.timeout import Timeout

DEFAULT_RETRY = RetryPolicy(retriable_status_codes=())
"""Where nobody says anything: two retries. A bare 503 is not among the reasons (EXCLUDE_UNSAFE_503_FROM_DEFAULT_RETRY, Istio 1.24)."""
AUTHORITY_NAMES = frozenset({"host", ":authority"})
PREFIX_TOKEN = "%PREFIX()%"  # noqa: S105 - Istio's marker for a prefix redirect


def clusters(mesh: Mesh, http: istio.HTTPRoute, namespace: str, port: int) -> tuple[WeightedCluster, ...]:
    """Empty for redirects and direct responses. One destination takes all, whatever its weight."""
    if len(http.route) == 1:
        only = http.route[0]
        return (WeightedCluster(cluster(mesh, only.destination, namespace, port), 1, _headers(only.headers)),)
    return tuple(
        WeightedCluster(cluster(mesh, part.destination, namespace, port), part.weight, _headers(part.headers))
        for part in http.route
        if part.weight
    )


def cluster(mesh: Mesh, destination: istio.Destination, namespace: str, listener_port: int) -> str:
    """The port: as written, else the service's only one, else the port that was called."""
    hostname = names.full(destination.host, namespace)
    service = mesh.service(hostname)
    number = destination.port.number if destination.port else None
    if number is None:
        number = service.ports[0].number if service is not None and len(service.ports) == 1 else listener_port
    return names.outbound(number, destination.subset, hostname)


def policies(mesh: Mesh, http: istio.HTTPRoute, namespace: str, port: int, match: RouteMatch) -> tuple[object, ...]:
    return tuple(_policies(mesh, http, namespace, port, match))


def _policies(mesh: Mesh, http: istio.HTTPRoute, namespace: str, port: int, match: RouteMatch) -> Iterator[object]:
    if http.redirect is not None:
        yield _redirect(http.redirect, port, match)
    elif http.direct_response is not None:
        yield _direct_response(http.direct_response)
    else:
        if http.timeout:
            yield Timeout(http.timeout)
        retry = _retry(http.retries)
        if retry is not None:
            yield retry
        yield from _mirrors(mesh, http, namespace, port)
        yield from _rewrite(http)
    yield from _operations(http.headers)
    if http.fault is not None:
        yield _fault(http.fault)
    if http.cors_policy is not None:
        yield _cors(http.cors_policy)


def _retry(retries: istio.HTTPRetry | None) -> RetryPolicy | None:
    if retries is None:
        return DEFAULT_RETRY
    if retries.attempts <= 0:
        return None
    tokens = [token.strip() for token in retries.retry_on.split(",") if token.strip()]
    codes = tuple(int(token) for token in tokens if token.isdigit())
    reasons = tuple(token for token in tokens if not token.isdigit()) or DEFAULT_RETRY.retry_on
    if codes and "retriable-status-codes" not in reasons:
        reasons += ("retriable-status-codes",)
    backoff = retries.backoff or 0.025
    return RetryPolicy(
        attempts=retries.attempts,
        retry_on=reasons,
        per_try_timeout_seconds=retries.per_try_timeout or 0.0,
        retriable_status_codes=codes,
        backoff_base_seconds=backoff,
        backoff_max_seconds=backoff * 10,
        avoid_previous_hosts=not retries.retry_ignore_previous_hosts if retries.retry_ignore_previous_hosts is not None else True,
    )


def _mirrors(mesh: Mesh, http: istio.HTTPRoute, namespace: str, port: int) -> Iterator[Mirror]:
    if http.mirror is not None:
        percent = http.mirror_percentage.value if http.mirror_percentage else 100.0 if http.mirror_percent is None else http.mirror_percent
        if percent:
            yield Mirror(cluster(mesh, http.mirror, namespace, port), float(percent))
    for mirror in http.mirrors:
        percent = mirror.percentage.value if mirror.percentage else 100.0
        if percent:
            yield Mirror(cluster(mesh, mirror.destination, namespace, port), percent)


def _rewrite(http: istio.HTTPRoute) -> Iterator[Rewrite]:
    """A Host set among the headers is a rewrite, too, and has the last word: proxies take none among their header operations."""
    rewrite = http.rewrite or istio.HTTPRewrite()
    by_regex = rewrite.uri_regex_rewrite
    regex = (by_regex.match, by_regex.rewrite) if by_regex is not None else None
    authority = _authority(http.headers) or rewrite.authority
    if rewrite.uri or regex or authority:
        yield Rewrite(rewrite.uri, regex, authority)


def _authority(headers: istio.Headers | None) -> str:
    wanted = headers.request.set if headers is not None and headers.request is not None else {}
    return next((value for name, value in sorted(wanted.items()) if name.lower() in AUTHORITY_NAMES), "")


def _redirect(redirect: istio.HTTPRedirect, port: int, match: RouteMatch) -> Redirect:
    """``FROM_REQUEST_PORT`` repeats the port that was called; ``%PREFIX()%`` in the uri keeps what follows a matched prefix."""
    number = redirect.port or (port if redirect.derive_port == "FROM_REQUEST_PORT" else 0)
    prefix, path = redirect.prefix_rewrite, redirect.uri
    if path.startswith(PREFIX_TOKEN) and match.path.kind is MatchKind.PREFIX:
        prefix, path = path.removeprefix(PREFIX_TOKEN), ""
    return Redirect(redirect.redirect_code or 301, redirect.scheme, redirect.authority, number, path, prefix)


def _direct_response(response: istio.HTTPDirectResponse) -> DirectResponse:
    body = b""
    if response.body is not None:
        body = base64.b64decode(response.body.bytes) if response.body.bytes else (response.body.string or "").encode()
    return DirectResponse(response.status, body)


def _fault(fault: istio.HTTPFaultInjection) -> Fault:
    delay, abort = fault.delay, fault.abort
    return Fault(
        delay_seconds=(delay and delay.fixed_delay) or 0.0,
        delay_percent=_share(delay.percentage, delay.percent) if delay and delay.fixed_delay else 0.0,
        abort_status=(abort and abort.http_status) or 0,
        abort_percent=_share(abort.percentage, None) if abort and abort.http_status else 0.0,
    )


def _share(percentage: istio.Percent | None, percent: int | None) -> float:
    """None, unless a share is given: a fault without one does nothing, in Istio as here."""
    return percentage.value if percentage is not None else float(percent or 0)


def _cors(cors: istio.CorsPolicy) -> CorsPolicy:
    origins = [matches.string(origin) for origin in cors.allow_origins]
    origins += [matches.string(istio.StringMatch(exact=origin)) for origin in cors.allow_origin]
    return CorsPolicy(
        allow_origins=tuple(origins),
        allow_methods=",".join(cors.allow_methods),
        allow_headers=",".join(cors.allow_headers),
        expose_headers=",".join(cors.expose_headers),
        max_age=str(int(cors.max_age)) if cors.max_age is not None else "",
        allow_credentials=cors.allow_credentials,
        forward_not_matching_preflights=cors.unmatched_preflights != "IGNORE",
    )


def _headers(headers: istio.Headers | None) -> tuple[object, ...]:
    """Of a destination."""
    authority = _authority(headers)
    return (*_operations(headers), *((Rewrite(authority=authority),) if authority else ()))


def _operations(headers: istio.Headers | None) -> tuple[HeaderOperations, ...]:
    if headers is None:
        return ()
    request, response = headers.request or istio.HeaderOperations(), headers.response or istio.HeaderOperations()
    operations = HeaderOperations(
        request_set=_pairs(request.set),
        request_add=_pairs(request.add),
        request_remove=_names(request.remove),
        response_set=_pairs(response.set),
        response_add=_pairs(response.add),
        response_remove=_names(response.remove),
    )
    return (operations,) if operations != HeaderOperations() else ()


def _pairs(headers: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in sorted(headers.items()) if not _untouchable(name))


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names if not _untouchable(name))


def _untouchable(name: str) -> bool:
    """One such operation, and a proxy would refuse the whole route configuration."""
    return name.lower() == "host" or name.startswith(":")
