"""Calls from one service of the shop to another: a pooled client and one question, "the JSON at this address, please"."""

import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx


class Answer(NamedTuple):
    """``status`` is None when no answer came: refused, cut off, or too late."""

    status: int | None
    body: Any


def open_client() -> httpx.AsyncClient:
    """HTTP_PROXY and NO_PROXY of the environment hold. The shop speaks plain HTTP, encrypting is the mesh's work: no CA is loaded."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=128, keepalive_expiry=30)
    return httpx.AsyncClient(limits=limits, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=True)


async def fetch(client: httpx.AsyncClient, url: str, headers: Mapping[str, str], timeout_seconds: float) -> Answer:
    """One try. The time-out is per step (connect, each read), as in the libraries that Bookinfo uses."""
    try:
        response = await client.get(url, headers=headers, timeout=timeout_seconds)
        return Answer(response.status_code, response.json() if response.status_code == httpx.codes.OK else None)
    except (httpx.HTTPError, ValueError):
        return Answer(None, None)
