"""Redirects: answer with a Location instead of forwarding. Envoy: RedirectAction. Istio: HTTPRedirect.

Envoy: source/common/http/utility.cc (newUri).
"""

from collections.abc import Callable
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


def decide(redirect: Redirect, change: Callable[[str], str] | None, *, scheme: str, protocol: str, authority: str, path: str) -> str:
    """The Location. ``change`` is the compiled prefix or regex; ``protocol`` what the connection speaks (x-forwarded-proto)."""
    new_scheme = redirect.scheme or scheme
    host = redirect.authority or _without_needless_port(authority, bool(redirect.port), new_scheme != protocol, protocol)
    port = f":{redirect.port}" if redirect.port else ""
    target = change(path) if change else path
    if redirect.path:
        target = redirect.path if "?" in redirect.path else redirect.path + "".join(target.partition("?")[1:])
    return f"{new_scheme}://{host}{port}{'' if target.startswith('/') else '/'}{target}"


def _without_needless_port(authority: str, replaced: bool, other_scheme: bool, protocol: str) -> str:
    """The host, and its port unless a new one comes or it was the default of a scheme that is left."""
    colon = authority.rfind(":")
    if colon <= authority.rfind("]"):
        return authority
    default = {"http": "80", "https": "443"}.get(protocol)
    if replaced or (other_scheme and authority[colon + 1 :] == default):
        return authority[:colon]
    return authority
