"""Generated VirtualServices and requests: from YAML through the control plane to both data planes, which must agree.

``SEATRIAL_DIFFERENTIAL_EXAMPLES`` says how many (100); with ``CI`` set they are the same each time.
"""

import json
import os
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from side_by_side.asking import Ask
from side_by_side.mesh import HOST, VERSIONS, Mesh

SOME = settings(
    max_examples=int(os.environ.get("SEATRIAL_DIFFERENTIAL_EXAMPLES", "100")),
    derandomize=bool(os.environ.get("CI")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
REQUESTS = 4

segments = st.sampled_from(["a", "b", "A", "ab", "é", "1"])
paths = st.lists(segments, max_size=2).map(lambda parts: "/" + "/".join(parts))
words = st.sampled_from(["x", "y", "X", "xy", ""])
regexes = st.sampled_from(["x|y", ".*", "[a-z]+", "/a.*", "(?i)/A(/b)?", ".", "/[^/]+/1"])
names = st.sampled_from(["a", "b-c", "end-user"])


def maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def one(**kinds: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of([st.builds(lambda value, kind=kind: {kind: value}, values) for kind, values in kinds.items()])


strings = one(exact=words.filter(bool), prefix=words.filter(bool), regex=regexes)
matches = maybe(
    uri=one(exact=paths, prefix=paths, regex=regexes),
    ignoreUriCase=st.booleans(),
    headers=st.dictionaries(names, strings, min_size=1, max_size=2),
    withoutHeaders=st.dictionaries(names, strings, min_size=1, max_size=1),
    queryParams=st.dictionaries(st.sampled_from(["q", "r"]), strings, min_size=1, max_size=1),
    method=one(exact=st.sampled_from(["GET", "POST"])),
)
values = st.dictionaries(names, st.sampled_from(["1", "two words", "50%%"]), min_size=1, max_size=2)
operations = maybe(set=values, add=values, remove=st.lists(names, max_size=2, unique=True))
headers = maybe(request=operations, response=operations)
destinations = st.builds(
    lambda version, headers: {"destination": {"host": HOST, "subset": version}, **headers},
    st.sampled_from(sorted(VERSIONS)),
    maybe(headers=headers),
)
forwarding = st.builds(
    lambda destination, rest: {"route": [destination], **rest},
    destinations,
    maybe(
        rewrite=st.one_of(
            maybe(uri=paths, authority=st.just("other.test")).filter(bool),
            st.builds(
                lambda match, text: {"uriRegexRewrite": {"match": match, "rewrite": text}}, regexes, st.sampled_from(["/z", r"/\\0"])
            ),
        ),
        retries=st.builds(
            lambda attempts, on: {"attempts": attempts, "retryOn": on, "backoff": "1ms"},
            st.integers(1, 2),
            st.sampled_from(["5xx", "gateway-error", "reset", "retriable-4xx", "503,418", "connect-failure,refused-stream"]),
        ),
        timeout=st.just("2s"),
        mirror=st.builds(lambda version: {"host": HOST, "subset": version}, st.sampled_from(sorted(VERSIONS))),
        fault=st.builds(lambda status: {"abort": {"httpStatus": status, "percentage": {"value": 100}}}, st.sampled_from([418, 503, 599])),
        corsPolicy=st.builds(
            lambda origin, methods: {"allowOrigins": [origin], "allowMethods": methods, "maxAge": "1h"}, strings, st.just(["GET", "PUT"])
        ),
    ),
)
redirects = st.builds(
    lambda fields, code: {"redirect": {**fields, "redirectCode": code}},
    maybe(uri=paths, authority=st.just("else.test"), scheme=st.sampled_from(["http", "https"]), port=st.just(81)).filter(bool),
    st.sampled_from([301, 302, 303, 307, 308]),
)
answering = st.builds(
    lambda status, text: {"directResponse": {"status": status, "body": {"string": text}}},
    st.sampled_from([200, 404, 503]),
    words.filter(bool),
)
rules = st.builds(
    lambda match, action, headers: {**({"match": match} if match else {}), **action, **headers},
    st.lists(matches.filter(bool), max_size=2),
    st.one_of(forwarding, forwarding, redirects, answering),
    maybe(headers=headers),
)
queries = st.sampled_from(["", "?q=x", "?r=y&q=", "?q=xy&q=x", "?"])
asks = st.builds(
    lambda path, query, method, headers, script, body: Ask(
        path + query, method, tuple(sorted(headers.items())), body if method == "POST" else b"", script
    ),
    paths.filter(str.isascii),
    queries,
    st.sampled_from(["GET", "GET", "POST", "OPTIONS", "HEAD"]),
    st.dictionaries(st.sampled_from(["a", "b-c", "end-user", "origin", "access-control-request-method"]), words, max_size=3),
    st.sampled_from(["200", "503", "503,200", "418,200", "409,503,200", "close,200", "200+a=old", "404"]),
    st.sampled_from([b"", b"abc"]),
)


@SOME
@given(http=st.lists(rules, min_size=1, max_size=3), requests=st.lists(asks, min_size=REQUESTS, max_size=REQUESTS))
def test_both_do_what_the_yaml_says(mesh: Mesh, http: list[dict[str, Any]], requests: list[Ask]) -> None:
    spec = {"hosts": [HOST], "http": http}
    document = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "shop"}, "spec": spec}
    status, answer = mesh.apply(json.dumps(document))
    event(f"galley: {status}")
    if status == 422:  # what is refused reaches neither
        return
    verdicts = {verdict.partition(":")[0] for verdict in answer["distribution"]["proxies"].values()}
    assert len(verdicts) == 1, answer["distribution"]
    for request in requests:
        mesh.compare(request)
