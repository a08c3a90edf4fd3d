"""Rewriting path and authority before forwarding. Envoy: prefix_rewrite, regex_rewrite, host_rewrite_literal. Istio: HTTPRewrite."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rewrite:
    """``path`` replaces the matched prefix (or the whole of an exact match); ``regex`` is (RE2 pattern, substitution) on the path."""

    path: str = ""
    regex: tuple[str, str] | None = None
    authority: str = ""
