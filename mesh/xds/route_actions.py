"""What a route does, on the wire: forward (to one cluster or a split), redirect, or answer at once. Envoy: RouteAction and its siblings."""

from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2 as components
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.type.matcher.v3 import regex_pb2
from google.protobuf import wrappers_pb2

from mesh.model.route import Route, WeightedCluster, find_policy
from mesh.policy.consistent_hash import HashPolicy
from mesh.policy.direct_response import DirectResponse
from mesh.policy.headers import HeaderOperations
from mesh.policy.mirror import Mirror
from mesh.policy.redirect import Redirect
from mesh.policy.retry import RetryPolicy
from mesh.policy.rewrite import Rewrite
from mesh.policy.timeout import Timeout
from mesh.xds import filter_settings, hash_policies, parts

PREVIOUS_HOSTS = "envoy.retry_host_predicates.previous_hosts"
ENVOY_TIMEOUT_SECONDS = 15.0  # of a route that says nothing
_REDIRECT_CODES = {301: 0, 302: 1, 303: 2, 307: 3, 308: 4}
_REDIRECT_STATUS = {code: status for status, code in _REDIRECT_CODES.items()}


def write(route: Route, message: Any) -> None:
    redirect, direct = route.policy(Redirect), route.policy(DirectResponse)
    if redirect is not None:
        message.redirect.CopyFrom(_encode_redirect(redirect))
    elif direct is not None:
        body = base_pb2.DataSource(inline_bytes=direct.body) if direct.body else None
        message.direct_response.CopyFrom(components.DirectResponseAction(status=direct.status, body=body))
    else:
        message.route.CopyFrom(_encode_forward(route))


def _encode_forward(route: Route) -> Any:
    timeout = route.policy(Timeout) or Timeout()
    message = components.RouteAction(timeout=parts.duration(timeout.request_seconds))
    if timeout.idle_seconds is not None:
        message.idle_timeout.CopyFrom(parts.duration(timeout.idle_seconds))
    _encode_clusters(route.clusters, message)
    for mirror in route.policies:
        if type(mirror) is Mirror:
            fraction = base_pb2.RuntimeFractionalPercent(default_value=parts.percent(mirror.percent))
            message.request_mirror_policies.append(
                components.RouteAction.RequestMirrorPolicy(cluster=mirror.cluster, runtime_fraction=fraction)
            )
    hash_policies.write((policy for policy in route.policies if type(policy) is HashPolicy), message)
    retry = route.policy(RetryPolicy)
    if retry is not None:
        message.retry_policy.CopyFrom(_encode_retry(retry))
    rewrite = route.policy(Rewrite)
    if rewrite is not None:
        message.prefix_rewrite = rewrite.path
        if rewrite.regex:
            message.regex_rewrite.CopyFrom(_substitution(rewrite.regex))
        if rewrite.authority:
            message.host_rewrite_literal = rewrite.authority
    return message


def _encode_clusters(clusters: tuple[WeightedCluster, ...], message: Any) -> None:
    if len(clusters) == 1 and clusters[0].weight == 1 and not clusters[0].policies:
        message.cluster = clusters[0].cluster
        return
    for cluster in clusters:
        weighted = message.weighted_clusters.clusters.add(name=cluster.cluster, weight=wrappers_pb2.UInt32Value(value=cluster.weight))
        parts.write_headers(find_policy(cluster.policies, HeaderOperations), weighted)
        rewrite = cluster.policy(Rewrite)
        if rewrite is not None and rewrite.authority:
            weighted.host_rewrite_literal = rewrite.authority
        filter_settings.write(cluster.policies, weighted.typed_per_filter_config)


def _encode_retry(retry: RetryPolicy) -> Any:
    message = components.RetryPolicy(
        retry_on=",".join(retry.retry_on),
        num_retries=wrappers_pb2.UInt32Value(value=retry.attempts),
        retriable_status_codes=retry.retriable_status_codes,
        host_selection_retry_max_attempts=retry.host_selection_attempts,
        retry_back_off=components.RetryPolicy.RetryBackOff(
            base_interval=parts.duration(retry.backoff_base_seconds), max_interval=parts.duration(retry.backoff_max_seconds)
        ),
    )
    if retry.per_try_timeout_seconds:
        message.per_try_timeout.CopyFrom(parts.duration(retry.per_try_timeout_seconds))
    if retry.avoid_previous_hosts:
        message.retry_host_predicate.add(name=PREVIOUS_HOSTS, typed_config=parts.pack(previous_hosts_pb2.PreviousHostsPredicate()))
    return message


def _substitution(regex: tuple[str, str]) -> Any:
    pattern, text = regex
    return regex_pb2.RegexMatchAndSubstitute(pattern=regex_pb2.RegexMatcher(regex=pattern), substitution=text)


def _encode_redirect(redirect: Redirect) -> Any:
    message = components.RedirectAction(
        host_redirect=redirect.authority, port_redirect=redirect.port, response_code=_REDIRECT_CODES[redirect.status]
    )
    if redirect.scheme:
        message.scheme_redirect = redirect.scheme
    if redirect.path:
        message.path_redirect = redirect.path
    elif redirect.prefix:
        message.prefix_rewrite = redirect.prefix
    elif redirect.regex:
        message.regex_rewrite.CopyFrom(_substitution(redirect.regex))
    return message


def read(message: Any) -> tuple[tuple[WeightedCluster, ...], tuple[object, ...]]:
    """The clusters and the policies of a route's action. Raises ``ValueError`` for actions this data plane cannot do."""
    action = message.WhichOneof("action")
    if action == "redirect":
        return (), (_decode_redirect(message.redirect),)
    if action == "direct_response":
        source = message.direct_response.body
        body = source.inline_bytes or source.inline_string.encode()
        return (), (DirectResponse(message.direct_response.status, body),)
    if action == "route":
        return _decode_clusters(message.route), _decode_forward(message.route)
    raise ValueError(f"route action {action or 'none'} is not supported")


def _decode_clusters(message: Any) -> tuple[WeightedCluster, ...]:
    kind = message.WhichOneof("cluster_specifier")
    if kind == "cluster":
        return (WeightedCluster(message.cluster),)
    if kind != "weighted_clusters":
        raise ValueError(f"route to {kind or 'no cluster'} is not supported")
    clusters = tuple(_decode_weighted(cluster) for cluster in message.weighted_clusters.clusters)
    if sum(cluster.weight for cluster in clusters) == 0:
        raise ValueError("Sum of weights in the weighted_cluster must be greater than 0.")
    return clusters


def _decode_weighted(message: Any) -> WeightedCluster:
    headers, authority = parts.read_headers(message), message.host_rewrite_literal
    rewrite = (Rewrite(authority=authority),) if authority else ()
    policies = (*((headers,) if headers else ()), *rewrite, *filter_settings.read(message.typed_per_filter_config))
    return WeightedCluster(message.name, message.weight.value, policies)


def _decode_forward(message: Any) -> tuple[object, ...]:
    request_seconds = parts.seconds(message.timeout) if message.HasField("timeout") else ENVOY_TIMEOUT_SECONDS
    idle_seconds = parts.seconds(message.idle_timeout) if message.HasField("idle_timeout") else None
    policies: list[object] = []
    if request_seconds or idle_seconds is not None:
        policies.append(Timeout(request_seconds, idle_seconds))
    for mirror in message.request_mirror_policies:
        percent = parts.percent_value(mirror.runtime_fraction.default_value) if mirror.HasField("runtime_fraction") else 100.0
        policies.append(Mirror(mirror.cluster, percent))
    policies += hash_policies.read(message)
    if message.HasField("retry_policy"):
        policies.append(_decode_retry(message.retry_policy))
    regex = _regex(message)
    if message.prefix_rewrite or regex or message.host_rewrite_literal:
        policies.append(Rewrite(message.prefix_rewrite, regex, message.host_rewrite_literal))
    return tuple(policies)


def _decode_retry(message: Any) -> RetryPolicy:
    back_off = message.retry_back_off
    base = parts.seconds(back_off.base_interval) or 0.025
    return RetryPolicy(
        attempts=message.num_retries.value if message.HasField("num_retries") else 1,
        retry_on=tuple(token.strip() for token in message.retry_on.split(",") if token.strip()),
        per_try_timeout_seconds=parts.seconds(message.per_try_timeout),
        retriable_status_codes=tuple(message.retriable_status_codes),
        backoff_base_seconds=base,
        backoff_max_seconds=parts.seconds(back_off.max_interval) or base * 10,
        avoid_previous_hosts=any(predicate.name == PREVIOUS_HOSTS for predicate in message.retry_host_predicate),
        host_selection_attempts=message.host_selection_retry_max_attempts or 1,
    )


def _regex(message: Any) -> tuple[str, str] | None:
    if not message.HasField("regex_rewrite"):
        return None
    return message.regex_rewrite.pattern.regex, message.regex_rewrite.substitution


def _decode_redirect(message: Any) -> Redirect:
    scheme = "https" if message.https_redirect else message.scheme_redirect
    return Redirect(
        status=_REDIRECT_STATUS[message.response_code],
        scheme=scheme,
        authority=message.host_redirect,
        port=message.port_redirect,
        path=message.path_redirect,
        prefix=message.prefix_rewrite,
        regex=_regex(message),
    )
