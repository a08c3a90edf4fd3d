"""Rewriting path and authority before forwarding. Envoy: prefix_rewrite, regex_rewrite, host_rewrite_literal. Istio: HTTPRewrite.

Envoy: source/common/router/config_impl.cc (currentUrlPathAfterRewriteWithMatchedPath).
"""

from collections.abc import Callable
from dataclasses import dataclass

from mesh.model.match import MatchKind, StringMatch
from mesh.policy.matching import compile_substitution

PathChange = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """``path`` replaces the matched prefix (or the whole of an exact match); ``regex`` is (RE2 pattern, substitution) on the path."""

    path: str = ""
    regex: tuple[str, str] | None = None
    authority: str = ""


def path_change(match: StringMatch, path: str, regex: tuple[str, str] | None) -> PathChange | None:
    """From the old request target to the new; the query stays. None: no change. Serves redirects, too."""
    if path:
        return _replace_prefix(match, path) if match.kind in (MatchKind.PREFIX, MatchKind.PATH_PREFIX) else _replace_all(path)
    if regex:
        return _replace_by_regex(*regex)
    return None


def _replace_prefix(match: StringMatch, new: str) -> PathChange:
    length = len(match.value)
    return lambda target: new + target[length:]


def _replace_all(new: str) -> PathChange:
    def change(target: str) -> str:
        _, mark, query = target.partition("?")
        return new + mark + query

    return change


def _replace_by_regex(pattern: str, substitution: str) -> PathChange:
    substitute = compile_substitution(pattern, substitution)

    def change(target: str) -> str:
        path, mark, query = target.partition("?")
        return substitute(path) + mark + query

    return change
