"""Cross-origin requests: what a browser on another site may do. Envoy: filters.http.cors.v3.CorsPolicy. Istio: CorsPolicy.

Envoy: source/extensions/filters/http/cors/cors_filter.cc. The proxy only tells; it is the browser that refuses. Where several levels
carry a policy, each field is the nearest level's that sets it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mesh.model.match import MatchKind, StringMatch
from mesh.policy.matching import Matcher, compile_match


@dataclass(frozen=True, slots=True)
class CorsPolicy:
    """The header texts are comma-joined as they go on the wire; ``max_age`` is in seconds, as text, empty for none."""

    allow_origins: tuple[StringMatch, ...] = ()
    allow_methods: str = ""
    allow_headers: str = ""
    expose_headers: str = ""
    max_age: str = ""
    allow_credentials: bool | None = None
    forward_not_matching_preflights: bool = True


def merge(policies: Sequence[CorsPolicy]) -> CorsPolicy:
    """One of those of a route's levels, nearest first."""
    if len(policies) == 1:
        return policies[0]
    values = {name: _first(name, policies) for name in ("allow_origins", "allow_methods", "allow_headers", "expose_headers", "max_age")}
    credentials = next((policy.allow_credentials for policy in policies if policy.allow_credentials is not None), None)
    return replace(policies[0], allow_credentials=credentials, **values)


def _first(name: str, policies: Sequence[CorsPolicy]) -> Any:
    return next((value for policy in policies if (value := getattr(policy, name))), getattr(policies[0], name))


Pairs = tuple[tuple[str, str], ...]


def compile_origins(origins: Sequence[StringMatch]) -> Matcher:
    """Whether an origin is allowed; an exact ``*`` allows all."""
    if any(origin.kind is MatchKind.EXACT and origin.value == "*" for origin in origins):
        return lambda _: True
    matchers = [compile_match(origin) for origin in origins]
    return lambda origin: any(matches(origin) for matches in matchers)


def is_preflight(method: str, requested_method: str | None) -> bool:
    """A browser's question before the request itself."""
    return method == "OPTIONS" and bool(requested_method)


def preflight_headers(policy: CorsPolicy, origin: str, allowed: bool, header: Callable[[str], str | None]) -> Pairs:
    """The answer's headers; ``*`` in the policy echoes what was asked for."""
    methods = header("access-control-request-method") if policy.allow_methods == "*" else policy.allow_methods
    headers = header("access-control-request-headers") if policy.allow_headers == "*" else policy.allow_headers
    pairs = (
        ("access-control-allow-origin", origin if allowed else ""),
        ("access-control-allow-credentials", "true" if policy.allow_credentials else ""),
        ("access-control-allow-methods", methods or ""),
        ("access-control-allow-headers", headers or ""),
        ("access-control-expose-headers", policy.expose_headers),
        ("access-control-max-age", policy.max_age),
    )
    echoed_nothing = "access-control-allow-headers" if policy.allow_headers == "*" else ""  # Envoy sends it empty then
    return tuple((name, value) for name, value in pairs if value or name == echoed_nothing)


def response_headers(policy: CorsPolicy) -> Pairs:
    """What an answer to an allowed origin carries besides ``access-control-allow-origin``."""
    pairs = (
        ("access-control-allow-credentials", "true" if policy.allow_credentials else ""),
        ("access-control-expose-headers", policy.expose_headers),
    )
    return tuple((name, value) for name, value in pairs if value)
