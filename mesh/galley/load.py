"""Documents into resources: kind, metadata, shape, then the rules between fields. All that is wrong is told, not only the first.

Istio: galley's validation on admission (pkg/webhooks/validation/server), which stops at the first object; kubectl does not.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from mesh.galley import diagnostics, kinds, schema
from mesh.galley.config import Resource
from mesh.galley.diagnostics import Diagnostic, Severity, did_you_mean
from mesh.galley.metadata import read_metadata
from mesh.galley.parse import Document, parse
from mesh.galley.rules import rules_for
from mesh.galley.schema import Problem

Key = tuple[str, str, str]  # kind, namespace, name


@dataclass(frozen=True, slots=True)
class Loaded:
    """A resource, the document it is from (for later remarks), and its data as written (for showing and keeping)."""

    kind: kinds.Kind
    resource: Resource
    document: Document

    @property
    def key(self) -> Key:
        return (self.kind.name, self.resource.meta.namespace, self.resource.meta.name)

    def __str__(self) -> str:
        return "{} {}/{}".format(*self.key)

    def remark(self, problem: Problem) -> Diagnostic:
        return _diagnostic(self.document, problem, str(self))


def load(source_name: str, text: str) -> tuple[list[Loaded], list[Diagnostic]]:
    """Everything in one text; it is good when no diagnostic is an error."""
    return load_all([(source_name, text)])


def load_all(sources: Iterable[tuple[str, str]]) -> tuple[list[Loaded], list[Diagnostic]]:
    loaded: list[Loaded] = []
    found: list[Diagnostic] = []
    for name, text in sources:
        documents, broken = parse(name, text)
        for document in items(documents):
            one, remarks = read(document)
            loaded += [one] if one else []
            found += remarks
        found += broken
    return loaded, found + list(_twice(loaded))


def items(documents: Iterable[Document]) -> Iterator[Document]:
    """The documents, and in place of Kubernetes' ``kind: List`` (as kubectl get -o yaml writes it) those in it."""
    for document in documents:
        inside = document.data.get("items")
        if document.data.get("kind") != "List" or not isinstance(inside, list):
            yield document
            continue
        parts = [Document(document.source, document.lines, one if isinstance(one, dict) else {}) for one in inside]
        for ours, theirs in ((document.keys, "keys"), (document.values, "values")):
            for path, mark in ours.items():
                if path[:1] == ("items",) and len(path) > 1:
                    getattr(parts[int(path[1])], theirs)[path[2:]] = mark
        yield from parts


def read(document: Document) -> tuple[Loaded | None, list[Diagnostic]]:
    """One document; None when it has an error or is of no use."""
    kind, found = _kind(document)
    if kind is None:
        return None, found
    meta, problems = read_metadata(document.data)
    label = f"{kind.name} {meta.namespace}/{meta.name}" if meta else kind.name
    problems += _top_level(document.data)
    spec, more = _spec(kind, document.data)
    found = [_diagnostic(document, problem, label) for problem in problems + more]
    if meta is None or spec is None or any(one.is_error for one in found):
        return None, found
    return Loaded(kind, kind.build(meta, spec), document), found


def _kind(document: Document) -> tuple[kinds.Kind | None, list[Diagnostic]]:
    words: dict[str, str] = {}
    problems: list[Problem] = []
    for field in ("apiVersion", "kind"):
        value = document.data.get(field)
        if isinstance(value, str) and value:
            words[field] = value
        elif field in document.data:
            problems.append(Problem((field,), f"{field} must be a word"))
        else:
            near = did_you_mean(field, (key for key in document.data if key not in ("kind", "apiVersion", "metadata", "spec")))
            problems.append(Problem((), f"{field}: Required value", near.replace("did you mean", f"{field} instead of") if near else ""))
    if problems:
        return None, [_diagnostic(document, problem) for problem in problems]
    kind = kinds.find(words["apiVersion"], words["kind"])
    if isinstance(kind, kinds.Kind):
        return kind, []
    code = diagnostics.WITHOUT_EFFECT if kind.tolerated else ""
    return None, [_diagnostic(document, Problem((kind.field,), kind.message, kind.hint, code=code), words["kind"])]


def _top_level(data: dict[str, Any]) -> list[Problem]:
    known = ("apiVersion", "kind", "metadata", "spec", "status")
    return [Problem((key,), f'unknown field "{key}"', did_you_mean(key, known), key=True) for key in data if key not in known]


def _spec(kind: kinds.Kind, data: dict[str, Any]) -> tuple[BaseModel | None, list[Problem]]:
    if "spec" not in data:
        return None, [Problem((), "spec: Required value")]
    empty = list(schema.nulls(data["spec"], ("spec",))) if kind.strict else []
    spec, problems = schema.check(kind.spec, data["spec"], ("spec",))
    told = {problem.path for problem in empty}
    problems = empty + [problem for problem in problems if problem.path not in told]
    return spec, problems if spec is None or problems else list(rules_for(spec))


def _twice(loaded: list[Loaded]) -> Iterator[Diagnostic]:
    first: dict[Key, Loaded] = {}
    for one in loaded:
        before = first.setdefault(one.key, one)
        if before is not one:
            where = f"first in {before.document.source}, line {before.document.line}"
            yield one.remark(Problem(("metadata", "name"), f"{one} stands twice in this set", where))


def _diagnostic(document: Document, problem: Problem, resource: str = "") -> Diagnostic:
    mark = document.mark(problem.path, key=problem.key)
    severity: Severity = "warning" if problem.code else "error"
    return diagnostics.at(
        document.source, document.lines, mark, problem.code or diagnostics.INVALID, severity, problem.message, problem.hint, resource
    )


def keys_of(sources: Iterable[tuple[str, str]]) -> tuple[list[Key], list[Diagnostic]]:
    """Who the documents speak of; nothing else in them has to be right. For deleting."""
    keys: list[Key] = []
    found: list[Diagnostic] = []
    for name, text in sources:
        documents, broken = parse(name, text)
        for document in items(documents):
            kind, remarks = _kind(document)
            if kind is not None:
                meta, problems = read_metadata(document.data)
                keys += [(kind.name, meta.namespace, meta.name)] if meta else []
                remarks += [_diagnostic(document, problem, kind.name) for problem in problems if meta is None]
            found += remarks
        found += broken
    return keys, found
