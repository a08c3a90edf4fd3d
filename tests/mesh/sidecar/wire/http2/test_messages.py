"""What is a request, a response, trailers, and what is malformed: RFC 9113 §8, strictly, a stream at a time."""

import pytest
from scripted_peer import DATA, END_HEADERS, END_STREAM, GET, HEADERS, OK, POST, Scripted, fields, frame, make_client, make_server

PROTOCOL = 1
CHUNKED = -1


def changed(**pseudo: str | None) -> list[tuple[str, str]]:
    """GET with other pseudo-headers; None leaves one out."""
    pairs = [(name, pseudo.get(name[1:], value)) for name, value in GET]
    return [(name, value) for name, value in pairs if value is not None]


MALFORMED = {
    # fields about the connection (H01)
    "connection": [*GET, ("connection", "close")],
    "keep-alive": [*GET, ("keep-alive", "timeout=5")],
    "proxy-connection": [*GET, ("proxy-connection", "keep-alive")],
    "upgrade": [*GET, ("upgrade", "websocket")],
    "transfer-encoding": [*GET, ("transfer-encoding", "chunked")],
    "te other than trailers": [*GET, ("te", "gzip")],
    "te with more than trailers": [*GET, ("te", "trailers, gzip")],
    # characters (H02)
    "an upper-case name": [*GET, ("X-Upper", "a")],
    "a space in a name": [*GET, ("x a", "a")],
    "a colon in a name": [*GET, ("x:a", "a")],
    "a control byte in a name": [*GET, ("x\x01a", "a")],
    "a byte above ASCII in a name": [*GET, ("x\u00e4", "a")],
    "an empty name": [*GET, ("", "a")],
    "CR in a value": [*GET, ("x", "a\rb")],
    "LF in a value": [*GET, ("x", "a\nb")],
    "NUL in a value": [*GET, ("x", "a\0b")],
    "DEL in a value": [*GET, ("x", "a\x7fb")],
    "a value that begins with a space": [*GET, ("x", " a")],
    "a value that ends with a tab": [*GET, ("x", "a\t")],
    "CRLF in :path": changed(path="/a\r\nx: y"),
    "NUL in :path": changed(path="/a\0"),
    "LF in :method": changed(method="GET\n"),
    # pseudo-headers (H03)
    "a space in :path": changed(path="/a b"),
    "a byte above ASCII in :path": changed(path="/\u00e4"),
    ":scheme that is a URL": changed(scheme="http://x/?"),
    ":path without a slash": changed(path="admin"),
    ":path that is a URL": changed(path="http://a/"),
    ":path * for GET": changed(path="*"),
    ":authority with a path": changed(authority="a/admin"),
    ":authority with userinfo": changed(authority="u@a"),
    ":authority with a space": changed(authority="a b"),
    ":authority with a query": changed(authority="a?b"),
    ":authority with a port that is none": changed(authority="a:b"),
    "an empty :authority": changed(authority=""),
    ":method with a space": changed(method="G ET"),
    # (H04)
    "no :path": changed(path=None),
    "an empty :path": changed(path=""),
    "two :path": [*GET, (":path", "/b")],
    "no :method": changed(method=None),
    "an empty :method": changed(method=""),
    "no :scheme": changed(scheme=None),
    "an empty :scheme": changed(scheme=""),
    "a pseudo-header behind a field": [GET[0], GET[1], GET[2], ("x", "a"), GET[3]],
    "an unknown pseudo-header": [(":foo", "a"), *GET],
    "a response's pseudo-header": [(":status", "200"), *GET],
    "no field at all": [],
    # whom it is for (H05)
    ":authority and host differ": [*GET, ("host", "b")],
    "two hosts": [*changed(authority=None), ("host", "a"), ("host", "b")],
    "the same host twice": [*changed(authority=None), ("host", "a"), ("host", "a")],
    "neither :authority nor host": changed(authority=None),
    "a host with a path": [*changed(authority=None), ("host", "a/b")],
    # length (H06)
    "content-length and no DATA": [*GET, ("content-length", "5")],
    "two content-lengths": [*POST, ("content-length", "0"), ("content-length", "0")],
    "content-length with a sign": [*POST, ("content-length", "+0")],
    "content-length that is a list": [*POST, ("content-length", "0, 0")],
    # CONNECT
    "CONNECT with :path": [(":method", "CONNECT"), (":authority", "a:1"), (":path", "/")],
    "CONNECT with :scheme": [(":method", "CONNECT"), (":authority", "a:1"), (":scheme", "http")],
    "CONNECT without :authority": [(":method", "CONNECT"), ("host", "a:1")],
    ":protocol without CONNECT": [*GET, (":protocol", "websocket")],
    "extended CONNECT without :path": [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "a")],
    "an empty :protocol": [(":method", "CONNECT"), (":protocol", ""), *GET[1:]],
}


@pytest.mark.parametrize("stateless", [False, True])
@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_reset_and_never_seen(name: str, stateless: bool) -> None:
    server = make_server()
    if stateless:
        server.become_stateless()
    stream_id = 7
    assert server.stream_fault(stream_id, server.headers(stream_id, MALFORMED[name])) == PROTOCOL
    assert server.calls == []
    server.send(server.headers(9, GET))
    assert server.names() == ["request"]


GOOD = {
    "host in place of :authority": [*changed(authority=None), ("host", "a:80")],
    "host beside the same :authority": [*changed(authority="a:80"), ("host", "a:80")],
    "te: trailers": [*GET, ("te", "trailers")],
    "OPTIONS *": changed(method="OPTIONS", path="*"),
    "https and an IPv6 address": changed(scheme="https", authority="[::1]:80"),
    "a value of bytes above ASCII": [*GET, ("x", "\u00e4")],
    "an empty value": [*GET, ("x", "")],
    "content-length 0": [*GET, ("content-length", "0")],
}


@pytest.mark.parametrize("name", GOOD)
def test_a_request_that_is_well_formed_arrives(name: str, server: Scripted) -> None:
    server.send(server.headers(1, GOOD[name]))
    (call,) = server.calls
    assert "host" not in call[2].fields
    assert call[2].length == 0


def test_a_request_arrives_as_text_and_as_lines_for_http1(server: Scripted) -> None:
    server.send(server.headers(1, [*POST, ("x-a", "b"), ("x-a", "c"), ("te", "trailers")], END_HEADERS))
    (_, stream_id, head, end_stream) = server.calls[0]
    assert (stream_id, end_stream) == (1, False)
    assert (head.method, head.path, head.authority, head.scheme, head.protocol) == ("POST", "/", "reviews:9080", "http", "")
    assert (head.length, head.special) == (CHUNKED, True)
    assert head.fields["x-a"] == ("b,c", b"x-a: b\r\nx-a: c\r\n")


def test_a_cookie_in_pieces_is_one(server: Scripted) -> None:
    server.send(server.headers(1, [*GET, ("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]))
    assert server.calls[0][2].fields["cookie"] == ("a=1; b=2; c=3", b"cookie: a=1; b=2; c=3\r\n")


def test_connect_has_an_authority_and_nothing_else(server: Scripted) -> None:
    server.send(server.headers(1, [(":method", "CONNECT"), (":authority", "a:1")], END_HEADERS))
    head = server.calls[0][2]
    assert (head.method, head.path, head.scheme, head.authority) == ("CONNECT", "", "", "a:1")


def test_extended_connect_names_its_protocol(server: Scripted) -> None:
    server.send(server.headers(1, [(":method", "CONNECT"), (":protocol", "websocket"), *GET[1:]], END_HEADERS))
    assert server.calls[0][2].protocol == "websocket"
    client = make_client()
    assert not client.connection.peer_allows_connect_protocol
    client.send(frame(4, payload=b"\x00\x08\x00\x00\x00\x01"))
    assert client.connection.peer_allows_connect_protocol
    client.connection.send_request("CONNECT", "/chat", "a", {}, end_stream=False, protocol="websocket")
    assert (":protocol", "websocket") in client.decoded(client.written()[0])


def test_a_head_that_comes_again_is_the_handlers_own_each_time(server: Scripted) -> None:
    server.become_stateless()
    for stream_id in (7, 9):
        server.send(server.headers(stream_id, [*GET, ("x-a", "b")]))
    first, second = server.calls[0][2], server.calls[1][2]
    first.fields.clear()
    assert second.fields["x-a"][0] == "b"
    server.send(server.headers(11, [*GET, ("x-a", "b")]))
    assert server.calls[2][2].fields["x-a"][0] == "b"


def test_the_same_head_with_and_without_a_body_differ(server: Scripted) -> None:
    server.become_stateless()
    server.send(server.headers(7, POST, END_HEADERS), server.headers(9, POST), server.headers(11, POST, END_HEADERS))
    assert [(call[2].length, call[3]) for call in server.calls] == [(CHUNKED, False), (0, True), (CHUNKED, False)]


# --- bodies against content-length (H06)


@pytest.mark.parametrize(
    ("length", "pieces"),
    [
        ("5", [(b"abc", END_STREAM)]),
        ("5", [(b"abcdef", 0)]),
        ("5", [(b"abc", 0), (b"defg", END_STREAM)]),
        ("0", [(b"GET / HTTP/1.1\r\n\r\n", END_STREAM)]),
        ("5", [(b"", END_STREAM)]),
    ],
)
def test_a_body_that_is_not_what_content_length_says_resets_the_stream(length: str, pieces: list[tuple[bytes, int]]) -> None:
    server = make_server()
    server.send(server.headers(1, [*POST, ("content-length", length)], END_HEADERS))
    assert server.stream_fault(1, *[frame(DATA, flags, 1, piece) for piece, flags in pieces]) == PROTOCOL
    assert server.calls[-1] == ("reset", 1, PROTOCOL)
    assert not any(call[0] == "data" and call[3] for call in server.calls)


def test_trailers_before_the_whole_body_reset_the_stream(server: Scripted) -> None:
    server.send(server.headers(1, [*POST, ("content-length", "5")], END_HEADERS))
    assert server.stream_fault(1, frame(DATA, 0, 1, b"abc"), server.headers(1, [("x", "y")])) == PROTOCOL


def test_a_body_as_long_as_content_length_says_arrives(server: Scripted) -> None:
    server.send(
        server.headers(1, [*POST, ("content-length", "5")], END_HEADERS), frame(DATA, 0, 1, b"abc"), frame(DATA, END_STREAM, 1, b"de")
    )
    assert server.calls[0][2].length == 5
    assert server.calls[1:] == [("data", 1, b"abc", False), ("data", 1, b"de", True)]


# --- trailers


def test_trailers_end_the_stream(server: Scripted) -> None:
    server.send(server.headers(1, POST, END_HEADERS), frame(DATA, 0, 1, b"a"), server.headers(1, [("x-sum", "1")]))
    assert server.calls[-1] == ("trailers", 1, {"x-sum": "1"})


@pytest.mark.parametrize(
    ("pairs", "flags"),
    [
        ([(":path", "/admin")], END_HEADERS | END_STREAM),
        ([("x-sum", "1")], END_HEADERS),
        ([("X-Sum", "1")], END_HEADERS | END_STREAM),
        ([("connection", "close")], END_HEADERS | END_STREAM),
    ],
)
def test_malformed_trailers_reset_the_stream(server: Scripted, pairs: list[tuple[str, str]], flags: int) -> None:
    server.send(server.headers(1, POST, END_HEADERS), frame(DATA, 0, 1, b"a"))
    assert server.stream_fault(1, server.headers(1, pairs, flags)) == PROTOCOL
    assert server.calls[-1] == ("reset", 1, PROTOCOL)


def test_trailers_are_written_behind_the_data(server: Scripted) -> None:
    server.send(server.headers(1, GET))
    connection = server.connection
    connection.send_response(1, 200, fields(content_type="application/grpc"), end_stream=False)
    connection.send_data(1, b"abc", end_stream=False)
    connection.send_trailers(1, fields(grpc_status="0"))
    head, data, trailers = server.written()
    assert server.decoded(head) == [(":status", "200"), ("content-type", "application/grpc")]
    assert data == (DATA, 0, 1, b"abc")
    assert (trailers.kind, trailers.flags) == (HEADERS, END_HEADERS | END_STREAM)
    assert server.decoded(trailers) == [("grpc-status", "0")]
    assert connection.open_streams == 0


def test_trailers_of_nothing_are_an_empty_frame_at_the_end(server: Scripted) -> None:
    server.send(server.headers(1, GET))
    server.connection.send_response(1, 200, {}, end_stream=False)
    server.connection.send_trailers(1, fields(connection="close"))
    assert server.written()[1:] == [(DATA, END_STREAM, 1, b"")]


# --- responses


BAD_RESPONSES = {
    "no :status": [("x", "a")],
    ":status of two digits": [(":status", "20")],
    ":status that is none": [(":status", "2xx")],
    "two :status": [(":status", "200"), (":status", "200")],
    "a request's pseudo-header": [(":status", "200"), (":path", "/")],
    "101": [(":status", "101")],
    "transfer-encoding": [(":status", "200"), ("transfer-encoding", "chunked")],
    "two content-lengths": [(":status", "200"), ("content-length", "1"), ("content-length", "1")],
    "LF in a value": [(":status", "200"), ("x", "a\nb")],
}


@pytest.mark.parametrize("name", BAD_RESPONSES)
def test_a_malformed_response_is_reset_and_never_seen(client: Scripted, name: str) -> None:
    client.connection.send_request("GET", "/", "a", {}, end_stream=True)
    client.written()
    assert client.stream_fault(1, client.headers(1, BAD_RESPONSES[name], END_HEADERS)) == PROTOCOL
    assert client.calls == [("reset", 1, PROTOCOL)]


def test_an_answer_of_1xx_only_is_none(client: Scripted) -> None:
    client.connection.send_request("GET", "/", "a", {}, end_stream=True)
    assert client.stream_fault(1, client.headers(1, [(":status", "100")])) == PROTOCOL


def test_interim_answers_without_end_are_cut_off(client: Scripted) -> None:
    client.connection.send_request("GET", "/", "a", {}, end_stream=True)
    client.send(*[client.headers(1, [(":status", "103")], END_HEADERS) for _ in range(16)])
    assert client.stream_fault(1, client.headers(1, [(":status", "103")], END_HEADERS)) == PROTOCOL


def test_data_before_the_head_of_an_answer_resets_the_stream(client: Scripted) -> None:
    client.connection.send_request("GET", "/", "a", {}, end_stream=True)
    assert client.stream_fault(1, frame(DATA, END_STREAM, 1, b"x")) == PROTOCOL


@pytest.mark.parametrize(
    ("method", "status", "length"), [("HEAD", "200", "5"), ("GET", "304", "5"), ("GET", "200", "0"), ("GET", "204", None)]
)
def test_an_answer_that_has_no_body_may_say_how_long_it_would_be(client: Scripted, method: str, status: str, length: str | None) -> None:
    client.connection.send_request(method, "/", "a", {}, end_stream=True)
    more = [] if length is None else [("content-length", length)]
    client.send(client.headers(1, [(":status", status), *more]))
    assert client.calls[0][:3] == ("response", 1, int(status))
    assert client.connection.open_streams == 0


@pytest.mark.parametrize(("method", "status"), [("HEAD", "200"), ("GET", "304"), ("GET", "204")])
def test_a_body_where_there_is_none_resets_the_stream(client: Scripted, method: str, status: str) -> None:
    client.connection.send_request(method, "/", "a", {}, end_stream=True)
    client.send(client.headers(1, [(":status", status)], END_HEADERS))
    assert client.stream_fault(1, frame(DATA, END_STREAM, 1, b"x")) == PROTOCOL


def test_an_answer_shorter_than_it_says_is_reset(client: Scripted) -> None:
    client.connection.send_request("GET", "/", "a", {}, end_stream=True)
    client.send(client.headers(1, [*OK, ("content-length", "5")], END_HEADERS))
    assert client.stream_fault(1, frame(DATA, END_STREAM, 1, b"abc")) == PROTOCOL
    assert client.calls[-1] == ("reset", 1, PROTOCOL)


def test_fields_of_one_hop_are_not_written(server: Scripted) -> None:
    server.send(server.headers(1, GET))
    hop = fields(connection="close", keep_alive="1", transfer_encoding="chunked", upgrade="h2c", proxy_connection="x", x_a="b")
    server.connection.send_response(1, 200, hop, end_stream=True)
    assert server.decoded(server.written()[0]) == [(":status", "200"), ("x-a", "b")]


def test_a_field_that_came_twice_is_written_twice(server: Scripted) -> None:
    server.send(server.headers(1, GET))
    server.connection.send_response(1, 200, {"set-cookie": ("a,b", b"set-cookie: a\r\nset-cookie: b\r\n")}, end_stream=True)
    assert server.decoded(server.written()[0]) == [(":status", "200"), ("set-cookie", "a"), ("set-cookie", "b")]


def test_a_head_longer_than_a_frame_is_continued(server: Scripted) -> None:
    server.send(server.headers(1, GET))
    server.connection.send_response(1, 200, fields(x_long="v" * 40_000), end_stream=True)
    written = server.written()
    assert [(found.kind, found.flags) for found in written] == [(HEADERS, END_STREAM), (9, 0), (9, END_HEADERS)]
    assert all(len(found.payload) <= 16_384 for found in written)
    block = b"".join(found.payload for found in written)
    assert server.decoder.decode(block)[-1] == ("x-long", "v" * 40_000)
