"""What libyaml says of text that is not YAML, put so that its author finds the place. yaml.org/spec/1.1."""

from collections.abc import Sequence

import yaml

from mesh.galley.diagnostics import Mark

_BEGUN = ("found unexpected end of stream", "did not find expected alphabetic or numeric character")
"""Problems whose cause is where the thing began, not where it became clear."""
_HINTS = {
    "found unexpected end of stream": "the quote is not closed",
    "did not find expected alphabetic or numeric character": 'quote text that begins with * or &: "*.example.com"',
    "found character that cannot start any token": "quote text that begins with this character",
    "did not find expected key": "look at the indentation of this line and of those above it",
    "did not find expected '-' indicator": "look at the indentation of this list",
    "mapping values are not allowed in this context": 'a ": " inside text needs quotes, or the indentation is off',
    "could not find expected ':'": "a key needs a colon and a space after it",
    "found undefined alias": "an anchor (&name) must stand before its alias (*name), in the same document",
}


def broken_syntax(error: yaml.MarkedYAMLError, lines: Sequence[str]) -> tuple[str, Mark, str]:
    problem = error.problem or "not YAML"
    begun = problem.startswith(_BEGUN)
    where = (error.context_mark if begun else error.problem_mark) or error.problem_mark or error.context_mark
    mark = _within(Mark(where.line + 1, where.column + 1) if where else Mark(1, 1), lines)
    line = lines[mark.line - 1] if mark.line <= len(lines) else ""
    if line[mark.column - 1 : mark.column] == "\t" or (not line[: mark.column - 1].strip() and "\t" in line[: mark.column - 1]):
        return "a tab cannot indent YAML", mark, "use spaces"
    context = f" {error.context}" if error.context and error.context != problem else ""
    hint = next((hint for beginning, hint in _HINTS.items() if problem.startswith(beginning)), "")
    if problem.startswith(("did not find expected ',' or ']'", "did not find expected ',' or '}'")) and error.context_mark:
        hint = f"the bracket in line {error.context_mark.line + 1} is not closed"
    return f"{problem}{context}", mark, hint


def _within(mark: Mark, lines: Sequence[str]) -> Mark:
    """What is missing at the end of the text is missing after its last word."""
    if mark.line <= len(lines):
        return mark
    written = [number for number, line in enumerate(lines, 1) if line.strip()]
    return Mark(written[-1], len(lines[written[-1] - 1].rstrip())) if written else Mark(1, 1)


def broken_character(error: Exception, text: str) -> tuple[str, Mark, str]:
    """A character that YAML does not allow; libyaml gives no line for it."""
    allowed = {"\t", "\n", "\r", "\x85", "\ufeff"}
    for index, character in enumerate(text):
        if character not in allowed and (not character.isprintable() and (ord(character) < 0xA0 or 0xD800 <= ord(character) < 0xE000)):
            before = text[:index].splitlines() if not text[:index].endswith("\n") else [*text[:index].splitlines(), ""]
            mark = Mark(max(1, len(before)), len(before[-1]) + 1 if before else 1)
            return f"the character U+{ord(character):04X} is not allowed in YAML", mark, 'write it as an escape in double quotes: "\\u0007"'
    return f"not YAML: {str(error).splitlines()[0] if str(error) else type(error).__name__}", Mark(1, 1), ""
