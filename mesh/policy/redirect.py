"""Redirects: answer with a Location instead of forwarding. Envoy: RedirectAction. Istio: HTTPRedirect."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Redirect:
    """Empty parts keep the request's own. ``path`` replaces all, ``prefix`` the matched prefix, ``regex`` is (pattern, substitution)."""

    status: int = 301
    scheme: str = ""
    authority: str = ""
    port: int = 0
    path: str = ""
    prefix: str = ""
    regex: tuple[str, str] | None = None
