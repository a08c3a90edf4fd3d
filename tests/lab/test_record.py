"""What lab.json keeps of a lab, and what configuration may be handed in as."""

import json
from pathlib import Path

import pytest

from lab.documents import read_documents
from lab.record import LabRecord
from lab.runtimes.runtime import LabError, Layout, Place
from lab.topology import bundled, load

LAYOUT = Layout("http://c:1", "c:2", (Place("a-v1-0", "a", "v1", "127.0.0.1", {"80": "127.0.0.1:80"}, "127.0.0.1:81", "127.0.0.1:82"),))


@pytest.mark.parametrize("name", bundled())
def test_a_record_comes_back_from_json_as_it_was(name: str) -> None:
    record = LabRecord("x", load(name), "local", "python").at(LAYOUT)
    back = LabRecord.from_json(json.loads(json.dumps(record.to_json())))
    assert back == record
    assert back.same_lab(LabRecord("x", load(name), "local", "python"))
    assert not back.same_lab(LabRecord("x", load(name), "local", "envoy"))


@pytest.mark.parametrize(
    "data", [None, {}, {"name": "x"}, {"name": "x", "topology": {}, "runtime": "local", "dataplane": "python", "layout": None}]
)
def test_what_is_no_record_is_none(data: dict[str, object] | None) -> None:
    assert LabRecord.from_json(data) is None


def test_text_file_and_folder_are_read(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("b: 1")
    (tmp_path / "a.yml").write_text("a: 1")
    (tmp_path / "README.md").write_text("# no")
    documents = read_documents(["kind: X\n", tmp_path / "b.yaml", str(tmp_path)])
    assert [(Path(d.source).name, d.text) for d in documents] == [
        ("<text>", "kind: X\n"),
        ("b.yaml", "b: 1"),
        ("a.yml", "a: 1"),
        ("b.yaml", "b: 1"),
    ]


def test_what_cannot_be_read_is_said_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe4")
    for source, says in (("nowhere.yaml", "nowhere.yaml: No such file"), (str(tmp_path / "latin.yaml"), "byte 3")):
        with pytest.raises(LabError, match=says):
            read_documents([source])
    (tmp_path / "empty").mkdir()
    with pytest.raises(LabError, match="no YAML files"):
        read_documents([tmp_path / "empty"])
