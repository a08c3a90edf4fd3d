"""YAML into plain data, with the place of every key and value; what cannot be read becomes diagnostics, never an exception.

Kubernetes: sigs.k8s.io/yaml, which reads YAML 1.1 as go-yaml v2 does (``yes`` and ``on`` are true, dates are text, no base 60), turns it
into JSON, and in strict mode refuses a key that stands twice.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import yaml

from mesh.galley import diagnostics
from mesh.galley.diagnostics import Diagnostic, Mark
from mesh.galley.syntax import broken_character, broken_syntax

Path = tuple[str | int, ...]  # ("spec", "http", 0, "timeout")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_CHARACTERS = 1 << 20
MAX_DEPTH = 64
MAX_PARTS = 100_000  # keys and values of one document, aliases followed

MAX_COLONS = 50
_COLON = "\ue03a"

_TRUE, _FALSE = {"y", "yes", "on", "true"}, {"n", "no", "off", "false"}


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document as JSON-like data. ``lines`` are those of its whole file; ``line`` is its first."""

    source: str
    lines: Sequence[str]
    data: dict[str, Any]
    line: int = 1
    keys: dict[Path, Mark] = field(default_factory=dict)
    values: dict[Path, Mark] = field(default_factory=dict)

    def mark(self, path: Path, *, key: bool = False) -> Mark:
        """The mark of a value (or of its key); of the nearest thing around it when it is not there."""
        mark = (self.keys if key else self.values).get(path)
        while mark is None and path:
            path = path[:-1]
            mark = self.keys.get(path) or self.values.get(path)  # a name says more than where its content begins
        return mark or Mark(self.line, 1)


def parse(source_name: str, text: str) -> tuple[list[Document], list[Diagnostic]]:
    """All documents that could be read, and everything that kept the others from it. Empty documents are skipped."""
    lines = text.splitlines()
    found: list[Diagnostic] = []
    if len(text) > MAX_CHARACTERS:
        message = f"the file is too large: {len(text)} characters, at most {MAX_CHARACTERS}"
        return [], [diagnostics.at(source_name, lines[:1], Mark(1, 1), diagnostics.YAML, "error", message)]

    def refuse(message: str, mark: Mark, hint: str = "") -> None:
        found.append(diagnostics.at(source_name, lines, mark, diagnostics.YAML, "error", message, hint))

    documents = []
    try:
        for node in _compose(_prepared(text)):
            document = Document(source_name, lines, {}, node.start_mark.line + 1)
            reader = _Reader(document)
            data = reader.read(node, ())
            for message, mark, hint in reader.problems:
                refuse(message, mark, hint)
            if isinstance(data, dict) and not reader.problems:
                document.data.update(data)
                documents.append(document)
            elif data is not None and not isinstance(data, dict):
                refuse(f"a document must be a set of keys and values, not {named(data)}", _mark(node), "apiVersion, kind, metadata, spec")
    except yaml.MarkedYAMLError as error:
        refuse(*broken_syntax(error, lines))
    except (yaml.YAMLError, UnicodeError) as error:
        refuse(*broken_character(error, text))
    except _TooDeepError as error:
        refuse(f"nested more than {MAX_DEPTH} deep", Mark(error.line, error.column))
    return documents, found


class _TooDeepError(Exception):
    def __init__(self, line: int, column: int) -> None:
        super().__init__()
        self.line, self.column = line, column


def _compose(text: str) -> Iterator[yaml.Node]:
    """Nodes of the documents. Composing recurses in C without a limit: the depth must have been measured."""
    for node in yaml.compose_all(text, Loader=_Loader):
        if node is not None:
            yield node


def _prepared(text: str) -> str:
    """Measured for its depth, and with a stand-in for colons that libyaml stumbles over: ``[1.2.3.4, 001:db8::]`` is text to go-yaml."""
    for _ in range(MAX_COLONS):
        try:
            _measure(text)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            if error.problem != "found unexpected ':'" or mark is None or text[mark.index : mark.index + 1] != ":":
                return text  # composing meets the error again, after the documents before it
            text = f"{text[: mark.index]}{_COLON}{text[mark.index + 1 :]}"
        except (yaml.YAMLError, UnicodeError):
            return text
        else:
            return text
    return text


def _measure(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH and event.start_mark:
                raise _TooDeepError(event.start_mark.line + 1, event.start_mark.column + 1)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


@cache
def _scalars() -> yaml.constructor.SafeConstructor:
    return yaml.constructor.SafeConstructor()


class _Reader:
    """Turns nodes into data and remembers the marks."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._parts = 0
        self._inside: list[int] = []  # ids of the collections around: an anchor may contain itself
        self.problems: list[tuple[str, Mark, str]] = []

    def read(self, node: yaml.Node, path: Path) -> Any:
        self._parts += 1
        self._document.values.setdefault(path, _mark(node))
        if self._exceeds(node, path):
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if node.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            self._unknown_tag(node)
        self._inside.append(id(node))
        data = self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._sequence(node, path)
        self._inside.pop()
        return data

    def _exceeds(self, node: yaml.Node, path: Path) -> bool:
        hint = "aliases (*name) are followed, and what they stand for counts each time"
        if id(node) in self._inside:
            self._refuse_once("an anchor contains itself", _mark(node), hint)
        elif self._parts > MAX_PARTS:
            self._refuse_once(f"a document grows beyond {MAX_PARTS} values", _mark(node), hint)
        elif len(path) > MAX_DEPTH:
            self._refuse_once(f"nested more than {MAX_DEPTH} deep", _mark(node), hint)
        else:
            return False
        return True

    def _refuse_once(self, message: str, mark: Mark, hint: str) -> None:
        if all(message != known for known, _, _ in self.problems):
            self.problems.append((message, mark, hint))

    def _unknown_tag(self, node: yaml.Node) -> None:
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        self.problems.append((f"the tag {tag} is not known here", _mark(node), "leave it out"))

    def _sequence(self, node: yaml.Node, path: Path) -> list[Any]:
        return [self.read(item, (*path, index)) for index, item in enumerate(node.value) if self._parts <= MAX_PARTS]

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if self._parts > MAX_PARTS:
                break
            key = str(key_node.value).replace(_COLON, ":")
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(("a key must be a word", _mark(key_node), "is there a { or [ that should be quoted?"))
            elif key_node.tag == "tag:yaml.org,2002:merge":
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            elif key in data:
                first = self._document.keys[(*path, key)].line
                self.problems.append((f'the key "{key}" stands twice', _mark(key_node), f"first in line {first}"))
            else:
                self._document.keys[(*path, key)] = _mark(key_node)
                data[key] = self.read(value_node, (*path, key))
        for base in merged:
            self._merge(base, path, data)
        return data

    def _merge(self, base: yaml.Node, path: Path, data: dict[str, Any]) -> None:
        """``<<: *base``: its keys, where there is none of that name yet."""
        if not isinstance(base, yaml.MappingNode):
            self.problems.append(("<< can only merge a set of keys and values", _mark(base), ""))
            return
        if id(base) in self._inside:
            self._refuse_once("an anchor contains itself", _mark(base), "")
            return
        self._inside.append(id(base))
        more = self._mapping(yaml.MappingNode(base.tag, [kv for kv in base.value if getattr(kv[0], "value", None) not in data]), path)
        self._inside.pop()
        data.update(more)

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        text: str = node.value.replace(_COLON, ":")
        plain = not node.style
        if kind in ("str", "timestamp", "merge", "value") or (kind in ("int", "float") and ":" in text):
            return self._word(text, plain)
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        if kind not in ("int", "float"):
            self._unknown_tag(node)
            return None
        return self._number(node, kind)

    def _word(self, text: str, plain: bool) -> Any:
        return text.lower() == "y" if plain and text in ("y", "Y", "n", "N") else text

    def _number(self, node: yaml.ScalarNode, kind: str) -> Any:
        try:
            value = _scalars().construct_yaml_int(node) if kind == "int" else _scalars().construct_yaml_float(node)
        except (ValueError, IndexError, OverflowError, yaml.YAMLError):
            value = math.nan
        if isinstance(value, float) and not math.isfinite(value):
            self.problems.append((f"{node.value[:40]!r} is not a number that JSON has", _mark(node), "quote it if it is text"))
            return None
        return value


def named(value: object) -> str:
    """A value as it is called in a message."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"the boolean {str(value).lower()}"
        case int() | float():
            return f"the number {value!r}"[:60]
        case str():
            return f'the text "{value[:40]}"'
        case list() | tuple():
            return "a list"
        case _:
            return "a set of keys and values"


def _mark(node: yaml.Node) -> Mark:
    start, end = node.start_mark, node.end_mark
    width = end.column - start.column if end.line == start.line else 1
    return Mark(start.line + 1, start.column + 1, max(1, width))
