"""YAML as Kubernetes reads it, and what is said of YAML that cannot be read."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mesh.galley.load import load
from mesh.galley.parse import MAX_CHARACTERS, MAX_DEPTH, parse

HEAD = "apiVersion: v1\nkind: Service\n"

BROKEN = {
    "a tab before a key": (HEAD + "metadata:\n\tname: x\n", 4, 1, "tab"),
    "a tab after spaces": (HEAD + "metadata:\n  \tname: x\n", 4, 3, "tab"),
    "a key less indented than its brothers": ("a:\n    b: 1\n  c: 2\n", 3, 3, "did not find expected key"),
    "a key more indented than its brothers": ("a: 1\n  b: 2\n", 2, 4, "mapping values are not allowed"),
    "a list item where a key belongs": ("a: 1\n- b\n", 2, 1, "did not find expected key"),
    "a key where a list item belongs": ("a:\n  - b\n  c: 1\n", 3, 3, "did not find expected '-' indicator"),
    "a bracket that is not closed": ("a: [1, 2\nb: 3\n", 2, 2, "did not find expected ',' or ']'"),
    "a brace that is not closed": ("a: {b: 1\n", 1, 8, "did not find expected ',' or '}'"),
    "a bracket too much": ("a: [1]]\n", 1, 7, "did not find expected"),
    "a quote that is not closed": ('a: "b\nc: 1\n', 1, 4, "unexpected end of stream"),
    "an unknown escape": ('a: "\\q"\n', 1, 5, "unknown escape character"),
    "a colon inside plain text": ("a: b: c\n", 1, 5, "mapping values are not allowed"),
    "text after a quoted value": ('a: "b" c\n', 1, 8, "did not find expected key"),
    "a value that begins with a star": ("a: *.example.com\n", 1, 4, "alias"),
    "an alias without its anchor": ("a: *nowhere\n", 1, 4, "undefined alias"),
    "a value that begins with an at sign": ("a: @b\n", 1, 4, "cannot start any token"),
    "a value that begins with a back-tick": ("a: `b`\n", 1, 4, "cannot start any token"),
    "a value that begins with a per cent sign": ("a: %b\n", 1, 4, "cannot start any token"),
    "a key without a colon": ("a: 1\nb\nc: 2\n", 3, 1, "could not find expected ':'"),
    "a key twice": ("a: 1\nb: 2\na: 3\n", 3, 1, 'the key "a" stands twice'),
    "a key twice, deep": ("a:\n  - b: 1\n    b: 2\n", 3, 5, 'the key "b" stands twice'),
    "a list as a key": ("? [a]\n: 1\n", 1, 3, "a key must be a word"),
    "a document that is text": ("hello\n", 1, 1, "must be a set of keys and values"),
    "a document that is a list": ("- a\n- b\n", 1, 1, "must be a set of keys and values"),
    "a second document that is a number": ("a: 1\n---\n17\n", 3, 1, "must be a set of keys and values"),
    "a control character": ("a: b\nc: \x07\n", 2, 4, "U+0007"),
    "a nul": ("a: b\x00\n", 1, 5, "U+0000"),
    "a tag that makes an object": ("a: !!python/object:os.system {}\n", 1, 4, "!!python/object:os.system"),
    "a tag of one's own": ("a: !mine b\n", 1, 4, "!mine"),
    "a number that JSON has not": ("a: .inf\n", 1, 4, "not a number that JSON has"),
    "an anchor that contains itself": ("a: &x\n  b: *x\n", 1, 4, "contains itself"),
    "a merge that contains itself": ("a: &x\n  <<: *x\n", 1, 4, "contains itself"),
    "a merge of text": ("a:\n  <<: b\n", 2, 7, "can only merge"),
    "brackets without end": ("a: " + "[" * 100_000, 1, MAX_DEPTH + 3, "deep"),
    "a conflict marker": ("a: 1\n<<<<<<< HEAD\nb: 2\n", 3, 1, "could not find expected ':'"),
    "an unknown directive's document": ("%YAML 9.9\n---\na: 1\n", 1, 1, "incompatible YAML document"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_yaml_is_refused_with_its_place(what: str) -> None:
    text, line, column, message = BROKEN[what]
    _, found = parse("broken.yaml", text)
    assert [(one.file, one.line, one.column) for one in found] == [("broken.yaml", line, column)], found
    assert message in found[0].message
    assert found[0].is_error
    assert found[0].snippet_line in text


@pytest.mark.parametrize(("text", "column"), [("kind: [", 7), ("kind: [\n\n", 7), ("a: {b\n", 5)])
def test_what_is_missing_at_the_end_has_its_caret_after_the_last_word(text: str, column: int) -> None:
    (error,) = parse("end.yaml", text)[1]
    assert (error.line, error.column) == (1, column)
    assert "^" in str(error)


def test_aliases_that_multiply_are_cut_off() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    _, found = parse("bomb.yaml", "\n".join(rows))
    assert len(found) == 1
    assert "grows beyond" in found[0].message


def test_a_file_beyond_the_limit_is_not_read() -> None:
    documents, found = parse("big.yaml", "a: " + "x" * MAX_CHARACTERS)
    assert not documents
    assert "too large" in found[0].message


def test_documents_before_a_broken_one_are_still_read() -> None:
    documents, found = parse("two.yaml", "a: 1\n---\nb: [\n")
    assert [one.data for one in documents] == [{"a": 1}]
    assert len(found) == 1


def test_empty_documents_are_skipped_and_the_others_know_their_lines() -> None:
    documents, found = parse("some.yaml", "---\n# nothing\n---\na: 1\n---\n---\nb:\n  c: 2\n")
    assert not found
    assert [one.data for one in documents] == [{"a": 1}, {"b": {"c": 2}}]
    assert [(one.line, one.values[()].line) for one in documents] == [(4, 4), (7, 7)]


@pytest.mark.parametrize("text", ["", "\n", "---\n", "# only a remark\n", "null\n", "---\n---\n...\n", "\ufeff"])
def test_nothing_is_no_error(text: str) -> None:
    assert parse("nothing.yaml", text) == ([], [])


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", True),
        ("Off", False),
        ("on", True),
        ("y", True),
        ("n", False),
        ('"yes"', "yes"),
        ("1_000", 1000),
        ("0x10", 16),
        ("010", 8),
        ("1:30", "1:30"),
        ("2001-12-14", "2001-12-14"),
        ("=", "="),
        ("1.5", 1.5),
        ("~", None),
        ("", None),
        ("!!str 5", "5"),
        ("'5'", "5"),
        ("|-\n  x\n  y", "x\ny"),
        ("[1.2.3.4, 001:db8::]", ["1.2.3.4", "001:db8::"]),
        ("{b:, c: d}", {"b:": None, "c": "d"}),
    ],
)
def test_values_are_read_as_kubernetes_reads_them(written: str, value: object) -> None:
    documents, found = parse("value.yaml", f"a: {written}\n")
    assert not found
    assert documents[0].data == {"a": value}
    assert type(documents[0].data["a"]) is type(value)


def test_keys_stay_the_words_they_were() -> None:
    assert parse("keys.yaml", "y: 1\non: 2\n8080: 3\n")[0][0].data == {"y": 1, "on": 2, "8080": 3}


def test_every_key_and_value_has_its_mark() -> None:
    document = parse("marks.yaml", "spec:\n  hosts:\n    - reviews\n  http: [{timeout: 5s}]\n")[0][0]
    assert (document.keys["spec", "hosts"].line, document.keys["spec", "hosts"].column) == (2, 3)
    assert (document.values["spec", "hosts", 0].line, document.values["spec", "hosts", 0].column) == (3, 7)
    timeout = document.values["spec", "http", 0, "timeout"]
    assert (timeout.line, timeout.column, timeout.width) == (4, 20, 2)
    assert document.mark(("spec", "http", 0, "route")) == document.values["spec", "http", 0]


def test_merged_keys_give_way_to_written_ones() -> None:
    text = "base: &base {a: 1, b: 2}\nmore: &more {b: 3, c: 4}\nboth:\n  <<: [*base, *more]\n  a: 0\n"
    assert parse("merge.yaml", text)[0][0].data["both"] == {"a": 0, "b": 2, "c": 4}


def test_an_anchor_used_twice_is_no_loop() -> None:
    documents, found = parse("twice.yaml", "a: &x {b: 1}\nc: *x\nd: *x\n")
    assert not found
    assert documents[0].data["d"] == {"b": 1}


YAMLISH = st.text(alphabet="ab:-?[]{}&*!|>'\"%@`#,~<=. \n\t10", max_size=60)


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=80), YAMLISH))
@example("&a [*a]")
@example("<<: *a")
@example("? &a\n: *a")
@example("[" * 3000)
@example("\ud800")
@example("a: !!int x")
@example("a: !!float x")
@example("a: !!bool maybe")
@example("{[a]: b}")
@example("a: 0b")
@example("? a\n<<: {b: {<<: *c}}")
def test_no_text_whatever_makes_the_parser_fail(text: str) -> None:
    documents, found = parse("any.yaml", text)
    for one in found:
        assert one.is_error
        assert one.line >= 1
        assert one.column >= 1
        assert str(one)
    assert not documents or all(isinstance(one.data, dict) for one in documents)


JSONISH = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["hosts", "http", "route", "match", "x"]), inner)),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["VirtualService", "DestinationRule", "ServiceEntry"]), JSONISH)
def test_no_spec_whatever_makes_the_validation_fail(kind: str, spec: object) -> None:
    import json

    text = json.dumps({"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": "x"}, "spec": spec})
    loaded, found = load("any.json", text)
    assert loaded or any(one.is_error for one in found)
