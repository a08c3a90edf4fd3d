"""Which route takes a request: virtual host by authority, then the first route that matches, then a cluster by weight.

Envoy: source/common/router/config_impl.cc (RouteMatcher, VirtualHostImpl, RouteEntryImplBase), header_utility.cc. Istio makes such
configurations from VirtualServices. Everything is compiled when configuration arrives: a look-up calls ready-made functions,
and every answer it can give exists beforehand, so that the data plane can hang a compiled filter chain on each by its index.
Lesson: scenarios/request_routing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mesh.model.match import HeaderMatch, MatchKind, QueryMatch, RouteMatch, StringMatch
from mesh.model.route import Route, RouteConfiguration, VirtualHost, WeightedCluster
from mesh.model.world import Dice
from mesh.policy.matching import Matcher, ascii_lower, compile_match

MAX_REMEMBERED_AUTHORITIES = 1024
MAX_WEIGHT = 2**32 - 1
LONGEST_NAME = 261  # a DNS name of 255 with a port


class HeaderView(Protocol):
    def get(self, name: str) -> str | None:
        """The value of a header; all values joined by a comma where it came repeatedly."""
        ...

    def get_all(self, name: str) -> list[str]:
        """Each value by itself."""
        ...


class RequestView(Protocol):
    """What routing looks at. ``path`` is the request target with its query. Text is UTF-8 with surrogate escapes."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def authority(self) -> str: ...
    @property
    def scheme(self) -> str: ...
    @property
    def headers(self) -> HeaderView: ...


Predicate = Callable[[RequestView], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """One answer of a table; ``cluster`` is None where a redirect or direct response answers. ``index`` counts within the table."""

    index: int
    virtual_host: VirtualHost
    route: Route
    cluster: WeightedCluster | None


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """A compiled route: ``predicates`` must all hold; then one of ``answers``, up to the running sums in ``bounds``."""

    predicates: tuple[Predicate, ...]
    answers: tuple[Match, ...]
    bounds: tuple[float, ...]

    def matches(self, request: RequestView) -> bool:
        for predicate in self.predicates:  # noqa: SIM110 - a generator costs more than the whole look-up
            if not predicate(request):
                return False
        return True

    def answer(self, dice: Dice) -> Match:
        if len(self.answers) == 1:
            return self.answers[0]
        return self.answers[_fall(self.bounds, dice)]


class RouteTable:
    """A route configuration made ready for look-ups."""

    def __init__(self, configuration: RouteConfiguration) -> None:
        self.configuration = configuration
        self.matches: list[Match] = []  # every answer ``find`` can give, by index
        self._ignore_port = configuration.ignore_port_in_host_matching
        self._exact: dict[str, tuple[_Entry, ...]] = {}
        self._suffixes: dict[int, dict[str, tuple[_Entry, ...]]] = {}  # by length, longest first
        self._prefixes: dict[int, dict[str, tuple[_Entry, ...]]] = {}
        self._default: tuple[_Entry, ...] = ()
        self._remembered: dict[str, tuple[_Entry, ...]] = {}
        seen: set[str] = set()
        for virtual_host in configuration.virtual_hosts:
            entries = tuple(self._compile_route(virtual_host, route) for route in virtual_host.routes)
            for domain in virtual_host.domains:
                if ascii_lower(domain) in seen:
                    raise ValueError(f"route configuration {configuration.name}: domain {domain!r} is named twice")
                seen.add(ascii_lower(domain))
                self._file(ascii_lower(domain), entries)
        self._suffixes = dict(sorted(self._suffixes.items(), reverse=True))
        self._prefixes = dict(sorted(self._prefixes.items(), reverse=True))

    def _compile_route(self, virtual_host: VirtualHost, route: Route) -> _Entry:
        answers = []
        for cluster in route.clusters or (None,):
            answers.append(Match(len(self.matches), virtual_host, route, cluster))
            self.matches.append(answers[-1])
        return _Entry(compile_predicates(route.match), tuple(answers), _bounds(route.clusters))

    def _file(self, domain: str, entries: tuple[_Entry, ...]) -> None:
        if domain == "*":
            self._default = entries
        elif domain.startswith("*"):
            self._suffixes.setdefault(len(domain) - 1, {})[domain[1:]] = entries
        elif domain.endswith("*"):
            self._prefixes.setdefault(len(domain) - 1, {})[domain[:-1]] = entries
        else:
            self._exact[domain] = entries

    def find(self, request: RequestView, dice: Dice) -> Match | None:
        """The virtual host's first matching route and its cluster; None where Envoy answers 404 with flag NR."""
        authority = request.authority
        entries = self._remembered.get(authority)
        if entries is None:
            entries = self._remember(authority)
        for entry in entries:
            if entry.matches(request):
                return entry.answer(dice)
        return None

    def _remember(self, authority: str) -> tuple[_Entry, ...]:
        entries = self._look_up(authority)
        if len(authority) > LONGEST_NAME:
            return entries
        if len(self._remembered) >= MAX_REMEMBERED_AUTHORITIES:
            self._remembered.clear()  # clients choose authorities: the memo must not grow with them
        self._remembered[authority] = entries
        return entries

    def _look_up(self, authority: str) -> tuple[_Entry, ...]:
        """Exact, then the longest ``*suffix``, then the longest ``prefix*``, then ``*``. A wildcard stands for one character at least."""
        host = ascii_lower(without_port(authority) if self._ignore_port else authority)
        if host in self._exact:
            return self._exact[host]
        for length, group in self._suffixes.items():
            if length < len(host) and host[-length:] in group:
                return group[host[-length:]]
        for length, group in self._prefixes.items():
            if length < len(host) and host[:length] in group:
                return group[host[:length]]
        return self._default


def compile(configuration: RouteConfiguration) -> RouteTable:
    """ValueError says what is wrong with it: a bad regex, weights that sum to nothing, a domain named twice."""
    return RouteTable(configuration)


def without_port(authority: str) -> str:
    """``reviews:9080`` → ``reviews``; an IPv6 address keeps its brackets and colons."""
    colon = authority.rfind(":")
    return authority[:colon] if colon > authority.rfind("]") else authority


# --- clusters by weight


def pick(clusters: Sequence[WeightedCluster], dice: Dice) -> WeightedCluster:
    """One cluster, each with probability weight / sum; a single one needs no dice. Weights may have any positive sum."""
    return clusters[0] if len(clusters) == 1 else clusters[_fall(_bounds(clusters), dice)]


def _bounds(clusters: Sequence[WeightedCluster]) -> tuple[float, ...]:
    """Running sums of the weights."""
    total, bounds = 0.0, []
    for cluster in clusters:
        if cluster.weight < 0:
            raise ValueError(f"cluster {cluster.cluster} has negative weight {cluster.weight}")
        total += cluster.weight
        bounds.append(total)
    if total > MAX_WEIGHT:
        raise ValueError(f"The sum of weights of all weighted clusters of a route exceeds {MAX_WEIGHT}")
    if len(clusters) > 1 and total <= 0:
        raise ValueError(f"the weights of {', '.join(c.cluster for c in clusters)} sum to 0")
    return tuple(bounds)


def _fall(bounds: tuple[float, ...], dice: Dice) -> int:
    value = dice() * bounds[-1]
    for index, bound in enumerate(bounds):
        if value < bound:
            return index
    return bounds.index(bounds[-1])  # rounding only: dice() stays below 1


# --- predicates


def compile_predicates(match: RouteMatch) -> tuple[Predicate, ...]:
    """Every condition of a match as a function of the request: the cheap ones first."""
    predicates = [_path(match.path)]
    predicates += [_header(header) for header in match.headers]
    predicates += [_query(query) for query in match.query]
    return tuple(predicates)


def path_only(path: str) -> str:
    """The path without its query."""
    return path.partition("?")[0]


def _path(match: StringMatch) -> Predicate:
    if match.kind is MatchKind.PREFIX and not match.ignore_case and "?" not in match.value:
        prefix = match.value  # a prefix without "?" ends before the query begins: no need to cut it off
        return lambda request: request.path.startswith(prefix)
    if match.kind is MatchKind.REGEX:
        match = StringMatch(MatchKind.REGEX, match.value)  # Envoy ignores case_sensitive there
    matches = compile_match(match)
    return lambda request: matches(path_only(request.path))


_PARTS: dict[str, Callable[[RequestView], str]] = {
    ":method": lambda request: request.method,
    ":authority": lambda request: request.authority,
    "host": lambda request: request.authority,
    ":path": lambda request: request.path,
    ":scheme": lambda request: request.scheme,
}


def _header(header: HeaderMatch) -> Predicate:
    """A missing header matches nothing, also inverted; only an inverted presence holds then.

    A header that came repeatedly matches if one of its values does: each is compared by itself.
    """
    part, wanted = _PARTS.get(header.name), not header.invert
    if header.match.kind is MatchKind.PRESENT:
        return _present(header.name, wanted)
    matches = compile_match(header.match)
    if part is not None:
        return lambda request: matches(part(request)) is wanted
    return _compare_values(header.name, matches, wanted, header.treat_missing_as_empty)


def _present(name: str, wanted: bool) -> Predicate:
    if name in _PARTS:
        return lambda _: wanted
    return lambda request: (request.headers.get(name) is not None) is wanted


def _compare_values(name: str, matches: Matcher, wanted: bool, missing_is_empty: bool) -> Predicate:
    def predicate(request: RequestView) -> bool:
        value = request.headers.get(name)
        if value is None:
            return missing_is_empty and matches("") is wanted
        if "," in value:  # several values come joined
            return any(map(matches, request.headers.get_all(name))) is wanted
        return matches(value) is wanted

    return predicate


def _query(query: QueryMatch) -> Predicate:
    name, matches = query.name, compile_match(query.match)

    def predicate(request: RequestView) -> bool:
        value = query_value(request.path, name)
        return value is not None and matches(value)

    return predicate


def query_value(path: str, name: str) -> str | None:
    """The parameter's first value as sent, percent signs and all; a parameter without ``=`` has the empty value."""
    for parameter in path.partition("?")[2].split("&"):
        key, _, value = parameter.partition("=")
        if key == name and parameter:
            return value
    return None
