"""The same over HTTP/2: a request on a connection of its own, by the ``h2`` library, which sends also what no client should."""

import contextlib
import socket
import time
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

from side_by_side.asking import GIVE_UP_SECONDS, Answer, Ask

FRAME_BYTES = 16_384


def client() -> H2Connection:
    unchecked = {"validate_outbound_headers": False, "normalize_outbound_headers": False}
    return H2Connection(H2Configuration(client_side=True, header_encoding="utf-8", **unchecked))


def exchange(address: tuple[str, int], ask: Ask, domain: str, key: str) -> tuple[Answer, str, float]:
    """The answer, our own address as the proxy sees it, and the seconds that it took."""
    began = time.monotonic()
    with socket.create_connection(address, timeout=GIVE_UP_SECONDS) as connection:
        own = "{}:{}".format(*connection.getsockname())
        h2 = client()
        h2.initiate_connection()
        _send(h2, ask, domain, key)
        connection.sendall(h2.data_to_send())
        return _read(connection, h2), own, time.monotonic() - began


def _send(h2: H2Connection, ask: Ask, domain: str, key: str) -> None:
    pseudo = {":method": ask.method, ":scheme": "http", ":path": ask.path, ":authority": ask.host or domain}
    given = dict(ask.headers)
    pseudo |= {name: value for name, value in given.items() if name.startswith(":")}
    fields = [("x-key", key), ("x-script", ask.script), *((name, value) for name, value in ask.headers if not name.startswith(":"))]
    head = [*((name, value) for name, value in pseudo.items() if value != "-"), *fields]
    h2.send_headers(1, head, end_stream=not ask.body and not ask.trailers)
    for at in range(0, len(ask.body), FRAME_BYTES):
        h2.send_data(1, ask.body[at : at + FRAME_BYTES], end_stream=not ask.trailers and at + FRAME_BYTES >= len(ask.body))
    if ask.trailers:
        h2.send_headers(1, ask.trailers, end_stream=True)


def _read(connection: socket.socket, h2: H2Connection) -> Answer:
    answer = Answer(whole=False)
    ended = False
    with contextlib.suppress(ConnectionError):
        while not ended:
            data = connection.recv(1 << 16)
            if not data:
                answer.closed = True
                break
            for event in h2.receive_data(data):
                ended = _take(event, answer) or ended
                if isinstance(event, DataReceived) and event.flow_controlled_length:
                    h2.acknowledge_received_data(event.flow_controlled_length, 1)
            connection.sendall(h2.data_to_send())
    return answer


def _take(event: Any, answer: Answer) -> bool:
    """Whether that was the end."""
    if isinstance(event, ResponseReceived):
        answer.headers = [(name, value) for name, value in event.headers if name != ":status"]
        answer.status = int(dict(event.headers)[":status"])
    elif isinstance(event, InformationalResponseReceived):
        answer.interim.append(int(dict(event.headers)[":status"]))
    elif isinstance(event, DataReceived):
        answer.body += event.data
    elif isinstance(event, TrailersReceived):
        answer.trailers = list(event.headers)
    elif isinstance(event, StreamEnded):
        answer.whole = True
    elif isinstance(event, StreamReset) and not answer.whole:
        answer.reset = int(event.error_code)
    elif isinstance(event, ConnectionTerminated):
        answer.closed = True
    return isinstance(event, StreamEnded | StreamReset | ConnectionTerminated)
