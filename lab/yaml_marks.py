"""YAML with line and column for every key and value, and findings drawn under the line they are about.

PyYAML composes the nodes and knows where each stands; the data made from them does not, so both are kept side by side.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]  # ("services", "reviews", "ports", 0, "port")


@dataclass(frozen=True, slots=True)
class Mark:
    """Where something stands: line and column from 1, ``width`` characters long."""

    line: int
    column: int
    width: int = 1


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a file."""

    message: str
    mark: Mark | None = None
    hint: str = ""


class YamlError(Exception):
    """A file that cannot be used, and everything that is wrong with it; ``str()`` is fit to be shown to its author."""

    def __init__(self, file: str, text: str, findings: Sequence[Finding]) -> None:
        self.file = file
        self.findings = tuple(sorted(findings, key=lambda f: (f.mark.line, f.mark.column) if f.mark else (0, 0)))
        super().__init__("\n".join(_draw(file, text.splitlines(), finding) for finding in self.findings))


def _draw(file: str, lines: Sequence[str], finding: Finding) -> str:
    hint = f"  {finding.hint}" if finding.hint else ""
    if finding.mark is None:
        return f"error: {finding.message}\n  --> {file}{hint and chr(10) + hint}"
    mark = finding.mark
    drawn = [f"error: {finding.message}", f"  --> {file}:{mark.line}:{mark.column}"]
    if mark.line <= len(lines):
        source = lines[mark.line - 1]
        number = str(mark.line)
        # tabs stay tabs, so that the caret stands under its word however wide they are shown
        indent = "".join("\t" if character == "\t" else " " for character in source[: mark.column - 1])
        caret = "^" * max(1, min(mark.width, len(source) - mark.column + 1))
        drawn += [f"{' ' * len(number)} |", f"{number} | {source}", f"{' ' * len(number)} | {indent}{caret}{hint}"]
    return "\n".join(drawn)


def did_you_mean(word: str, words: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(words), n=1)
    return f'did you mean "{close[0]}"?' if close else ""


@dataclass(slots=True)
class Document:
    """One YAML document as plain data, with the marks of its parts by path."""

    file: str
    text: str
    data: Any
    keys: dict[Path, Mark] = field(default_factory=dict)
    values: dict[Path, Mark] = field(default_factory=dict)

    def mark(self, path: Path, *, key: bool = False) -> Mark | None:
        """The mark of a value (or its key); of the nearest thing around it if it is not there."""
        marks = self.keys if key else self.values
        while path and path not in marks:
            path, marks = path[:-1], self.keys
        return marks.get(path) or self.values.get(path)


def read(file: str, text: str) -> Document:
    """Exactly one document, no key twice; raises YamlError."""
    try:
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        where = error.problem_mark or error.context_mark
        mark = Mark(where.line + 1, where.column + 1) if where else None
        raise YamlError(file, text, [Finding(error.problem or "not YAML", mark)]) from error
    except (yaml.YAMLError, ValueError) as error:  # a character YAML does not allow
        raise YamlError(file, text, [Finding(f"not YAML: {str(error).splitlines()[0]}")]) from error
    if len(nodes) != 1 or nodes[0] is None:
        second = _mark(nodes[1]) if len(nodes) > 1 else None
        raise YamlError(file, text, [Finding(f"expected one YAML document, found {len(nodes)}", second)])
    document = Document(file, text, None)
    reader = _Reader(document)
    try:
        document.data = reader.read(nodes[0], ())
    except RecursionError:
        reader.findings.append(Finding("nested too deeply, or an anchor that contains itself"))
    if reader.findings:
        raise YamlError(file, text, reader.findings)
    return document


class _Reader:
    """Turns nodes into data and remembers the marks."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._scalars = yaml.constructor.SafeConstructor()
        self._parts = 0
        self.findings: list[Finding] = []

    def read(self, node: yaml.Node, path: Path) -> Any:
        self._parts += 1
        if self._parts > 100_000:  # aliases of aliases grow without bound
            raise RecursionError
        self._document.values[path] = _mark(node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _scalar(self, node: yaml.Node) -> Any:
        kind = node.tag.rpartition(":")[2]
        if kind == "timestamp" or (kind in ("int", "float") and ":" in node.value):  # dates, and numbers to base 60: text to us
            return node.value
        try:
            return self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError):
            self.findings.append(Finding(f"cannot read {node.value!r} as {kind}", _mark(node)))
            return None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[Any, Any]:
        data: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.findings.append(Finding("a key must be a word", _mark(key_node)))
                continue
            key = self._scalar(key_node)
            if key in data:
                first = self._document.keys[(*path, key)]
                self.findings.append(Finding(f'key "{key}" appears twice', _mark(key_node), f"first in line {first.line}"))
            self._document.keys[(*path, key)] = _mark(key_node)
            data[key] = self.read(value_node, (*path, key))
        return data


def _mark(node: yaml.Node) -> Mark:
    start, end = node.start_mark, node.end_mark
    width = end.column - start.column if end.line == start.line else 1
    return Mark(start.line + 1, start.column + 1, max(1, width))
