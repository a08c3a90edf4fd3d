"""Header blocks against the ``hpack`` library, both ways; blocks that are known, of a known shape, and new ones mean the same."""

import random

import hpack
import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scripted_peer import END_HEADERS, END_STREAM, Scripted, fields, frame, make_client, make_server

from mesh.sidecar.headers import Headers
from mesh.sidecar.wire.http2 import Http2Settings, header_blocks, huffman
from mesh.sidecar.wire.http2.head_reader import HeadReader
from mesh.sidecar.wire.http2.header_blocks import BlockError, BlockMemory, HeadTooLarge, encode_field
from mesh.sidecar.wire.http2.heads import HeadMemory, read_request

HUFFMAN = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)

NAMES = st.sampled_from(
    [
        "accept",
        "x-a",
        "x-request-id",
        "traceparent",
        "cookie",
        "etag",
        "content-type",
        "authorization",
        "grpc-timeout",
        "date",
        "x-" + "n" * 130,
    ]
)
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=40) | st.just("v" * 300)
PATHS = st.builds(lambda text: "/" + text, st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30))


def stateless_block(pairs: list[tuple[str, str]], *, huffman_coded: bool = True) -> bytes:
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return encoder.encode(pairs, huffman=huffman_coded)


# --- Huffman


@settings(deadline=None)
@given(st.binary(max_size=200))
@example(bytes(range(256)))
def test_huffman_reads_what_the_library_writes(data: bytes) -> None:
    assert huffman.decode(HUFFMAN.encode(data)) == data


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xff\xff\xff\xff", id="end of string"),
        pytest.param(b"\xff\xff\xff\xfc", id="end of string inside"),
        pytest.param(b"\x1f\xff", id="padding of eight bits and more"),
        pytest.param(b"\x18", id="padding of zeros"),
    ],
)
def test_huffman_refuses_bad_padding_and_the_end_of_string(data: bytes) -> None:
    with pytest.raises(huffman.HuffmanError):
        huffman.decode(data)


# --- reading


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=12), st.booleans())
def test_a_block_is_read_as_the_library_wrote_it(pairs: list[tuple[str, str]], coded: bool) -> None:
    memory = BlockMemory()
    block = stateless_block(pairs, huffman_coded=coded)
    for _ in range(2):  # new, and remembered
        assert [(name, field[0]) for name, field, _ in memory.read(block, 100, 65_536)] == pairs


@settings(deadline=None)
@given(st.binary(max_size=80))
@example(b"\x00\x81\x1f\x01a")
def test_a_block_of_nonsense_is_refused_where_the_library_refuses_it(block: bytes) -> None:
    decoder = hpack.Decoder(1_000_000)
    decoder.header_table_size = decoder.max_allowed_table_size = 0
    try:
        expected = [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]
    except (hpack.HPACKError, IndexError):
        expected = None
    found: list[tuple[bytes, bytes]] | None
    try:
        with pytest.MonkeyPatch.context() as patch:  # fields as they are, before anything is asked of their characters
            patch.setattr(header_blocks, "read_field", lambda name, value: (name, (value, b""), 0))
            found = [(as_bytes(name), as_bytes(field[0])) for name, field, _ in BlockMemory().read(block, 1_000, 1_000_000)]
    except BlockError:
        found = None
    assert found == expected


def as_bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def test_a_table_of_the_peer_is_followed_until_it_has_none() -> None:
    reader = HeadReader(HeadMemory(), Http2Settings())
    encoder = hpack.Encoder()
    pairs = [(":status", "200"), ("x-a", "b")]
    assert reader.response(encoder.encode(pairs))[1]["x-a"][0] == "b"
    indexed = encoder.encode(pairs)
    assert indexed[-1] == 0x80 | 62
    assert reader.response(indexed)[1]["x-a"][0] == "b"
    reader.acknowledged()
    assert reader.response(indexed)[1]["x-a"][0] == "b"  # a peer that did not give it up yet, or never does
    assert not reader.stateless
    encoder.header_table_size = 0
    assert reader.response(encoder.encode(pairs))[1]["x-a"][0] == "b"
    assert reader.stateless
    with pytest.raises(BlockError):
        reader.response(indexed)


# --- shapes: the quick ways against the slow one

REQUESTS = st.tuples(
    st.sampled_from(["GET", "POST"]), PATHS, st.sampled_from(["a", "reviews:9080"]), st.lists(st.tuples(NAMES, VALUES), max_size=6)
)


@settings(deadline=None)
@given(st.lists(st.tuples(REQUESTS, st.booleans(), st.booleans()), min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_a_head_read_by_its_shape_is_what_it_is_field_by_field(
    requests: list[tuple[tuple[str, str, str, list[tuple[str, str]]], bool, bool]], dice: random.Random
) -> None:
    quick = HeadReader(HeadMemory(), Http2Settings())
    quick.acknowledged()
    quick.read(b"\x20")
    assert quick.stateless
    method, _, authority, pairs = requests[0][0]
    for (_, new_path, _, new_pairs), end_stream, coded in requests:
        values = dict(new_pairs)
        changed = [(name, values.get(name, value)) for name, value in pairs]  # the same names, other values
        if dice.random() < 0.2:
            changed.append(("x-more", "1"))
        if not end_stream:
            changed.append(("content-length", str(dice.randrange(1000))))
        heads = [(":method", method), (":path", new_path), (":scheme", "http"), (":authority", authority), *changed]
        block = stateless_block(heads, huffman_coded=coded)
        expected = read_request(BlockMemory().read(block, 100, 65_536), end_stream)
        assert quick.request(block, end_stream) == expected
        assert list(quick.request(block, end_stream).fields.items()) == list(expected.fields.items())


def test_a_shape_is_used_and_its_values_are_checked() -> None:
    server = make_server()
    server.become_stateless()
    plain = [(":method", "GET"), (":scheme", "http"), (":authority", "a")]

    def send(stream_id: int, path: str, request_id: str) -> None:
        server.send(server.headers(stream_id, [*plain, (":path", path), ("x-request-id", request_id)]))

    send(7, "/a", "1")
    reader = server.connection._reader
    reads = []
    slow = reader.read
    reader.read = lambda block: reads.append(block) or slow(block)
    send(9, "/another/path?x=1", "a-long-request-id-" * 3)
    assert not reads
    assert (server.calls[1][2].path, server.calls[1][2].fields["x-request-id"][0]) == ("/another/path?x=1", "a-long-request-id-" * 3)
    assert server.calls[0][2].fields["x-request-id"][0] == "1"
    for stream_id, path, request_id in ((11, "/a b", "1"), (13, "no-slash", "1"), (15, "/a", "a\rb"), (17, "/a", " a")):
        send(stream_id, path, request_id)
        assert len(reads) == (stream_id - 9) // 2
    assert len(server.calls) == 2
    send(19, "/" + "p" * 70_000, "1")
    assert server.connection.over or server.calls[-1][0] == "too large"


def test_a_length_in_a_shape_is_the_length_of_this_body() -> None:
    server = make_server()
    server.become_stateless()
    plain = [(":method", "POST"), (":path", "/"), (":scheme", "http"), (":authority", "a"), ("x-request-id", "1")]
    for stream_id, length in ((7, "3"), (9, "5"), (11, "0")):
        server.send(server.headers(stream_id, [*plain, ("content-length", length)], END_HEADERS))
    assert [call[2].length for call in server.calls] == [3, 5, 0]
    assert server.stream_fault(9, frame(0, END_STREAM, 9, b"abc")) == 1
    assert server.stream_fault(13, server.headers(13, [*plain, ("content-length", "5")])) == 1


def test_memory_is_bounded_whatever_comes() -> None:
    memory = HeadMemory()
    server = Scripted(client=False)
    reader = HeadReader(memory, Http2Settings())
    reader.acknowledged()
    reader.read(b"\x20")
    for number in range(3_000):
        heads = [(":method", "GET"), (":path", f"/{number}"), (":scheme", "http"), (":authority", f"a{number}"), (f"x-{number}", "v")]
        reader.request(stateless_block(heads), end_stream=True)
        memory.write_request("GET", f"/{number}", f"a{number}", "http", "", fields(**{f"x_{number}": "v"}))
    kept = [memory._requests[1], memory._request_starts, memory.blocks._entries, memory.blocks._encoded]
    assert all(0 < len(known) <= 1024 for known in kept)
    assert len(reader._shapes._kept) <= 4
    assert server.calls == []


@pytest.mark.parametrize("name", ["authorization", "cookie", "x-request-id", "traceparent"])
@pytest.mark.parametrize("repeated", [1, 20])
def test_what_is_secret_or_never_repeats_is_not_remembered(name: str, repeated: int) -> None:
    memory = HeadMemory()
    pairs = [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "a"), (name, "a-secret-value" * repeated)]
    reader = HeadReader(memory, Http2Settings())
    reader.acknowledged()
    reader.read(b"\x20")
    block = stateless_block(pairs, huffman_coded=False)
    head = reader.request(block, end_stream=True)
    assert reader.request(block, end_stream=True) == head
    memory.write_request("GET", "/", "a", "http", "", head.fields)
    kept = [memory._requests, memory.blocks._entries, memory.blocks._encoded]
    kept += [(shape.head, shape._fields, shape._holes, shape._tail) for shape in reader._shapes._kept]
    assert "a-secret-value" not in repr(kept)
    assert len(reader._shapes._kept) == 1


# --- writing


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=12))
def test_the_library_reads_what_is_written(pairs: list[tuple[str, str]]) -> None:
    memory = HeadMemory()
    headers = Headers((name, value) for name, value in pairs)
    for _ in range(2):
        decoder = hpack.Decoder(1_000_000)
        decoder.header_table_size = decoder.max_allowed_table_size = 0
        read = [(str(name), str(value)) for name, value in decoder.decode(memory.write_response(200, headers.fields))]
        assert read == [(":status", "200"), *headers.items()]


def test_secrets_are_never_indexed_on_the_way() -> None:
    assert encode_field(b"authorization", b"x")[0] == 0x1F
    memory = HeadMemory()
    (pair,) = hpack.Decoder().decode(memory.write_trailers(fields(cookie="a=1")))
    assert isinstance(pair, hpack.NeverIndexedHeaderTuple)


def test_both_ends_of_ours_understand_each_other() -> None:
    client, server = make_client(), make_server()
    found = fields(x_a="b", x_request_id="1", te="trailers", cookie="a=1")
    client.connection.send_request("POST", "/p?q=1", "[::1]:80", found, end_stream=False, scheme="https")
    server.connection.receive(client.connection.take())
    head = server.calls[0][2]
    assert (head.method, head.path, head.authority, head.scheme, head.fields) == ("POST", "/p?q=1", "[::1]:80", "https", found)


def known_shape(*pairs: tuple[str, str]) -> HeadReader:
    """A reader that has learnt the shape of a request with these fields."""
    reader = HeadReader(HeadMemory(), Http2Settings())
    reader.acknowledged()
    reader.read(b"\x20")
    reader.request(stateless_block([*PLAIN, *pairs], huffman_coded=False), end_stream=True)
    return reader


PLAIN = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/a")]


def test_a_block_of_a_known_shape_that_is_cut_short_is_refused() -> None:
    reader = known_shape(("x-request-id", "1"))
    with pytest.raises(BlockError):
        reader.request(stateless_block([*PLAIN, ("x-request-id", "1234567")], huffman_coded=False)[:-2], end_stream=True)


def test_a_head_of_a_known_shape_may_be_too_large() -> None:
    reader = known_shape(("x-request-id", "1"))
    with pytest.raises(HeadTooLarge):
        reader.request(stateless_block([*PLAIN, ("x-request-id", "1" * 62_000)], huffman_coded=False), end_stream=True)
