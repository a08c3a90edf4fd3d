"""Paths made canonical before anything is matched against them, so that ``/x/../admin`` cannot pass for something else.

Envoy: normalize_path (PathCanonicalizer, RFC 3986 §6). Istio: pathNormalization BASE. Percent-encoded letters, digits and ``-._~`` are
decoded, a backslash is a slash, dot segments are resolved, what no path may hold is encoded; an encoded slash stays encoded and slashes
are not merged.
"""

import re

_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")
_ODD = re.compile(r"/\.|[%\\\"<>^`{|}]")
_FORBIDDEN = re.compile(r"[\"<>^`{|}]")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def needs_normalizing(path: str) -> bool:
    return _ODD.search(path) is not None


def normalize(path: str) -> str | None:
    """The canonical path with its query as it was; None where Envoy answers 400: an encoded NUL."""
    path, question, query = path.partition("?")
    if "%00" in path:
        return None
    if not path.startswith("/"):  # the asterisk of OPTIONS
        return path + question + query
    path = _FORBIDDEN.sub(lambda match: f"%{ord(match[0]):02X}", _ENCODED.sub(_decode, path).replace("\\", "/"))
    if "/." in path:
        path = _resolve_dots(path)
    return path + question + query


def _decode(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0]


def _resolve_dots(path: str) -> str:
    kept: list[str] = []
    segments = path.split("/")[1:]
    for at, segment in enumerate(segments):
        last = at == len(segments) - 1
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
            continue
        if last:
            kept.append("")
    return "/" + "/".join(kept)
