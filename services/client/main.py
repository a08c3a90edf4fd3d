"""The traffic client: open loop, so a slow answer does not slow the next question down."""

import argparse
import asyncio
import itertools
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

MOST_IN_FLIGHT = 1000


class Tally:
    """What came back: since the last line, and in all."""

    def __init__(self) -> None:
        self.ok = 0
        self.failures: Counter[str] = Counter()
        self.failed_in_all = 0

    def add(self, outcome: str) -> None:
        if outcome.isdigit() and int(outcome) < 400:
            self.ok += 1
        else:
            self.failures[outcome] += 1
            self.failed_in_all += 1

    def line(self, second: int) -> str:
        """The line for this second; the next one counts from zero."""
        kinds = "".join(f" {kind}={count}" for kind, count in sorted(self.failures.items()))
        line = f"{second:>5} s  ok={self.ok} failed={self.failures.total()}{kinds}"
        self.ok = 0
        self.failures.clear()
        return line


def main(argv: Sequence[str] | None = None) -> int:
    """0 when nothing failed, 1 when something did."""
    arguments = _arguments(argv)
    try:
        return asyncio.run(_run(arguments))
    except KeyboardInterrupt:
        return 130


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.client", description=__doc__)
    url = os.environ.get("TARGET_URL")
    parser.add_argument("--url", default=url, required=url is None, help="what to call [TARGET_URL]")
    parser.add_argument("--rps", type=_positive, default=os.environ.get("RPS", "5"), help="calls a second [RPS] (5)")
    parser.add_argument("--header", type=_header, action="append", default=[], metavar="NAME:VALUE", help="repeatable")
    parser.add_argument("--duration", type=_positive, default=None, metavar="SECONDS", help="until interrupted if not given")
    parser.add_argument("--timeout", type=_positive, default=15.0, metavar="SECONDS", help="of one call (15)")
    return parser.parse_args(argv)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not (colon and name.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is not name:value")
    return name.strip(), value.strip()


async def _run(arguments: argparse.Namespace) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    timeout = ClientTimeout(total=arguments.timeout)
    connector = TCPConnector(limit=0)
    async with ClientSession(
        connector=connector, cookie_jar=DummyCookieJar(), trust_env=True, headers=arguments.header, timeout=timeout
    ) as session:
        return await _drive(session, arguments, stopped)


async def _drive(session: ClientSession, arguments: argparse.Namespace, stopped: asyncio.Event) -> int:
    tally = Tally()
    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        reporter = group.create_task(_report(tally, begin))
        running: set[asyncio.Task[None]] = set()
        for due in _due(begin, arguments.rps, arguments.duration):
            if await _stopped_before(due, stopped):
                break
            if len(running) >= MOST_IN_FLIGHT:
                tally.add("not-sent")
                continue
            task = group.create_task(_call(session, arguments.url, tally))
            running.add(task)
            task.add_done_callback(running.discard)
        if stopped.is_set():
            for task in running:
                task.cancel()
        elif running:
            await asyncio.wait(running)
        reporter.cancel()
    _print(tally.line(round(time.perf_counter() - begin)))
    return 1 if tally.failed_in_all else 0


def _due(begin: float, rps: float, duration: float | None) -> Iterator[float]:
    """When each call is to start."""
    return (begin + turn / rps for turn in (itertools.count() if duration is None else range(round(duration * rps))))


async def _stopped_before(due: float, stopped: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(due - time.perf_counter()):
            await stopped.wait()
    except TimeoutError:
        return False
    return True


async def _report(tally: Tally, begin: float) -> None:
    for second in itertools.count(1):
        await asyncio.sleep(begin + second - time.perf_counter())
        _print(tally.line(second))


async def _call(session: ClientSession, url: str, tally: Tally) -> None:
    try:
        async with session.get(url, allow_redirects=False) as response:
            await response.read()
            tally.add(str(response.status))
    except TimeoutError:
        tally.add("timeout")
    except (ClientError, OSError, ValueError) as error:
        tally.add(type(error).__name__)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
