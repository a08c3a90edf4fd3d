"""How a case is written: routes, and requests to them. Short words, because there are many."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mesh.model.listener import HttpConnectionManager
from mesh.model.match import HeaderMatch, MatchKind, QueryMatch, RouteMatch, StringMatch
from mesh.model.route import Route, WeightedCluster
from side_by_side.asking import Ask

PLAIN = HttpConnectionManager(
    stat_prefix="test", filters=("envoy.filters.http.cors", "envoy.filters.http.fault", "envoy.filters.http.router")
)
EVERYTHING = RouteMatch(StringMatch(MatchKind.PREFIX, "/"))


@dataclass(frozen=True)
class Case:
    """A virtual host of its own. ``outer`` are policies of the whole route configuration; such a case gets a listener of its own.
    ``known`` says why the two differ, as docs/differences.md does: the case must fail then.
    """

    name: str
    routes: tuple[Route, ...]
    asks: tuple[Ask, ...]
    policies: tuple[object, ...] = ()
    domains: tuple[str, ...] = ("{host}",)
    counts_attempts: bool = False
    outer: tuple[object, ...] = ()
    ignore_port: bool = False
    manager: HttpConnectionManager = PLAIN
    known: str = ""

    @property
    def domain(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-") + ".test"


def case(name: str, routes: Route | Sequence[Route], *asks: Ask, **more: Any) -> Case:
    return Case(name, (routes,) if isinstance(routes, Route) else tuple(routes), asks or (get(),), **more)


# --- routes


def to(cluster: str, *policies: object, match: RouteMatch = EVERYTHING, name: str = "") -> Route:
    return Route(match, (WeightedCluster(cluster),), policies, name)


def split(*clusters: WeightedCluster, policies: tuple[object, ...] = (), match: RouteMatch = EVERYTHING) -> Route:
    return Route(match, clusters, policies)


def answers(policy: object, *more: object, match: RouteMatch = EVERYTHING) -> Route:
    """A redirect or a direct response."""
    return Route(match, (), (policy, *more))


def when(path: StringMatch | None = None, *, headers: Sequence[HeaderMatch] = (), query: Sequence[QueryMatch] = ()) -> RouteMatch:
    return RouteMatch(path or EVERYTHING.path, tuple(headers), tuple(query))


def _maker(kind: MatchKind) -> Any:
    return lambda value="", *, ignore_case=False: StringMatch(kind, value, ignore_case)


exact, prefix, suffix, contains = (_maker(kind) for kind in (MatchKind.EXACT, MatchKind.PREFIX, MatchKind.SUFFIX, MatchKind.CONTAINS))
regex, below, present = (_maker(kind) for kind in (MatchKind.REGEX, MatchKind.PATH_PREFIX, MatchKind.PRESENT))


def header(name: str, match: StringMatch, *, invert: bool = False, missing_is_empty: bool = False) -> HeaderMatch:
    return HeaderMatch(name, match, invert, missing_is_empty)


# --- requests


def get(path: str = "/", script: str = "200", /, **headers: str) -> Ask:
    """Underscores of a header's name become hyphens."""
    return Ask(path, headers=tuple((name.replace("_", "-"), value) for name, value in headers.items()), script=script)


def send(method: str, path: str = "/", *headers: tuple[str, str], **more: Any) -> Ask:
    return Ask(path, method, headers, **more)


def raw(data: str | bytes, **more: Any) -> Ask:
    """Lines as written; ``\\n`` becomes the wire's line end."""
    if isinstance(data, str):
        data = data.replace("\n", "\r\n").encode("utf-8", "surrogateescape")
    return Ask(raw=data, **more)


def taking(low: float, high: float, ask: Ask) -> Ask:
    return replace(ask, takes=(low, high))
