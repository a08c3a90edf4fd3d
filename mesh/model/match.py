"""Predicates over strings, headers and query parameters, as Envoy's ``StringMatcher`` and ``HeaderMatcher`` have them."""

from dataclasses import dataclass
from enum import Enum


class MatchKind(Enum):
    EXACT = "exact"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    CONTAINS = "contains"
    REGEX = "regex"  # RE2 syntax, must match the whole string
    PATH_PREFIX = "path_separated_prefix"  # only for paths: /foo matches /foo and /foo/bar, not /foobar
    PRESENT = "present"  # only for headers and query parameters; ``value`` is empty


@dataclass(frozen=True, slots=True)
class StringMatch:
    kind: MatchKind
    value: str = ""
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    """``name`` is lower-case; ``:method``, ``:authority``, ``:scheme`` and ``:path`` name the request line's parts."""

    name: str
    match: StringMatch
    invert: bool = False
    treat_missing_as_empty: bool = False


@dataclass(frozen=True, slots=True)
class QueryMatch:
    name: str
    match: StringMatch


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """All parts must hold. ``path`` is compared with the path without the query string."""

    path: StringMatch
    headers: tuple[HeaderMatch, ...] = ()
    query: tuple[QueryMatch, ...] = ()
