"""Peers that break no rule, too often: what they may, and the code with which they are hung up on."""

import pytest
from scripted_peer import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GET,
    HEADERS,
    OK,
    PING,
    POST,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    Scripted,
    fields,
    frame,
    make_client,
    make_server,
    rst,
    settings,
    window_update,
)

CALM = 11


def until_over(server: Scripted, *data: bytes, at_most: int) -> int:
    """How often it took these bytes until the connection was over."""
    for count in range(at_most):
        server.send(*data)
        if server.connection.over:
            assert server.calls[-1] == ("error", CALM)
            return count + 1
    return at_most + 1


def resets_until_over(server: Scripted, *, seconds_between: float = 0.0, at_most: int = 1_000) -> int:
    for count in range(at_most):
        stream_id = 2 * count + 1
        server.send(server.headers(stream_id, GET), rst(stream_id))
        server.clock.now += seconds_between
        if server.connection.over:
            return count + 1
    return at_most + 1


# --- rapid reset (H08), MadeYouReset (H09)


def test_rapid_resets_are_cut_off_at_250(server: Scripted) -> None:
    assert resets_until_over(server) == 250
    assert server.calls[-1] == ("error", CALM)
    assert server.names().count("reset") == 250  # and all the work for them was told to stop


def test_resets_now_and_then_are_what_clients_do(server: Scripted) -> None:
    assert resets_until_over(server, seconds_between=0.2) == 1_001


def test_resets_among_as_many_answers_are_what_clients_do(server: Scripted) -> None:
    for count in range(1_000):
        stream_id = 4 * count + 1
        server.send(server.headers(stream_id, GET), rst(stream_id), server.headers(stream_id + 2, GET))
        server.connection.send_response(stream_id + 2, 200, {}, end_stream=True)
    assert not server.connection.over


@pytest.mark.parametrize("provoke", ["malformed", "window", "closed"])
def test_resets_that_the_peer_provokes_are_counted_as_its_own(server: Scripted, provoke: str) -> None:
    for count in range(1_000):
        stream_id = 2 * count + 1
        if provoke == "malformed":
            server.send(server.headers(stream_id, [*GET, ("connection", "close")]))
        elif provoke == "window":
            server.send(server.headers(stream_id, GET), window_update(stream_id, 2**31 - 1))
        else:
            server.send(server.headers(stream_id, GET), frame(DATA, 0, stream_id, b"x"))
        if server.connection.over:
            assert count + 1 == 250
            return
    pytest.fail("never hung up on")


def test_a_server_may_reset_as_it_likes() -> None:
    client = make_client()
    for _ in range(500):
        stream_id = client.connection.send_request("GET", "/", "a", {}, end_stream=True)
        client.send(rst(stream_id or 0, 2))
    assert not client.connection.over


# --- CONTINUATION (H10)


def test_continuations_are_cut_off_at_64_kib(server: Scripted) -> None:
    server.send(frame(HEADERS, END_STREAM, 1, server.block(GET)))
    assert until_over(server, frame(CONTINUATION, 0, 1, bytes(8_192)), at_most=20) == 8


def test_empty_continuations_are_cut_off_at_64(server: Scripted) -> None:
    server.send(frame(HEADERS, END_STREAM, 1, server.block(GET)))
    assert until_over(server, frame(CONTINUATION, 0, 1), at_most=100) == 64


# --- frames that bring nothing (H11, H12)

IDLE = {
    "PING": frame(PING, payload=bytes(8)),
    "PING answered before it was asked": frame(PING, ACK, 0, bytes(8)),
    "SETTINGS": settings(initial_window_size=1_000),
    "SETTINGS acknowledged": frame(SETTINGS, ACK),
    "PRIORITY": frame(PRIORITY, 0, 3, bytes(5)),
    "PRIORITY of an idle stream": frame(PRIORITY, 0, 2001, bytes(5)),
    "WINDOW_UPDATE": window_update(0, 1),
    "WINDOW_UPDATE of a stream": window_update(1, 1),
    "empty DATA": frame(DATA, 0, 1),
    "DATA of padding": frame(DATA, 8, 1, b"\x04abcd"),
    "unknown": frame(0xBB, 0, 0, b"x"),
    "RST_STREAM of a closed stream": rst(3),
}


@pytest.mark.parametrize("name", IDLE)
def test_frames_that_bring_nothing_are_cut_off(name: str) -> None:
    server = make_server()
    server.send(server.headers(1, POST, END_HEADERS), server.headers(3, POST, END_HEADERS), rst(3))
    assert 900 < until_over(server, IDLE[name], at_most=3_000) <= 1_010


@pytest.mark.parametrize("name", IDLE)
def test_they_may_come_now_and_then(name: str) -> None:
    server = make_server()
    server.send(server.headers(1, POST, END_HEADERS), server.headers(3, POST, END_HEADERS), rst(3))
    for _ in range(3_000):
        server.clock.now += 0.02
        server.send(IDLE[name])
    assert not server.connection.over


def test_a_long_silence_earns_no_more_than_there_was_at_first(server: Scripted) -> None:
    server.clock.now += 1_000_000.0
    assert until_over(server, frame(PING, payload=bytes(8)), at_most=10_000) <= 2_010


def test_window_updates_for_what_was_sent_are_no_flood(server: Scripted) -> None:
    server.send(server.headers(1, GET))
    server.connection.send_response(1, 200, {}, end_stream=False)
    for _ in range(5_000):
        server.connection.send_data(1, b"x" * 10, end_stream=False)
        server.send(window_update(0, 10), window_update(1, 10), frame(PING, payload=bytes(8)))
    assert not server.connection.over


def test_pings_that_measure_what_comes_are_no_flood(server: Scripted) -> None:
    server.send(server.headers(1, POST, END_HEADERS))
    for _ in range(5_000):
        server.send(frame(DATA, 0, 1, b"x"), frame(PING, payload=bytes(8)))
    assert not server.connection.over


def test_answers_to_a_peer_that_does_not_read_are_not_kept_without_end() -> None:
    server = make_server(idle_frame_burst=100_000, max_queued_control_frames=1_000)
    server.connection.pause_writing()
    assert until_over(server, frame(PING, payload=bytes(8)), at_most=3_000) == 1_001
    server = make_server(idle_frame_burst=100_000, max_queued_control_frames=1_000)
    assert until_over(server, frame(PING, payload=bytes(8)) * 500, at_most=20) == 21  # it reads


def test_so_in_one_piece() -> None:
    server = make_server(idle_frame_burst=100_000, max_queued_control_frames=1_000)
    assert server.fault(frame(PING, payload=bytes(8)) * 1_001) == CALM


def test_refused_streams_are_counted() -> None:
    server = make_server(max_concurrent_streams=1)
    server.send(server.headers(1, POST, END_HEADERS))
    for count in range(20_000):
        server.send(server.headers(2 * count + 3, GET))
        if server.connection.over:
            return
    pytest.fail("never hung up on")


# --- heads too large (H13)


def test_a_bomb_of_one_entry_is_answered_with_431_or_hung_up_on(server: Scripted) -> None:
    server.send(server.headers(1, [*GET, ("x-bomb", "b" * 3_900)]))
    index = server.encoder.encode([("x-bomb", "b" * 3_900)])
    assert len(index) == 1
    server.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, server.block(GET) + index * 30))
    assert server.calls[-1] == ("too large", 3)
    server.send(server.headers(5, [*GET, ("x", "y")]))
    assert server.calls[-1][:2] == ("request", 5)  # the table is right still
    assert server.fault(frame(HEADERS, END_HEADERS | END_STREAM, 7, server.block(GET) + index * 12_000)) == 9


@pytest.mark.parametrize("stateless", [False, True])
@pytest.mark.parametrize("more", [[("x", "v" * 61_500)], [(f"x-{number}", "v") for number in range(97)]])
def test_a_head_too_large_is_the_handlers_to_answer(stateless: bool, more: list[tuple[str, str]]) -> None:
    server = make_server()
    if stateless:
        server.become_stateless()
    block = server.block([*POST, *more])
    pieces = [block[at : at + 16_000] for at in range(0, len(block), 16_000)]
    server.send(
        frame(HEADERS, 0, 7, pieces[0]), *[frame(CONTINUATION, 0, 7, piece) for piece in pieces[1:]], frame(CONTINUATION, END_HEADERS, 7)
    )
    assert server.calls == [("too large", 7)]
    server.send(frame(DATA, 0, 7, b"dropped"), server.headers(7, [("a", "b")]))
    server.connection.send_response(7, 431, {}, end_stream=True)
    assert server.decoded(next(found for found in server.written() if found.kind == HEADERS)) == [(":status", "431")]
    assert server.connection.open_streams == 0
    assert server.names() == ["too large"]


def test_a_head_just_small_enough_arrives(server: Scripted) -> None:
    server.send(server.headers(1, [*GET, *[(f"x-{number}", "v") for number in range(96)]]))
    assert server.names() == ["request"]


def test_an_answer_too_large_resets_its_stream(client: Scripted) -> None:
    client.connection.send_request("GET", "/", "a", {}, end_stream=True)
    assert client.stream_fault(1, client.headers(1, [*OK, *[(f"x-{number}", "v") for number in range(100)]])) == CALM


def test_a_static_bomb_is_not_read_to_its_end(server: Scripted) -> None:
    server.become_stateless()
    server.send(frame(HEADERS, END_HEADERS | END_STREAM, 7, server.block(GET) + b"\x90" * 16_000))
    assert server.calls == [("too large", 7)]


# --- peers that do not take what they asked for (H15)


def test_a_peer_that_never_opens_its_window_is_owed_what_its_source_brought_and_no_more(server: Scripted) -> None:
    server.send(settings(initial_window_size=0), server.headers(1, GET))
    server.connection.send_response(1, 200, {}, end_stream=False)
    assert server.connection.send_data(1, bytes(70_000), end_stream=False) == 70_000  # here its source stops
    assert [found.kind for found in server.written()] == [HEADERS]
    server.send(rst(1))
    assert server.connection.buffered(1) == 0


def test_windows_of_one_byte_cost_a_frame_each_and_nothing_is_lost(server: Scripted) -> None:
    server.send(settings(initial_window_size=1), server.headers(1, GET))
    server.connection.send_response(1, 200, fields(a="b"), end_stream=False)
    server.connection.send_data(1, b"abcdef" * 500, end_stream=True)
    got = b"".join(found.payload for found in server.written() if found.kind == DATA)
    while server.connection.open_streams:
        got += b"".join(found.payload for found in server.send(window_update(1, 1)) if found.kind == DATA)
    assert got == b"abcdef" * 500
    assert RST_STREAM not in [found.kind for found in server.written()]
