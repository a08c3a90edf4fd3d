"""Rules of one HTTP route: where it goes, and what it does on the way. Istio: pkg/config/validation/virtualservice.go validateHTTPRoute."""

import base64
import binascii
import re
from collections.abc import Iterator

from mesh.galley import diagnostics
from mesh.galley.models.virtual_service import (
    Abort,
    CorsPolicy,
    Delay,
    Destination,
    Headers,
    HTTPDirectResponse,
    HTTPFaultInjection,
    HTTPRedirect,
    HTTPRetry,
    HTTPRewrite,
    HTTPRoute,
    Percent,
)
from mesh.galley.parse import Path
from mesh.galley.rules.words import (
    bad,
    header_name_problems,
    header_value_problems,
    host_problems,
    is_subset_name,
    odd,
    port_problems,
    regex_problems,
    without_effect,
)
from mesh.galley.schema import Problem
from mesh.policy.retry import DEFAULT_RETRY_ON, GRPC_STATUSES, HTTP_TOKENS

_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "*"})
_MOST_BODY_BYTES = 1024 * 1024


def http_route_problems(route: HTTPRoute, path: Path) -> Iterator[Problem]:
    yield from _conflicts(route, path)
    yield from _destinations(route, path)
    yield from _mirrors(route, path)
    yield from _headers(route.headers, (*path, "headers"))
    if route.redirect is not None:
        yield from _redirect(route.redirect, (*path, "redirect"))
    if route.direct_response is not None:
        yield from _direct_response(route.direct_response, (*path, "directResponse"))
    if route.rewrite is not None:
        yield from _rewrite(route.rewrite, (*path, "rewrite"))
    if route.fault is not None:
        yield from _fault(route.fault, (*path, "fault"))
    if route.retries is not None:
        yield from _retries(route.retries, (*path, "retries"))
    if route.cors_policy is not None:
        yield from _cors(route.cors_policy, (*path, "corsPolicy"))


_EXCLUDED = {"redirect": ("route", "fault", "rewrite", "directResponse"), "directResponse": ("route", "fault", "rewrite")}


def _conflicts(route: HTTPRoute, path: Path) -> Iterator[Problem]:
    given = {
        "route": bool(route.route),
        "redirect": route.redirect is not None,
        "directResponse": route.direct_response is not None,
        "fault": route.fault is not None,
        "rewrite": route.rewrite is not None,
    }
    if route.delegate is not None:
        yield bad((*path, "delegate"), "delegates are not supported yet", key=True)
        return
    answers = [one for one in _EXCLUDED if given[one]]
    if not answers and not given["route"]:
        yield bad(path, "HTTP route, redirect or directResponse is required")
    for answer in answers[:1]:
        for other in _EXCLUDED[answer]:
            if given[other]:
                yield bad((*path, other), f"a route cannot contain both {other} and {answer}", key=True)


# --- destinations


def _destinations(route: HTTPRoute, path: Path) -> Iterator[Problem]:
    for index, one in enumerate(route.route):
        here = (*path, "route", index)
        yield from destination_problems(one.destination, (*here, "destination"))
        yield from _headers(one.headers, (*here, "headers"))
        if one.weight < 0:
            yield bad((*here, "weight"), f"a weight cannot be negative, {one.weight}")
    yield from weight_problems([one.weight for one in route.route], (*path, "route"))


def weight_problems(weights: list[int], path: Path) -> Iterator[Problem]:
    total = sum(weights)
    if len(weights) < 2 or any(weight < 0 for weight in weights):
        return
    if total == 0:
        yield bad(path, "total destination weight = 0", "give each destination a weight", key=True)
    elif total > 2**32 - 1:
        yield bad(path, f"the weights add up to {total}, more than Envoy takes", key=True)
    elif total != 100:
        shares = ", ".join(f"{weight / total:.1%}" for weight in weights)
        yield odd(path, f"the weights add up to {total}, not 100: the shares are {shares}", key=True)


def destination_problems(destination: Destination, path: Path) -> Iterator[Problem]:
    yield from host_problems(destination.host, (*path, "host"), wildcard=False)
    if destination.subset and not is_subset_name(destination.subset):
        yield bad((*path, "subset"), f'"{destination.subset}" is not a subset name')
    if destination.port is not None:
        yield from port_problems(destination.port.number or 0, (*path, "port", "number"))


def _mirrors(route: HTTPRoute, path: Path) -> Iterator[Problem]:
    if route.mirror is not None:
        yield from destination_problems(route.mirror, (*path, "mirror"))
        if route.mirrors:
            yield bad((*path, "mirrors"), "a route cannot contain both mirror and mirrors", key=True)
    for index, one in enumerate(route.mirrors):
        yield from destination_problems(one.destination, (*path, "mirrors", index, "destination"))
        yield from _percentage(one.percentage, (*path, "mirrors", index, "percentage"))
    yield from _percentage(route.mirror_percentage, (*path, "mirrorPercentage"))
    if route.mirror_percent is not None:
        yield _deprecated((*path, "mirrorPercent"), "mirrorPercentage")
        yield from _percentage(Percent(value=route.mirror_percent), (*path, "mirrorPercent"))
    if route.mirror is None and (route.mirror_percentage or route.mirror_percent is not None):
        yield odd((*path, "mirrorPercentage"), "it has no effect without mirror", key=True)


def _percentage(percent: Percent | None, path: Path) -> Iterator[Problem]:
    if percent is not None and not 0 <= percent.value <= 100:
        yield bad((*path, "value") if path[-1] != "mirrorPercent" else path, f"percentage {percent.value:g} is not in range 0..100")


def _deprecated(path: Path, better: str) -> Problem:
    return Problem(path, f"{path[-1]} is deprecated", f"use {better}", True, diagnostics.DEPRECATED)


# --- what answers instead, and rewriting


def _redirect(redirect: HTTPRedirect, path: Path) -> Iterator[Problem]:
    if not redirect.model_fields_set:
        yield bad(path, "a redirect must specify URI, authority, scheme, port or redirect code", key=True)
    if redirect.uri and redirect.prefix_rewrite:
        yield bad((*path, "prefixRewrite"), "only one of uri and prefixRewrite can be set", key=True)
    if redirect.scheme not in ("", "http", "https"):
        yield bad((*path, "scheme"), f'"{redirect.scheme}" is not http or https')
    if redirect.redirect_code not in (0, 301, 302, 303, 307, 308):
        yield bad((*path, "redirectCode"), f"redirect code {redirect.redirect_code} is not one of 301, 302, 303, 307, 308")
    yield from port_problems(redirect.port, (*path, "port"))


def _direct_response(response: HTTPDirectResponse, path: Path) -> Iterator[Problem]:
    if not 200 <= response.status <= 599:
        yield bad((*path, "status"), f"HTTP status {response.status} is not in range 200-599")
    if response.body is None:
        return
    size = len((response.body.string or "").encode())
    if response.body.bytes is not None:
        try:
            size = len(base64.b64decode(response.body.bytes, validate=True))
        except (binascii.Error, ValueError):
            yield bad((*path, "body", "bytes"), "not base64")
    if size > _MOST_BODY_BYTES:
        yield bad((*path, "body"), f"the body is larger than {_MOST_BODY_BYTES} bytes: {size}", key=True)
    elif size > 100 * 1024:
        yield odd((*path, "body"), f"large bodies cost every proxy memory: {size} bytes", key=True)


def _rewrite(rewrite: HTTPRewrite, path: Path) -> Iterator[Problem]:
    regex = rewrite.uri_regex_rewrite
    if not (rewrite.uri or rewrite.authority or regex):
        yield bad(path, "a rewrite must specify uri, uriRegexRewrite or authority", key=True)
    if rewrite.uri and regex:
        yield bad((*path, "uriRegexRewrite"), "only one of uri and uriRegexRewrite can be set", key=True)
    if regex and not (regex.match and regex.rewrite):
        yield bad((*path, "uriRegexRewrite"), "it needs both match and rewrite", key=True)
    elif regex:
        yield from regex_problems(regex.match, (*path, "uriRegexRewrite", "match"))


# --- policies


def _fault(fault: HTTPFaultInjection, path: Path) -> Iterator[Problem]:
    if fault.delay is None and fault.abort is None:
        yield bad(path, "a fault must have an abort, a delay or both", key=True)
    if fault.delay is not None:
        yield from _delay(fault.delay, (*path, "delay"))
    if fault.abort is not None:
        yield from _abort(fault.abort, (*path, "abort"))


def _delay(delay: Delay, path: Path) -> Iterator[Problem]:
    yield from _percentage(delay.percentage, (*path, "percentage"))
    if delay.percent is not None:
        yield _deprecated((*path, "percent"), "percentage.value")
        if not 0 <= delay.percent <= 100:
            yield bad((*path, "percent"), f"percentage {delay.percent} is not in range 0..100")
    if delay.exponential_delay is not None:
        yield bad((*path, "exponentialDelay"), "not supported, as in Istio", "use fixedDelay", key=True)
    elif delay.fixed_delay is None:
        yield bad(path, "a delay must have a fixedDelay", key=True)
    elif delay.percentage is None and delay.percent is None:
        yield odd(path, "without a percentage no request is delayed", "percentage: {value: 100}", key=True)


def _abort(abort: Abort, path: Path) -> Iterator[Problem]:
    yield from _percentage(abort.percentage, (*path, "percentage"))
    status = abort.http_status
    if status is not None and not 200 <= status <= 599:
        yield bad((*path, "httpStatus"), f"HTTP status {status} is not in range 200-599")
    for field, given in (("grpcStatus", abort.grpc_status), ("http2Error", abort.http2_error)):
        if given is not None:
            yield bad((*path, field), "not supported yet", "use httpStatus", key=True)
    if status is None and abort.grpc_status is None and abort.http2_error is None:
        yield bad(path, "an abort must have an httpStatus", key=True)
    elif abort.percentage is None:
        yield odd(path, "without a percentage no request is aborted", "percentage: {value: 100}", key=True)


def _retries(retries: HTTPRetry, path: Path) -> Iterator[Problem]:
    if retries.attempts < 0:
        yield bad((*path, "attempts"), f"attempts cannot be negative, {retries.attempts}")
    others = retries.model_fields_set - {"attempts"}
    if retries.attempts == 0 and others:
        yield bad(path, "a retry policy is configured when attempts are set to 0 (disabled)", "give attempts", key=True)
    for word in filter(None, retries.retry_on.split(",")):
        if not (word in HTTP_TOKENS or word in GRPC_STATUSES or word in DEFAULT_RETRY_ON or re.fullmatch(r"[1-5]\d\d", word)):
            known = sorted({*HTTP_TOKENS, *GRPC_STATUSES, *DEFAULT_RETRY_ON})
            hint = "no spaces between them" if word.strip() in known else diagnostics.did_you_mean(word, known)
            yield bad((*path, "retryOn"), f'"{word}" is not a condition to retry on', hint)
    if retries.retry_remote_localities:
        yield without_effect((*path, "retryRemoteLocalities"), "localities are not supported yet")


def _cors(cors: CorsPolicy, path: Path) -> Iterator[Problem]:
    for index, origin in enumerate(cors.allow_origins):
        here = (*path, "allowOrigins", index)
        if origin.regex is not None:
            yield from regex_problems(origin.regex, (*here, "regex"))
        elif not (origin.exact or origin.prefix):
            yield bad(here, "one of exact, prefix, regex must be set")
    yield from _cors_words(cors, path)


def _cors_words(cors: CorsPolicy, path: Path) -> Iterator[Problem]:
    if cors.allow_origin:
        yield _deprecated((*path, "allowOrigin"), "allowOrigins")
    for index, method in enumerate(cors.allow_methods):
        if method not in _METHODS:
            yield bad((*path, "allowMethods", index), f'"{method}" is not an HTTP method', diagnostics.did_you_mean(method, _METHODS))
    for field, names in (("allowHeaders", cors.allow_headers), ("exposeHeaders", cors.expose_headers)):
        for index, name in enumerate(names):
            if name != "*":
                yield from header_name_problems(name, (*path, field, index))
    if cors.max_age is not None and cors.max_age % 1:
        yield bad((*path, "maxAge"), "it is in whole seconds")


def _headers(headers: Headers | None, path: Path) -> Iterator[Problem]:
    sides = (("request", headers.request), ("response", headers.response)) if headers else ()
    for side, operations in sides:
        if operations is None:
            continue
        for field, named in (("set", operations.set), ("add", operations.add)):
            for name, value in named.items():
                here = (*path, side, field, name)
                if not (side == "request" and name.lower() == ":authority"):
                    yield from _changeable(name, here)
                yield from header_value_problems(value, here)
        for index, name in enumerate(operations.remove):
            yield from _changeable(name, (*path, side, "remove", index))


def _changeable(name: str, path: Path) -> Iterator[Problem]:
    if name.startswith(":") or (name.lower() == "host" and path[-2] == "remove"):
        yield bad(path, f'"{name}" cannot be changed', "rewrite.authority changes the host", key=True)
    else:
        yield from header_name_problems(name, path)
