"""A port that does not say what it speaks: HTTP is found out and treated as such, everything else is passed on."""

import socket
from collections.abc import Iterator

import pytest

from lab import envoy_binary
from lab.lab import Lab

TOPOLOGY = """name: undeclared
ingress: web
services:
  web:
    ports: [{name: web, port: 8080}]
    module: services.echo
    readiness: /health
    versions: {v1: {}}
"""


@pytest.fixture(scope="module", params=["python", "envoy"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if request.param == "envoy" and envoy_binary.find() is None:
        pytest.skip("no Envoy here")
    folder = tmp_path_factory.mktemp("undeclared")
    (folder / "undeclared.yaml").write_text(TOPOLOGY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEATRIAL_HOME", str(folder / "home"))
        lab = Lab.up(folder / "undeclared.yaml", name=f"undeclared-{request.param}", runtime="local", dataplane=request.param)
        try:
            yield lab
        finally:
            lab.down()


def address(lab: Lab) -> tuple[str, int]:
    host, _, port = lab.url().removeprefix("http://").rstrip("/").rpartition(":")
    return host, int(port)


def test_http_is_served_as_http(lab: Lab) -> None:
    with lab.client() as client:
        answer = client.get("/x")
    assert (answer.status, answer.headers.get("server")) == (200, "istio-envoy") or "x-envoy-upstream-service-time" in answer.headers


def test_what_is_no_http_comes_to_the_app_as_it_is(lab: Lab) -> None:
    """A proxy that took it for HTTP would say 400 itself, with its own headers; here the app does."""
    with socket.create_connection(address(lab), timeout=10) as connection:
        connection.sendall(b"\x00\x01 what is this\r\n\r\n")
        answer = connection.recv(65536)
    assert b"Invalid HTTP request received." in answer
    assert b"envoy" not in answer
