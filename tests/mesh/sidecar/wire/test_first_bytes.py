"""What the first bytes of a connection say of its protocol."""

import pytest

from mesh.sidecar.wire.first_bytes import PREFACE, protocol


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", None),
        (b"GE", None),
        (b"GET /", None),
        (b"GET / HTTP/1.1\r\n", "http/1.1"),
        (b"BREW / HTTP/1.0\r\nhost: a\r\n\r\n", "http/1.0"),
        (b"GET / HTTP/3.1\r\n", ""),
        (b"get / HTTP/1.1\r\n", ""),
        (b"EHLO\r\n", ""),
        (b"\x00\x00", ""),
        (PREFACE[:10], None),
        (PREFACE, "h2c"),
        (PREFACE + b"more", "h2c"),
        (b"PRIX", None),
        (b"PRI * HTTP/2.1\r\n", ""),
        (b"A" * 40, ""),
    ],
)
def test_http_is_told_from_the_rest(data, found):
    assert protocol(data) == found
