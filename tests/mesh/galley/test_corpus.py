"""Files and verdicts that are not ours: Istio's samples, and the documents its API repository marks as valid or not."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mesh.galley import kinds
from mesh.galley.load import load
from mesh.galley.schema import field_names

OURS = ("VirtualService", "DestinationRule", "ServiceEntry")


def samples_with_our_kinds(corpus: Path) -> list[Path]:
    files = sorted((corpus / "istio-samples").rglob("*.yaml"))
    return [file for file in files if re.search(rf"^kind: ({'|'.join(OURS)})\s*$", file.read_text(), re.MULTILINE)]


def test_every_sample_that_speaks_of_our_kinds_loads_unmodified(corpus: Path) -> None:
    files = samples_with_our_kinds(corpus)
    assert len(files) >= 26
    errors = [
        str(one)
        for file in files
        for one in load(file.name, file.read_text())[1]
        # tcp-echo's folder has one file of Gateway API, whose TCPRoute is refused by name
        if one.is_error and "TCPRoute is not supported yet" not in one.message
    ]
    assert errors == []


def test_no_object_of_our_kinds_is_lost_on_the_way(corpus: Path) -> None:
    for file in samples_with_our_kinds(corpus):
        written = re.findall(rf"^kind: ({'|'.join((*OURS, 'Service', 'Gateway'))})\s*$", file.read_text(), re.MULTILINE)
        loaded, _ = load(file.name, file.read_text())
        assert sorted(one.kind.name for one in loaded) == sorted(written), file.name


def test_samples_for_a_plain_kubernetes_load_as_services(corpus: Path) -> None:
    loaded, found = load("httpbin.yaml", (corpus / "istio-samples/httpbin/httpbin.yaml").read_text())
    assert [one.key for one in loaded] == [("Service", "default", "httpbin")]
    assert {one.severity for one in found} == {"warning"}  # ServiceAccount and Deployment


def test_the_hidden_route_of_the_fault_sample_is_remarked_upon(corpus: Path) -> None:
    file = corpus / "istio-samples/bookinfo/networking-fault-injection-details-v1.yaml"
    _, found = load(file.name, file.read_text())
    assert [one.code for one in found] == ["IST0130"]


def judged(corpus: Path, kind: str, verdict: str) -> list[tuple[str, str]]:
    """Document and expected part of the message. Split as text: dumping parsed YAML again would change what is read."""
    text = (corpus / f"istio-api-validation/{kind}-{verdict}.yaml").read_text()
    text = re.sub(r"^#.*\n?", "", text, flags=re.MULTILINE)
    documents = []
    for document in filter(str.strip, re.split(r"^---\n", text, flags=re.MULTILINE)):
        expected = re.search(r'^_err: (["\'])(.*)\1\n', document, re.MULTILINE)
        documents.append((re.sub(r"^_err: .*\n", "", document, flags=re.MULTILINE), expected[2] if expected else ""))
    return documents


@pytest.mark.parametrize(("kind", "count"), [("destinationrule", 3), ("serviceentry", 12)])
def test_every_document_marked_invalid_is_refused_for_the_marked_reason(corpus: Path, kind: str, count: int) -> None:
    documents = judged(corpus, kind, "invalid")
    assert len(documents) == count
    for text, expected in documents:
        errors = [one.message for one in load(kind, text)[1] if one.is_error]
        assert any(expected in message for message in errors), (expected, errors, text)


@pytest.mark.parametrize(("kind", "count"), [("destinationrule", 4), ("serviceentry", 5)])
def test_every_document_marked_valid_is_taken(corpus: Path, kind: str, count: int) -> None:
    documents = judged(corpus, kind, "valid")
    assert len(documents) == count
    for text, _ in documents:
        loaded, found = load(kind, text)
        assert [str(one) for one in found if one.is_error] == []
        assert len(loaded) == 1


REASONS = (
    "not supported yet",
    "http[0]: HTTP route, redirect or directResponse is required",  # deprecation.yaml has a fault only
    "a delay must have a fixedDelay",
    'the kind "QuotaSpec" is not known',  # gone from Istio
    "name: Required value when there are several ports",  # Kubernetes refuses it before the analyzer sees it
    "spec.hosts: Required value",  # delegates
    "port names in servers must be unique",  # Istio's own validation would not take it
)


def test_the_documents_of_istios_analyzers_are_read_or_refused_for_a_known_reason(corpus: Path) -> None:
    count = 0
    for file in sorted((corpus / "istio-analyzers/testdata").rglob("*.yaml")):
        loaded, found = load(file.name, file.read_text())
        count += len(loaded)
        assert [str(one) for one in found if one.is_error and not any(reason in one.message for reason in REASONS)] == []
    assert count >= 40


def test_every_field_of_istios_schema_has_its_place_in_our_models(corpus: Path) -> None:
    text = (corpus / "istio-crds/crd-all.gen.yaml").read_text()
    schemas = {
        one["spec"]["names"]["kind"]: one for one in yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if one
    }
    for name in OURS:
        version = next(one for one in schemas[name]["spec"]["versions"] if one["name"] == "v1")
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        # mirror_percent is the old spelling of mirrorPercent, taken as an alias
        assert [one for one in missing_fields(name, spec, ()) if "mirror_percent" not in one] == []


def missing_fields(kind: str, schema: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Paths of fields that the schema has and the model has not."""
    known = field_names(kinds.BY_NAME[kind].spec, path)
    for name, below in schema.get("properties", {}).items() if known else ():
        if name not in known:
            yield (*path, name)
            continue
        inner, here = below, (*path, name)
        while inner.get("type") == "array" or "additionalProperties" in inner:
            inner, here = inner.get("items") or inner["additionalProperties"], (*here, 0)
        yield from missing_fields(kind, inner, here)
