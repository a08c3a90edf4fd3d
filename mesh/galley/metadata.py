"""An object's metadata: name, namespace, labels. Kubernetes: apimachinery meta/v1 ObjectMeta and its validation."""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from mesh.galley import schema
from mesh.galley.diagnostics import did_you_mean
from mesh.galley.models.types import Labels, Meta, Model
from mesh.galley.parse import Path
from mesh.galley.schema import Problem

_KEPT = ("name", "namespace", "labels", "annotations")
_LET_PASS = (
    "generateName",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
    "finalizers",
    "managedFields",
)
_DNS_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*")
_LABEL_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


class _Written(Model):
    name: str
    namespace: str = "default"
    labels: Labels = Field(default_factory=dict)
    annotations: Labels = Field(default_factory=dict)


def read_metadata(data: dict[str, Any]) -> tuple[Meta | None, list[Problem]]:
    """The metadata of a document; None when it is not good."""
    written = data.get("metadata")
    if "metadata" not in data:
        return None, [Problem((), "metadata: Required value", "at least metadata.name")]
    if not isinstance(written, dict):
        return None, [Problem(("metadata",), "metadata: must be a set of keys and values")]
    problems = [
        Problem(("metadata", key), f'unknown field "metadata.{key}"', did_you_mean(key, _KEPT + _LET_PASS), key=True)
        for key in written
        if key not in _KEPT and key not in _LET_PASS
    ]
    kept = {key: value for key, value in written.items() if key in _KEPT and not (value is None and key != "name")}
    read, more = schema.check(_Written, kept, ("metadata",))
    problems += more
    if not isinstance(read, _Written):
        return None, problems
    problems += _rules(read)
    meta = Meta(name=read.name, namespace=read.namespace or "default", labels=read.labels, annotations=read.annotations)
    return meta, problems


def _rules(written: _Written) -> Iterator[Problem]:
    hint = "lower-case letters, digits, - and ."
    if not _NAME.fullmatch(written.name) or len(written.name) > 253:
        yield Problem(("metadata", "name"), f'metadata.name: "{written.name}" is not a name', hint)
    if not re.fullmatch(_DNS_LABEL, written.namespace or "default"):
        yield Problem(
            ("metadata", "namespace"), f'metadata.namespace: "{written.namespace}" is not a name', "lower-case letters, digits and -"
        )
    yield from label_problems(written.labels, ("metadata", "labels"))


def label_problems(labels: Labels, at: Path) -> Iterator[Problem]:
    """Kubernetes' rules for labels. ``at`` is the path of the labels."""
    for key, value in labels.items():
        prefix, _, name = key.rpartition("/")
        if not _LABEL_NAME.fullmatch(name) or (prefix and not _NAME.fullmatch(prefix)):
            yield Problem((*at, key), f'{schema.dotted(at)}: "{key}" is not a label name', key=True)
        if value and not _LABEL_NAME.fullmatch(value):
            yield Problem(
                (*at, key), f'{schema.dotted((*at, key))}: "{value}" is not a label value', "letters, digits, -, _ and ., at most 63"
            )
