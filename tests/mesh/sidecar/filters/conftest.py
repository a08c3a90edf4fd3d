"""A world that stands still for the filters: a clock the test moves, dice that fall as told, an upstream that answers as told."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from mesh.model.match import MatchKind, RouteMatch, StringMatch
from mesh.model.route import Route, RouteConfiguration, VirtualHost, WeightedCluster
from mesh.sidecar.filter import Body, Filter, Request, Reset, Response, Scope, local_reply

PREFIX = RouteMatch(StringMatch(MatchKind.PREFIX, "/"))


@dataclass
class FakeTimer:
    due: float
    callback: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class World:
    """Implements ``mesh.sidecar.filter.Context``."""

    now: float = 0.0
    own_address: str = "10.0.0.1"
    rolls: list[float] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    timers: list[FakeTimer] = field(default_factory=list)
    sent: list[tuple[str, Request]] = field(default_factory=list)
    tasks: set[asyncio.Task[object]] = field(default_factory=set)
    send_answer: Callable[[], Any] | None = None

    def clock(self) -> float:
        return self.now

    def dice(self) -> float:
        return self.rolls.pop(0)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> FakeTimer:
        self.timers.append(FakeTimer(self.now + seconds, callback))
        return self.timers[-1]

    @property
    def running(self) -> list[float]:
        return [timer.due - self.now for timer in self.timers if not timer.cancelled]

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for timer in [timer for timer in self.timers if timer.due <= self.now and not timer.cancelled]:
            timer.cancelled = True
            timer.callback()

    def pool(self, cluster: str) -> None:
        """No cluster has limits here."""

    def background(self, work: Coroutine[Any, Any, object]) -> None:
        self.tasks.add(asyncio.ensure_future(work))

    async def send(self, cluster: str, request: Request) -> Response:
        self.sent.append((cluster, request))
        return Response(200) if self.send_answer is None else await self.send_answer()

    async def settle(self) -> None:
        """Let everything that can run, run."""
        for _ in range(20):
            await asyncio.sleep(0)


@dataclass
class Upstream:
    """The end of the chain: gives its answers in order, the last one for ever; ``never`` waits until it is cancelled."""

    answers: list[Response | str] = field(default_factory=lambda: [Response(200)])
    seen: list[dict[str, Any]] = field(default_factory=list)
    cancelled: int = 0

    async def __call__(self, request: Request) -> Response:
        self.seen.append(
            {"method": request.method, "path": request.path, "authority": request.authority}
            | {"headers": dict(request.headers.items()), "fields": list(request.headers.items())}
            | {"body": request.body.take() if request.body.complete else None, "host_attempts": request.host_selection_attempts}
        )
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Response):
            return answer
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        raise AssertionError


def reset(kind: Reset) -> Response:
    return local_reply(503, "upstream connect error", details="x", reset=kind)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def scope() -> Callable[..., Scope]:
    def build(*policies: object, match: StringMatch | None = None, **levels: tuple[object, ...]) -> Scope:
        cluster = None if "no_cluster" in levels else WeightedCluster("main", policies=levels.get("cluster", ()))
        route = Route(RouteMatch(match) if match else PREFIX, (cluster,) if cluster else (), policies)
        host = VirtualHost("v", ("*",), (route,), levels.get("virtual_host", ()))
        return Scope(RouteConfiguration("r", (host,), levels.get("configuration", ())), host, route, cluster)

    return build


@pytest.fixture
def make() -> Callable[..., Request]:
    def request(path: str = "/", *pairs: tuple[str, str], body: bytes | Body = b"", **parts: str) -> Request:
        request = Request(path=path, authority=parts.pop("authority", "reviews:9080"), **parts)
        if body:
            request.body = Body.of(body) if isinstance(body, bytes) else body
        for name, value in pairs:
            request.headers.add(name, value)
        return request

    return request


@pytest.fixture
def run() -> Callable[..., Any]:
    """Through the filter, or straight to the upstream where the route has none."""

    async def through(filter_: Filter | None, request: Request, upstream: Upstream) -> Response:
        return await (upstream(request) if filter_ is None else filter_(request, upstream))

    return through


@pytest.fixture
def answer_reset() -> Callable[[Reset], Response]:
    return reset
