"""HTTPMatchRequest to a route match. Istio: pilot/pkg/networking/core/route/route.go TranslateRouteMatch.

What depends on the proxy and not on the request (port, source labels, namespace, gateways) is decided here: ``applies``.
"""

from mesh.galley.models import virtual_service as istio
from mesh.model.match import HeaderMatch, MatchKind, QueryMatch, RouteMatch, StringMatch
from mesh.model.node import Node


def applies(match: istio.HTTPMatchRequest, node: Node, port: int, gateways: tuple[str, ...] = ("mesh",)) -> bool:
    """``gateways``: the names by which a match may mean this proxy. At a gateway nobody knows the source's labels."""
    if gateways != ("mesh",) and (match.source_labels or match.source_namespace):
        return False
    return (
        (match.port is None or match.port == port)
        and (not match.gateways or bool(set(gateways) & set(match.gateways)))
        and match.source_labels.items() <= node.labels.items()
        and match.source_namespace in ("", node.namespace)
    )


def translate(match: istio.HTTPMatchRequest) -> RouteMatch:
    headers = [HeaderMatch(name.lower(), _string(value)) for name, value in sorted(match.headers.items())]
    headers += [_without(name.lower(), value) for name, value in sorted(match.without_headers.items())]
    for name, wanted in ((":method", match.method), (":authority", match.authority), (":scheme", match.scheme)):
        if wanted is not None:
            headers.append(HeaderMatch(name, _string(wanted)))
    return RouteMatch(
        path=_path(match),
        headers=tuple(headers),
        query=tuple(QueryMatch(name, _string(value)) for name, value in sorted(match.query_params.items())),
    )


def _path(match: istio.HTTPMatchRequest) -> StringMatch:
    if match.uri is None:
        return StringMatch(MatchKind.PREFIX, "/")
    path = _string(match.uri)
    if path.kind is MatchKind.PRESENT:
        return StringMatch(MatchKind.PREFIX, "/")
    return StringMatch(path.kind, path.value, match.ignore_uri_case and path.kind is not MatchKind.REGEX)


def _without(name: str, value: istio.StringMatch) -> HeaderMatch:
    """A header that is missing has not that value, too: Envoy must treat it as empty for the inverse to hold."""
    match = _string(value)
    return HeaderMatch(name, match, invert=True, treat_missing_as_empty=match.kind is not MatchKind.PRESENT)


def _string(match: istio.StringMatch) -> StringMatch:
    """An empty match or the regex ``*`` asks for presence only, as Istio takes it."""
    if match.exact is not None:
        return StringMatch(MatchKind.EXACT, match.exact)
    if match.prefix is not None:
        return StringMatch(MatchKind.PREFIX, match.prefix)
    if match.regex is not None and match.regex != "*":
        return StringMatch(MatchKind.REGEX, match.regex)
    return StringMatch(MatchKind.PRESENT)


def string(match: istio.StringMatch) -> StringMatch:
    """For origins and the like, where presence means nothing: an empty match is the empty text."""
    translated = _string(match)
    return StringMatch(MatchKind.EXACT, "") if translated.kind is MatchKind.PRESENT else translated
