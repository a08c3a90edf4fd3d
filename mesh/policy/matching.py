"""Turns a ``StringMatch`` into a function on text, and keeps the one door to RE2.

Envoy: source/common/common/matchers.h (StringMatcherImpl) and regex.h: RE2 on bytes (its Latin-1), so a dot is one byte of a letter
that has several; the whole string must match. Istio writes StringMatch with exact, prefix and regex only. Text is a wire's bytes
decoded as UTF-8 with surrogate escapes; case is ASCII's, as in Envoy: other letters have none.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Protocol

import re2

from mesh.model.match import MatchKind, StringMatch

Matcher = Callable[[str], bool]
Substitution = Callable[[str], str]


class Found(Protocol):
    """What we use of a match."""

    def start(self) -> int: ...
    def end(self) -> int: ...
    def expand(self, template: bytes) -> bytes: ...


class Pattern(Protocol):
    """What we use of a compiled RE2 pattern."""

    groups: int

    def fullmatch(self, text: bytes) -> object | None: ...
    def finditer(self, text: bytes) -> Iterator[Found]: ...


@lru_cache(maxsize=4096)
def compile_regex(pattern: str, *, captures: bool = False) -> Pattern:
    """An RE2 pattern; ValueError with RE2's own words where the syntax is wrong (look-ahead, back-references)."""
    options = re2.Options()
    options.log_errors = False
    options.encoding = re2.Options.Encoding.LATIN1
    options.never_capture = not captures
    try:
        compiled: Pattern = re2.compile(pattern.encode(), options)
    except re2.error as error:
        text = error.args[0] if error.args else error
        raise ValueError(f"bad regex {pattern!r}: {text.decode() if isinstance(text, bytes) else text}") from None
    return compiled


def wire_bytes(text: str) -> bytes:
    """The text as it was on the wire."""
    return text.encode("utf-8", "surrogateescape")


def compile_match(match: StringMatch) -> Matcher:
    """The function that tells whether a value matches. ``PRESENT`` holds for any value: presence is the caller's to look up."""
    if match.kind is MatchKind.PRESENT:
        return lambda _: True
    if match.kind is MatchKind.REGEX:
        fullmatch = compile_regex(match.value).fullmatch
        return lambda text: fullmatch(wire_bytes(text)) is not None
    if match.ignore_case:
        same_case = _plain(match.kind, ascii_lower(match.value))
        return lambda text: same_case(ascii_lower(text))
    return _plain(match.kind, match.value)


def ascii_lower(text: str) -> str:
    if text.isascii():
        return text.lower()
    return wire_bytes(text).lower().decode("utf-8", "surrogateescape")


def _plain(kind: MatchKind, value: str) -> Matcher:
    match kind:
        case MatchKind.EXACT:
            return lambda text: text == value
        case MatchKind.PREFIX:
            return lambda text: text.startswith(value)
        case MatchKind.SUFFIX:
            return lambda text: text.endswith(value)
        case MatchKind.CONTAINS:
            return lambda text: value in text
        case MatchKind.PATH_PREFIX:
            below = value + "/"
            return lambda text: text == value or text.startswith(below)
    raise ValueError(f"{kind} compares no text")


def compile_substitution(pattern: str, replacement: str) -> Substitution:
    r"""Replace every match in a text, as RE2's GlobalReplace does: ``\1`` is the first group, ``\0`` the whole match."""
    regex = compile_regex(pattern, captures=True)
    template = _template(replacement, regex.groups)
    if template is None:
        return lambda text: text

    def substitute(text: str) -> str:
        data, end = wire_bytes(text), -1
        pieces: list[bytes] = []
        for match in regex.finditer(data):
            if match.end() == end:  # nothing, right behind the match before: RE2 passes it over
                continue
            pieces += (data[max(end, 0) : match.start()], match.expand(template))
            end = match.end()
        return b"".join((*pieces, data[max(end, 0) :])).decode("utf-8", "surrogateescape")

    return substitute


def _template(replacement: str, groups: int) -> bytes | None:
    r"""RE2's rewrite string (``\0``-``\9`` and ``\\`` only) in the words of Python's ``Match.expand``; None: RE2 would replace nothing."""
    out, rest = [], replacement
    while rest:
        head, backslash, rest = rest.partition("\\")
        out.append(head)
        if not backslash:
            break
        if rest[:1] == "\\":
            out.append("\\\\")
        elif rest[:1].isdigit():
            if int(rest[0]) > groups:
                return None
            out.append(f"\\g<{rest[0]}>")
        else:
            return None
        rest = rest[1:]
    return "".join(out).encode()
