"""A TLS client's first message, as real clients send it and as nobody should."""

import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.sidecar.wire import client_hello
from mesh.sidecar.wire.client_hello import ClientHello, NotTls


def hello(name="reviews.test", protocols=()):
    context = ssl.create_default_context()
    context.check_hostname = False
    if protocols:
        context.set_alpn_protocols(list(protocols))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(("name", "protocols"), [("reviews.test", ("h2", "http/1.1")), ("A.Test", ()), (None, ("istio",))])
def test_a_real_clients_wishes_are_read(name, protocols):
    assert client_hello.read(hello(name, protocols)) == ClientHello((name or "").lower(), protocols)


def test_until_all_of_it_is_here_nothing_is_said():
    data = hello()
    assert all(client_hello.read(data[:length]) is None for length in range(len(data)))


def test_a_message_in_many_records_is_one():
    message = hello(protocols=("h2",))[5:]
    records = b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in (message[:1], message[1:100], message[100:]))
    assert client_hello.read(records).application_protocols == ("h2",)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x02",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x17",
        b"\x16\x03\x01\xff\xff" + b"x" * 70_000,
    ],
)
def test_what_is_no_tls_is_told_at_once(data):
    with pytest.raises(NotTls):
        client_hello.read(data)


@given(st.binary(max_size=300), st.integers(0, 250), st.binary(max_size=4))
def test_no_bytes_make_it_fail_otherwise(garbage, at, change):
    data = hello()
    for attempt in (garbage, data[:at] + change + data[at + len(change) :], b"\x16\x03\x01" + len(garbage).to_bytes(2, "big") + garbage):
        with contextlib.suppress(NotTls):
            client_hello.read(attempt)
