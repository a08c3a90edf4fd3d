"""The life of streams: flow control both ways, resets, how many at a time, going away. RFC 9113 §5, §6.8, §6.9."""

import pytest
from scripted_peer import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GET,
    GOAWAY,
    HEADERS,
    OK,
    PADDED,
    POST,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Frame,
    Scripted,
    fields,
    frame,
    make_client,
    make_server,
    rst,
    settings,
    window_update,
)

from mesh.sidecar.wire.http2.frames import PREFACE

PROTOCOL, FLOW_CONTROL, STREAM_CLOSED, REFUSED, CANCEL = 1, 3, 5, 7, 8


def payload(written: list[Frame], stream_id: int) -> bytes:
    return b"".join(found.payload for found in written if found.kind == DATA and found.stream_id == stream_id)


def increments(written: list[Frame], stream_id: int) -> list[int]:
    return [found.code for found in written if found.kind == WINDOW_UPDATE and found.stream_id == stream_id]


# --- what we send


def test_data_waits_for_the_streams_window_and_goes_on_with_it(server: Scripted) -> None:
    server.send(settings(initial_window_size=10), server.headers(1, GET))
    server.connection.send_response(1, 200, {}, end_stream=False)
    assert server.connection.send_data(1, b"0123456789abcdef", end_stream=True) == 6
    assert payload(server.written(), 1) == b"0123456789"
    assert server.connection.buffered(1) == 6
    assert server.send(window_update(1, 4)) == [(DATA, 0, 1, b"abcd")]
    assert ("window", 1) not in server.calls
    assert server.send(window_update(1, 100)) == [(DATA, END_STREAM, 1, b"ef")]
    assert server.calls[-1] == ("window", 1)
    assert server.connection.open_streams == 0


def test_data_waits_for_the_connections_window_and_streams_take_turns() -> None:
    server = make_server()
    server.send(settings(initial_window_size=1_000_000), server.headers(1, GET), server.headers(3, GET))
    for stream_id in (1, 3):
        server.connection.send_response(stream_id, 200, {}, end_stream=False)
        server.connection.send_data(stream_id, bytes(80_000), end_stream=True)
    assert len(payload(server.written(), 1)) == 65_535
    written = server.send(window_update(0, 64_000))
    assert {len(payload(written, 1)), len(payload(written, 3))} == {14_465, 49_535}
    assert [found.stream_id for found in written][:2] == [1, 3]
    written = server.send(window_update(0, 100_000))
    assert len(payload(written, 3)) == 80_000 - 49_535
    assert [call[1] for call in server.calls if call[0] == "window"] == [1, 3]


def test_the_stream_that_went_last_waits_for_the_others() -> None:
    server = make_server()
    server.send(settings(initial_window_size=1_000_000), *[server.headers(stream_id, GET) for stream_id in (1, 3, 5)])
    server.connection.pause_writing()
    for stream_id in (1, 3, 5):
        server.connection.send_response(stream_id, 200, {}, end_stream=False)
        server.connection.send_data(stream_id, bytes(100_000), end_stream=True)
    server.connection.resume_writing()
    assert [found.stream_id for found in server.written() if found.kind == DATA] == [1, 3, 5, 1]
    assert [server.send(window_update(0, 10_000))[0].stream_id for _ in range(4)] == [3, 5, 1, 3]


def test_a_stream_whose_own_window_is_shut_is_not_looked_at_when_the_connections_opens() -> None:
    server = make_server()
    server.send(settings(initial_window_size=1), *[server.headers(stream_id, GET) for stream_id in range(1, 101, 2)])
    for stream_id in range(1, 101, 2):
        server.connection.send_response(stream_id, 200, {}, end_stream=False)
        server.connection.send_data(stream_id, b"abc", end_stream=True)
    server.written()
    assert not server.connection._outbox.blocked
    assert server.send(window_update(0, 1_000)) == []
    written = server.send(settings(initial_window_size=10))
    assert [found.payload for found in written if found.kind == DATA] == [b"bc"] * 50
    assert server.connection.open_streams == 0


def test_an_end_without_data_waits_for_the_data_before_it_only(server: Scripted) -> None:
    server.send(settings(initial_window_size=3), server.headers(1, GET))
    server.connection.send_response(1, 200, {}, end_stream=False)
    server.connection.send_data(1, b"abcdef", end_stream=False)
    server.connection.send_data(1, b"", end_stream=True)
    server.written()
    assert server.send(window_update(1, 3)) == [(DATA, END_STREAM, 1, b"def")]


def test_frames_are_as_long_as_the_peer_allows(server: Scripted) -> None:
    server.send(settings(max_frame_size=20_000), server.headers(1, GET))
    server.connection.send_response(1, 200, {}, end_stream=False)
    server.connection.send_data(1, bytes(45_000), end_stream=True)
    assert [len(found.payload) for found in server.written() if found.kind == DATA] == [20_000, 20_000, 5_000]


def test_a_smaller_initial_window_may_leave_a_stream_in_debt(server: Scripted) -> None:
    server.send(settings(initial_window_size=10), server.headers(1, GET))
    server.connection.send_response(1, 200, {}, end_stream=False)
    server.connection.send_data(1, b"0123456789abcdef", end_stream=True)
    server.written()
    assert server.send(settings(initial_window_size=4)) == [(SETTINGS, ACK, 0, b"")]  # at -6 now
    assert server.send(window_update(1, 6)) == []
    assert server.send(window_update(1, 1)) == [(DATA, 0, 1, b"a")]


def test_a_larger_initial_window_lets_waiting_data_go(server: Scripted) -> None:
    server.send(settings(initial_window_size=0), server.headers(1, GET))
    server.connection.send_response(1, 200, {}, end_stream=False)
    server.connection.send_data(1, b"abc", end_stream=True)
    assert [found.kind for found in server.written()] == [HEADERS]
    assert (DATA, END_STREAM, 1, b"abc") in server.send(settings(initial_window_size=100))


def test_an_initial_window_that_overflows_a_stream_ends_the_connection(server: Scripted) -> None:
    server.send(server.headers(1, POST, END_HEADERS), window_update(1, 2**31 - 1 - 65_535))
    assert server.fault(settings(initial_window_size=65_536)) == FLOW_CONTROL


def test_an_empty_end_needs_no_window(server: Scripted) -> None:
    server.send(settings(initial_window_size=0), server.headers(1, GET))
    server.connection.send_response(1, 200, {}, end_stream=False)
    assert server.connection.send_data(1, b"", end_stream=True) == 0
    assert server.written()[-1] == (DATA, END_STREAM, 1, b"")


def test_trailers_wait_behind_the_data_that_waits(server: Scripted) -> None:
    server.send(settings(initial_window_size=2), server.headers(1, GET))
    server.connection.send_response(1, 200, {}, end_stream=False)
    server.connection.send_data(1, b"abc", end_stream=False)
    server.connection.send_trailers(1, fields(grpc_status="0"))
    assert server.written()[-1] == (DATA, 0, 1, b"ab")
    data, trailers = server.send(window_update(1, 5))
    assert data == (DATA, 0, 1, b"c")
    assert (trailers.kind, trailers.flags) == (HEADERS, END_HEADERS | END_STREAM)
    assert server.connection.open_streams == 0


def test_while_the_transport_is_full_data_waits_and_heads_do_not(server: Scripted) -> None:
    server.send(server.headers(1, GET))
    server.connection.pause_writing()
    server.connection.send_response(1, 200, {}, end_stream=False)
    assert server.connection.send_data(1, b"abc", end_stream=True) == 3
    assert [found.kind for found in server.written()] == [HEADERS]
    server.connection.resume_writing()
    assert server.written() == [(DATA, END_STREAM, 1, b"abc")]
    assert server.calls[-1] == ("window", 1)


def test_what_waits_of_a_reset_stream_is_never_sent(server: Scripted) -> None:
    server.send(settings(initial_window_size=0), server.headers(1, GET))
    server.connection.send_response(1, 200, {}, end_stream=False)
    server.connection.send_data(1, b"abc", end_stream=True)
    server.send(rst(1))
    assert server.send(settings(initial_window_size=100)) == [(SETTINGS, ACK, 0, b"")]
    assert server.connection.buffered(1) == 0


def test_nothing_is_sent_on_a_stream_that_is_gone_or_has_ended(server: Scripted) -> None:
    server.send(server.headers(1, GET), server.headers(3, POST, END_HEADERS))
    server.connection.send_response(1, 200, {}, end_stream=True)
    server.connection.send_response(3, 200, {}, end_stream=True)
    server.written()
    for stream_id in (1, 3, 5):
        server.connection.send_response(stream_id, 200, {}, end_stream=True)
        server.connection.send_trailers(stream_id, fields(a="b"))
        assert server.connection.send_data(stream_id, b"x", end_stream=False) == 0
    server.connection.reset(5, CANCEL)
    assert server.written() == []


# --- what we receive


def test_the_windows_open_for_what_is_consumed_and_not_before() -> None:
    server = make_server(initial_stream_window_bytes=1_000, connection_window_bytes=100_000)
    server.send(frame(SETTINGS, ACK), server.headers(1, POST, END_HEADERS))
    assert server.send(frame(DATA, 0, 1, bytes(1_000))) == []
    server.connection.consume(1, 400)
    assert server.written() == []
    server.connection.consume(1, 100)
    assert increments(server.written(), 1) == [500]
    server.connection.consume(1, 10_000)  # more than there is
    assert increments(server.written(), 1) == [500]


def test_the_connections_window_opens_too() -> None:
    server = make_server(connection_window_bytes=70_000, initial_stream_window_bytes=70_000)
    server.send(server.headers(1, POST, END_HEADERS), frame(DATA, 0, 1, bytes(16_000)), frame(DATA, 0, 1, bytes(16_000)))
    server.connection.consume(1, 32_000)
    assert increments(server.written(), 0) == []
    server.send(frame(DATA, 0, 1, bytes(4_000)))
    server.connection.consume(1, 4_000)
    assert increments(server.written(), 0) == [36_000]


def test_more_than_the_streams_window_resets_the_stream() -> None:
    server = make_server(initial_stream_window_bytes=100)
    server.send(frame(SETTINGS, ACK), server.headers(1, POST, END_HEADERS))
    assert server.stream_fault(1, frame(DATA, 0, 1, bytes(101))) == FLOW_CONTROL


def test_until_settings_are_acknowledged_the_default_window_holds() -> None:
    server = Scripted(client=False, initial_stream_window_bytes=100)
    server.send(PREFACE, settings(), server.headers(1, POST, END_HEADERS), frame(DATA, 0, 1, bytes(15_000)))
    assert server.names() == ["request", "data"]


def test_more_than_the_connections_window_ends_the_connection() -> None:
    server = make_server(initial_stream_window_bytes=200_000, connection_window_bytes=70_000)
    server.send(*[server.headers(stream_id, POST, END_HEADERS) for stream_id in (1, 3)])
    full = frame(DATA, 0, 1, bytes(16_000)) * 4
    server.send(full)
    assert server.fault(frame(DATA, 0, 3, bytes(6_001))) == FLOW_CONTROL


def test_padding_counts_and_is_given_back_at_once() -> None:
    server = make_server(initial_stream_window_bytes=400)
    server.send(frame(SETTINGS, ACK), server.headers(1, POST, END_HEADERS))
    written = server.send(frame(DATA, PADDED, 1, b"\xfaabc" + bytes(250)))
    assert increments(written, 1) == [251]


def test_what_a_dead_stream_held_is_given_back_to_the_connection() -> None:
    server = make_server(initial_stream_window_bytes=70_000, connection_window_bytes=70_000)
    for stream_id in range(1, 19, 2):  # nine times half of the window
        server.send(server.headers(stream_id, POST, END_HEADERS), *[frame(DATA, 0, stream_id, bytes(9_000))] * 4)
        server.send(rst(stream_id)) if stream_id % 4 == 1 else server.connection.reset(stream_id, CANCEL)
        server.connection.consume(stream_id, 36_000)  # too late, and no harm
    assert not server.connection.over


def test_data_on_a_stream_we_reset_is_passed_over_and_given_back() -> None:
    server = make_server(connection_window_bytes=70_000)
    server.send(server.headers(1, POST, END_HEADERS))
    server.connection.reset(1, CANCEL)
    assert server.written() == [(RST_STREAM, 0, 1, CANCEL.to_bytes(4, "big"))]
    written = [found for _ in range(20) for found in server.send(frame(DATA, 0, 1, bytes(16_000)))]
    assert sum(increments(written, 0)) > 250_000
    server.send(server.headers(1, [("x", "trailers")]), window_update(1, 5), rst(1))
    assert server.names() == ["request"]
    assert not server.connection.over


# --- states


def test_a_frame_behind_the_end_of_a_stream_resets_it(server: Scripted) -> None:
    server.send(server.headers(1, GET))
    assert server.stream_fault(1, frame(DATA, 0, 1, b"x")) == STREAM_CLOSED
    assert server.calls[-1] == ("reset", 1, STREAM_CLOSED)
    server.send(server.headers(3, GET))
    assert server.stream_fault(3, server.headers(3, [("x", "y")])) == STREAM_CLOSED


def test_a_reset_by_the_peer_is_told(server: Scripted) -> None:
    server.send(server.headers(1, POST, END_HEADERS), rst(1, CANCEL))
    assert server.calls[-1] == ("reset", 1, CANCEL)
    assert server.connection.open_streams == 0


def test_a_server_that_has_answered_may_stop_the_rest_of_the_request(client: Scripted) -> None:
    client.connection.send_request("POST", "/", "a", {}, end_stream=False)
    client.send(client.headers(1, OK), rst(1, 0))
    assert client.calls == [("response", 1, 200, {}, True), ("reset", 1, 0)]


def test_streams_that_were_passed_by_are_idle_no_more(server: Scripted) -> None:
    server.send(server.headers(5, GET))
    assert server.fault(frame(DATA, 0, 3, b"x")) == PROTOCOL


def test_handlers_may_answer_reset_and_consume_from_within(server: Scripted) -> None:
    connection = server.connection

    def on_request(stream_id: int, head: object, end_stream: bool) -> None:
        connection.send_response(stream_id, 200, {}, end_stream=False)
        connection.reset(stream_id, CANCEL)

    server.handler.on_request = on_request
    written = server.send(server.headers(1, POST, END_HEADERS), frame(DATA, END_STREAM, 1, b"x"))
    assert [found.kind for found in written] == [HEADERS, RST_STREAM]


# --- how many at a time


def test_more_streams_than_allowed_are_refused_and_the_others_go_on() -> None:
    server = make_server(max_concurrent_streams=2)
    server.send(server.headers(1, POST, END_HEADERS), server.headers(3, POST, END_HEADERS))
    assert server.stream_fault(5, server.headers(5, [*POST, ("x-indexed", "a")], END_HEADERS)) == REFUSED
    assert server.names() == ["request", "request"]
    server.send(rst(1), server.headers(7, [*POST, ("x-indexed", "a")], END_HEADERS))
    assert server.calls[-1][2].fields["x-indexed"][0] == "a"  # the table is right still


def test_a_client_opens_no_more_than_the_server_allows() -> None:
    client = make_client()
    client.send(settings(max_concurrent_streams=1))
    connection = client.connection
    assert connection.send_request("GET", "/", "a", {}, end_stream=True) == 1
    assert not connection.can_open
    assert connection.send_request("GET", "/", "a", {}, end_stream=True) is None
    client.send(client.headers(1, OK))
    assert client.names() == ["response", "available"] or client.names() == ["available", "response"]
    assert connection.send_request("GET", "/", "a", {}, end_stream=True) == 3
    assert connection.send_request("GET", "/", "a", {}, end_stream=True) is None
    client.send(settings(max_concurrent_streams=2))
    assert client.names()[-1] == "available"


def test_before_settings_came_a_client_opens_a_hundred() -> None:
    client = Scripted(client=True)
    opened = [client.connection.send_request("GET", "/", "a", {}, end_stream=True) for _ in range(101)]
    assert opened[99:] == [199, None]
    client.send(settings())
    assert client.calls == [("available",)]


# --- going away


def test_a_server_that_drains_says_so_twice(server: Scripted) -> None:
    server.send(server.headers(1, POST, END_HEADERS))
    server.connection.drain()
    assert server.written() == [(GOAWAY, 0, 0, (2**31 - 1).to_bytes(4, "big") + bytes(4))]
    server.send(server.headers(3, GET))
    assert server.names() == ["request", "request"]
    server.connection.goaway()
    assert (GOAWAY, 0, 0, (3).to_bytes(4, "big") + bytes(4)) in server.written()
    server.send(
        server.headers(5, [*POST, ("x-indexed", "a")], END_HEADERS), frame(DATA, END_STREAM, 5, b"x"), server.headers(5, [("a", "b")])
    )
    assert server.names() == ["request", "request"]
    server.send(frame(DATA, END_STREAM, 1, b"x"))
    assert server.calls[-1] == ("data", 1, b"x", True)
    assert not server.connection.over


def test_streams_above_a_servers_goaway_are_refused_and_the_others_go_on(client: Scripted) -> None:
    for _ in range(3):
        client.connection.send_request("GET", "/", "a", {}, end_stream=True)
    client.send(frame(GOAWAY, 0, 0, (1).to_bytes(4, "big") + bytes(4)))
    assert client.calls == [("goaway", 1, 0), ("reset", 3, REFUSED), ("reset", 5, REFUSED)]
    assert not client.connection.can_open
    assert client.connection.send_request("GET", "/", "a", {}, end_stream=True) is None
    client.send(client.headers(1, OK))
    assert client.calls[-1] == ("response", 1, 200, {}, True)
    assert "available" not in client.names()


def test_a_first_goaway_of_all_streams_refuses_none(client: Scripted) -> None:
    client.connection.send_request("GET", "/", "a", {}, end_stream=True)
    client.send(frame(GOAWAY, 0, 0, (2**31 - 1).to_bytes(4, "big") + bytes(4)))
    assert client.calls == [("goaway", 2**31 - 1, 0)]
    client.send(frame(GOAWAY, 0, 0, (0).to_bytes(4, "big") + bytes(4)))
    assert client.calls[1:] == [("goaway", 0, 0), ("reset", 1, REFUSED)]


@pytest.mark.parametrize("frames_of_one", [1, 2, 3])
def test_a_client_reads_answers_of_many_streams_mixed(client: Scripted, frames_of_one: int) -> None:
    ids = [client.connection.send_request("GET", "/", "a", {}, end_stream=True) for _ in range(3)]
    client.send(*[client.headers(stream_id or 0, OK, END_HEADERS) for stream_id in reversed(ids)])
    for last in range(frames_of_one):
        flags = END_STREAM if last == frames_of_one - 1 else 0
        client.send(*[frame(DATA, flags, stream_id or 0, b"x") for stream_id in ids])
    assert client.connection.open_streams == 0
