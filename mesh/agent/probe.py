"""Asks the app whether it is well, as Kubernetes' readiness probe would. Istio: pkg/istio-agent/health.

Until the first good answer it asks often, so that a start is seen at once; then once a second, and two failures in a row are needed to
call the app unhealthy.
"""

import asyncio
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

EAGER_SECONDS: Final = 0.02
PERIOD_SECONDS: Final = 1.0
TIMEOUT_SECONDS: Final = 1.0
FAILURES: Final = 2


async def ask(url: str) -> str | None:
    """One question: None is well, else what went wrong."""
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                if parts.scheme == "tcp":
                    return None
                head = f"GET {parts.path or '/'} HTTP/1.1\r\nhost: {host}:{port}\r\nuser-agent: seatrial-probe\r\nconnection: close\r\n\r\n"
                writer.write(head.encode())
                line = await reader.readline()
            finally:
                writer.close()
    except TimeoutError:
        return f"{url}: no answer within {TIMEOUT_SECONDS:g} s"
    except (OSError, ValueError) as error:
        return f"{url}: {error}"
    return _judge(url, line)


def _judge(url: str, line: bytes) -> str | None:
    fields = line.split()
    if len(fields) < 2 or not fields[1].isdigit():
        return f"{url}: no HTTP answer"
    return None if 200 <= int(fields[1]) < 400 else f"{url}: status {int(fields[1])}"


async def watch(url: str, report: Callable[[str | None], None]) -> None:
    """Reports every change, None for well; runs until cancelled. Without a url the app counts as well at once."""
    if not url:
        report(None)
        return
    healthy: bool | None = None
    failures = 0
    while True:
        problem = await ask(url)
        failures = failures + 1 if problem else 0
        if problem is None and healthy is not True:
            healthy = True
            report(None)
        elif problem is not None and healthy is not False and (failures >= FAILURES or healthy is None):
            healthy = False
            report(problem)
        eager = healthy is not True or failures > 0
        await asyncio.sleep(EAGER_SECONDS if eager and failures < 250 else PERIOD_SECONDS)
