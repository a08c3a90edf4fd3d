"""The reader of heads against generated nonsense, with llhttp (httptools) as a second opinion."""

from typing import Any

import httptools
from hypothesis import example, given
from hypothesis import strategies as st

from mesh.sidecar.wire.heads import CHUNKED, HeadReader, MalformedMessage

LINE_ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b""])
NAMES = st.sampled_from(
    [b"host", b"Host", b"content-length", b"Content-Length", b"transfer-encoding", b"connection", b"x", b"X-A", b"bad name", b"", b"x:"]
)
VALUES = st.one_of(
    st.sampled_from(
        [b"a", b"reviews:9080", b"0", b"3", b"3, 3", b"+3", b"chunked", b"gzip, chunked", b"Chunked", b"close", b"", b" ", b"\x00", b"\xff"]
    ),
    st.binary(max_size=6),
)
FIELDS = st.builds(
    lambda name, gap, value, end: name + b":" + gap + value + end, NAMES, st.sampled_from([b"", b" ", b"\t", b"  "]), VALUES, LINE_ENDS
)
REQUEST_LINES = st.one_of(
    st.just(b"GET / HTTP/1.1\r\n"),
    st.builds(
        lambda method, target, version, end: method + b" " + target + b" " + version + end,
        st.sampled_from([b"GET", b"POST", b"get", b"", b"G T", b"OPTIONS"]),
        st.sampled_from([b"/", b"/a?b#c", b"*", b"http://a/b", b"a:1", b"", b"/\x80", b"/ x"]),
        st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"http/1.1", b""]),
        LINE_ENDS,
    ),
)
GOOD_LINE, GOOD_FIELD = (
    st.just(b"GET / HTTP/1.1\r\n"),
    st.sampled_from([b"x: 1\r\n", b"X-A:b\r\n", b"content-length: 3\r\n", b"y: \xc3\xa4\r\n"]),
)
HEADS = st.one_of(  # most of them nearly right: what is wrong in many places is refused for the first
    st.builds(lambda odd, *good: good[0] + b"host: a\r\n" + good[1] + odd, FIELDS, GOOD_LINE, GOOD_FIELD),
    st.builds(lambda line, field: line + b"host: a\r\n" + field, REQUEST_LINES, GOOD_FIELD),
    st.builds(
        lambda line, fields: line + b"".join(fields), GOOD_LINE, st.permutations([b"host: a\r\n", b"x: 1\r\n", b"content-length: 3\r\n"])
    ),
    st.builds(lambda line, fields: line + b"".join(fields), REQUEST_LINES, st.lists(FIELDS, max_size=5)),
)


class Second:
    """What llhttp makes of the same bytes."""

    def __init__(self, data: bytes) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.complete = False
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(data)
        self.method: bytes = parser.get_method()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.complete = True


def ours(head: bytes) -> Any:
    """The request, or None where it is refused."""
    try:
        return HeadReader().request(head)
    except MalformedMessage:
        return None


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_never_worse(data: bytes) -> None:
    ours(data)


@given(HEADS)
@example(b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n")
@example(b"GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n 2\r\n")
def test_what_we_take_llhttp_takes_too_and_reads_the_same(head: bytes) -> None:
    head = head.removesuffix(b"\r\n")
    if b"\r\n\r\n" in head:
        return  # there a head would have ended
    read = ours(head)
    if read is None:
        return
    method, _, _, _, fields, length, _ = read
    second = Second(head + b"\r\n\r\n")
    assert second.complete
    assert second.method.decode() == method
    hosts = [value for name, value in second.fields if name == b"host"]
    assert len(hosts) <= 1
    lengths = [value for name, value in second.fields if name == b"content-length"]
    assert length == (CHUNKED if any(name == b"transfer-encoding" for name, _ in second.fields) else int(lengths[0]) if lengths else 0)
    kept = {name for name, _ in second.fields} - {b"host"}
    assert {name.encode() for name in fields} <= kept


@given(HEADS)
def test_a_head_that_was_seen_before_is_read_as_the_first_time(head: bytes) -> None:
    reader = HeadReader()
    results = []
    for _ in range(2):
        try:
            results.append(reader.request(head))
        except MalformedMessage as error:
            results.append((error.status, error.details))
    assert results[0] == results[1]
