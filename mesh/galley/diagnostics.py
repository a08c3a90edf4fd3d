"""One thing wrong with configuration, where it stands, and how it is shown: the line, a caret under the word, a hint.

Istio: pkg/config/analysis/diag Message, whose codes are used where it has one: IST0106 for what is refused, IST0133 for what is odd.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

YAML = "YAML"  # not readable at all
INVALID = "IST0106"
ODD = "IST0133"
REFERENCE = "IST0101"
UNREACHABLE = "IST0130"
DEPRECATED = "IST0002"
WITHOUT_EFFECT = "SEA0001"  # accepted, but this mesh does not act on it

Severity = Literal["error", "warning"]

_BOLD, _RED, _YELLOW, _BLUE, _END = "\x1b[1m", "\x1b[1;31m", "\x1b[1;33m", "\x1b[1;34m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Mark:
    """Where something stands: line and column from 1, ``width`` characters long."""

    line: int
    column: int
    width: int = 1


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """``resource`` is "VirtualService default/reviews", or empty when it did not come so far. Line 0: no place in particular."""

    code: str
    severity: Severity
    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    snippet_line: str = ""
    caret_width: int = 1
    hint: str = ""
    resource: str = ""

    @property
    def is_error(self) -> bool:
        return self.severity == "error"

    def __str__(self) -> str:
        return render(self)


def at(
    file: str, lines: Sequence[str], mark: Mark, code: str, severity: Severity, message: str, hint: str = "", resource: str = ""
) -> Diagnostic:
    """A diagnostic about a place in a file whose lines are given."""
    snippet = lines[mark.line - 1] if 0 < mark.line <= len(lines) else ""
    return Diagnostic(code, severity, message, file, mark.line, mark.column, snippet, mark.width, hint, resource)


def to_json(diagnostic: Diagnostic) -> dict[str, Any]:
    return asdict(diagnostic)


def render(diagnostic: Diagnostic, color: bool = False) -> str:
    """As a compiler would: what, where, the line itself with a caret, and a hint."""
    found = diagnostic
    tint = (_RED if found.is_error else _YELLOW) if color else ""
    bold, blue, end = (_BOLD, _BLUE, _END) if color else ("", "", "")
    number = str(found.line) if found.snippet_line else ""
    pad = " " * len(number)
    place = f"{found.file}:{found.line}:{found.column}" if found.line else found.file
    code = f"[{found.code}]" if found.code else ""
    lines = [f"{tint}{found.severity}{code}{end}{bold}: {found.message}{end}"]
    if place or found.resource:
        about = f" ({found.resource})" if found.resource else ""
        lines.append(f"{pad}{blue}-->{end} {place}{about}")
    if found.snippet_line:
        lines += [f"{pad} {blue}|{end}", f"{blue}{number} |{end} {found.snippet_line}", f"{pad} {blue}|{end} {_caret(found, tint, end)}"]
    if found.hint:
        lines.append(f"{pad} {blue}={end} hint: {found.hint}")
    return "\n".join(lines)


def _caret(found: Diagnostic, tint: str, end: str) -> str:
    before = found.snippet_line[: found.column - 1]
    # tabs stay tabs, so that the caret stands under its word however wide they are shown
    indent = "".join("\t" if character == "\t" else " " for character in before)
    width = max(1, min(found.caret_width, len(found.snippet_line) - len(before)))
    return f"{indent}{tint}{'^' * width}{end}"


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """A question naming the nearest of ``words``, in whatever case it was written; empty when none is near."""
    known = {candidate.lower(): candidate for candidate in words}
    close = difflib.get_close_matches(word.lower().replace("_", ""), list(known), n=1)
    return f'did you mean "{known[close[0]]}"?' if close else ""
