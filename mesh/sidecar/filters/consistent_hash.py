"""Consistent hashing, the filter: finds a request's key, and makes the cookie that holds one. Decision: mesh/policy/consistent_hash.py.

Envoy: Http::HashPolicyImpl, Router::Filter::addDownstreamSetCookie. The cookie is the same for all requests of a connection, so that
several at once do not each get their own.
"""

from collections.abc import Awaitable
from urllib.parse import parse_qsl

from mesh.model.xxhash64 import xxhash64
from mesh.policy.consistent_hash import HashPolicy, Source, key_of, set_cookie
from mesh.sidecar.filter import Context, Filter, Forward, Request, Response, Scope


def build(scope: Scope, context: Context) -> Filter | None:
    policies = scope.policies(HashPolicy)
    return HashFilter(policies) if policies and scope.cluster is not None else None


class HashFilter:
    def __init__(self, policies: tuple[HashPolicy, ...]) -> None:
        self._policies = policies

    def __call__(self, request: Request, forward: Forward) -> Awaitable[Response]:
        made: list[str] = []
        values = [self._value(policy, request, made) for policy in self._policies]
        request.hash_key = key_of(values)
        return _with_cookies(request, forward, made) if made else forward(request)

    def _value(self, policy: HashPolicy, request: Request, made: list[str]) -> str | None:
        if policy.source is Source.HEADER:
            return request.headers.get(policy.name) if policy.name != ":authority" else request.authority
        if policy.source is Source.SOURCE_IP:
            return request.stream.downstream_remote.rpartition(":")[0].strip("[]") or None
        if policy.source is Source.QUERY:
            query = request.path.partition("?")[2]
            return next((value for name, value in parse_qsl(query, keep_blank_values=True) if name == policy.name), None)
        known = _cookie(request.headers.get("cookie") or "", policy.name)
        if known is not None or policy.ttl_seconds is None:
            return known
        stream = request.stream
        value = f"{xxhash64((stream.downstream_remote + stream.downstream_local).encode()):016x}"
        made.append(set_cookie(policy, value))
        return value


def _cookie(header: str, name: str) -> str | None:
    for part in header.replace(",", ";").split(";"):
        key, equals, value = part.strip().partition("=")
        if equals and key == name:
            return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    return None


async def _with_cookies(request: Request, forward: Forward, cookies: list[str]) -> Response:
    response = await forward(request)
    if not response.local:
        for cookie in cookies:
            response.headers.add("set-cookie", cookie)
    return response
