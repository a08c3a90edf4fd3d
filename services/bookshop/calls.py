"""Calls from one service of the shop to another: pooled connections and one question, "the JSON at this address, please".

aiohttp, because a page makes several calls and each costs it a tenth of what httpx takes.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

KEEP_ALIVE_SECONDS = 30


class Answer(NamedTuple):
    """``status`` is None when no answer came: refused, cut off, or too late."""

    status: int | None
    body: Any


class Peer:
    """One service that is called: where it is, the proxy on the way if the environment names one, how long it may take.

    The time-out is per step (connect, each read), as in the libraries that Bookinfo uses.
    """

    def __init__(self, environment: Mapping[str, str], url: str, timeout_seconds: float) -> None:
        self.url = url.rstrip("/")
        self.timeout = ClientTimeout(total=None, sock_connect=timeout_seconds, sock_read=timeout_seconds)
        self.proxy = None if _bypassed(urlsplit(url).hostname or "", environment) else environment.get("HTTP_PROXY") or None


def _bypassed(host: str, environment: Mapping[str, str]) -> bool:
    """NO_PROXY as everybody reads it: names, their subdomains, or ``*``."""
    names = [name.strip().lstrip(".") for name in environment.get("NO_PROXY", "").split(",") if name.strip()]
    return any(name in ("*", host) or host.endswith(f".{name}") for name in names)


class Calls:
    """The connections of one service to its peers; an async context manager, opened where the event loop runs."""

    _session: ClientSession

    async def __aenter__(self) -> Self:
        self._session = ClientSession(
            connector=TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS),
            cookie_jar=DummyCookieJar(),  # a shop's cookies are its visitors', never its own
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._session.close()

    async def fetch(self, peer: Peer, path: str, headers: Mapping[str, str]) -> Answer:
        """One try; ``path`` is quoted already."""
        try:
            url = URL(peer.url + path, encoded=True)
            async with self._session.get(url, headers=headers, timeout=peer.timeout, proxy=peer.proxy) as response:
                return Answer(response.status, await response.json() if response.status == 200 else None)
        except (ClientError, TimeoutError, ValueError):
            return Answer(None, None)
