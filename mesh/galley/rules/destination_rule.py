"""Rules of a DestinationRule. Istio: pkg/config/validation/validation.go ValidateDestinationRule, validateTrafficPolicy."""

from collections.abc import Iterator

from mesh.galley import diagnostics
from mesh.galley.metadata import label_problems
from mesh.galley.models.destination_rule import (
    ClientTLS,
    ConnectionPool,
    DestinationRuleSpec,
    LoadBalancer,
    LocalityLoadBalancer,
    OutlierDetection,
    PortTrafficPolicy,
    Subset,
    TrafficPolicy,
)
from mesh.galley.parse import Path
from mesh.galley.rules.words import bad, export_to_problems, host_problems, is_subset_name, odd, port_problems, without_effect
from mesh.galley.schema import Problem

_ACTED_ON = {
    "tcp": ("maxConnections", "connectTimeout", "tcpKeepalive", "maxConnectionDuration", "idleTimeout"),
    "http": (
        "http1MaxPendingRequests",
        "http2MaxRequests",
        "maxRequestsPerConnection",
        "maxRetries",
        "idleTimeout",
        "h2UpgradePolicy",
        "useClientProtocol",
        "maxConcurrentStreams",
    ),
}


def destination_rule_problems(spec: DestinationRuleSpec) -> Iterator[Problem]:
    yield from host_problems(spec.host, ("spec", "host"))
    yield from export_to_problems(spec.export_to, ("spec", "exportTo"))
    if spec.traffic_policy is not None:
        yield from _traffic_policy(spec.traffic_policy, ("spec", "trafficPolicy"))
    for index, subset in enumerate(spec.subsets):
        yield from _subset(subset, ("spec", "subsets", index), [other.name for other in spec.subsets[:index]])
    if spec.workload_selector is not None:
        yield from label_problems(spec.workload_selector.match_labels, ("spec", "workloadSelector", "matchLabels"))
        yield without_effect(("spec", "workloadSelector"), "not supported yet: the rule holds for all workloads")


def _subset(subset: Subset, path: Path, before: list[str]) -> Iterator[Problem]:
    if not subset.name:
        yield bad((*path, "name"), "a subset name cannot be empty")
    elif not is_subset_name(subset.name):
        yield bad((*path, "name"), f'"{subset.name}" is not a subset name')
    if subset.name in before:
        yield bad((*path, "name"), f'duplicate subset "{subset.name}"')
    yield from label_problems(subset.labels, (*path, "labels"))
    if not subset.labels:
        yield odd(path, f'the subset "{subset.name}" has no labels: it selects every workload of the host')
    if subset.traffic_policy is not None:
        yield from _traffic_policy(subset.traffic_policy, (*path, "trafficPolicy"))


def _traffic_policy(policy: TrafficPolicy, path: Path) -> Iterator[Problem]:
    if not policy.model_fields_set:
        yield bad(path, "a traffic policy must have at least one field", key=True)
    yield from _policy(policy, path)
    ports: list[int] = []
    for index, one in enumerate(policy.port_level_settings):
        here = (*path, "portLevelSettings", index)
        number = one.port.number if one.port else None
        if number is None:
            yield bad(here, "port.number: Required value")
        else:
            yield from port_problems(number, (*here, "port", "number"))
            if number in ports:
                yield bad((*here, "port", "number"), f"settings for port {number} stand twice")
            ports.append(number)
        yield from _policy(one, here)
    for field, given in (("tunnel", policy.tunnel), ("proxyProtocol", policy.proxy_protocol), ("retryBudget", policy.retry_budget)):
        if given is not None:
            yield without_effect((*path, field), "not supported yet")


def _policy(policy: TrafficPolicy | PortTrafficPolicy, path: Path) -> Iterator[Problem]:
    if policy.load_balancer is not None:
        yield from _load_balancer(policy.load_balancer, (*path, "loadBalancer"))
    if policy.connection_pool is not None:
        yield from _connection_pool(policy.connection_pool, (*path, "connectionPool"))
    if policy.outlier_detection is not None:
        yield from _outlier_detection(policy.outlier_detection, (*path, "outlierDetection"))
    if policy.tls is not None:
        yield from _tls(policy.tls, (*path, "tls"))


def _load_balancer(balancer: LoadBalancer, path: Path) -> Iterator[Problem]:
    if balancer.simple == "LEAST_CONN":
        yield Problem((*path, "simple"), "LEAST_CONN is deprecated", "use LEAST_REQUEST", code=diagnostics.DEPRECATED)
    if balancer.warmup_duration_secs is not None and balancer.warmup is not None:
        yield bad((*path, "warmupDurationSecs"), "only one of warmup and warmupDurationSecs can be set", key=True)
    hashing = balancer.consistent_hash
    if hashing is not None:
        fields = {"http_header_name", "http_cookie", "use_source_ip", "http_query_parameter_name"}
        if not hashing.model_fields_set & fields:
            message = "one of httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName must be set"
            yield bad((*path, "consistentHash"), message, key=True)
        if hashing.http_cookie is not None and hashing.http_cookie.attributes:
            yield without_effect((*path, "consistentHash", "httpCookie", "attributes"), "not supported yet")
        if hashing.maglev is not None and not _is_prime(hashing.maglev.table_size):
            yield bad((*path, "consistentHash", "maglev", "tableSize"), "it must be a prime number, such as 65537", key=True)
    if balancer.locality_lb_setting is not None:
        yield from _locality(balancer.locality_lb_setting, (*path, "localityLbSetting"))
    named = {
        "backendUtilization": balancer.backend_utilization,
        "zoneAwareLbSetting": balancer.zone_aware_lb_setting,
        "warmup": balancer.warmup,
        "warmupDurationSecs": balancer.warmup_duration_secs,
    }
    for field, given in named.items():
        if given is not None:
            yield without_effect((*path, field), "not supported yet")


def _locality(setting: LocalityLoadBalancer, path: Path) -> Iterator[Problem]:
    if sum(bool(given) for given in (setting.distribute, setting.failover, setting.failover_priority)) > 1 and setting.distribute:
        yield bad(path, "distribute cannot stand beside failover or failoverPriority", key=True)
    for index, one in enumerate(setting.distribute):
        if sum(one.to.values()) != 100:
            yield bad((*path, "distribute", index, "to"), f"total locality weight {sum(one.to.values())} != 100", key=True)
    for index, failover in enumerate(setting.failover):
        if failover.from_ == failover.to:
            yield bad((*path, "failover", index, "to"), f'locality failover from "{failover.from_}" to itself', key=True)


def _is_prime(number: int | None) -> bool:
    return number is None or (1 < number <= 5_000_011 and all(number % factor for factor in range(2, int(number**0.5) + 1)))


def _connection_pool(pool: ConnectionPool, path: Path) -> Iterator[Problem]:
    if pool.http is None and pool.tcp is None:
        yield bad(path, "a connection pool must have http or tcp", key=True)
    for field, settings in (("tcp", pool.tcp), ("http", pool.http)):
        given = settings.model_dump(by_alias=True, exclude_unset=True) if settings is not None else {}
        for name, value in given.items():
            if isinstance(value, int) and value < 0:
                yield bad((*path, field, name), f"it cannot be negative, {value}")
        for name in [name for name in given if name not in _ACTED_ON[field]]:
            yield without_effect((*path, field, name), "not supported yet")
    if pool.http is not None and pool.http.h2_upgrade_policy == "UPGRADE" and pool.http.use_client_protocol:
        yield bad((*path, "http", "useClientProtocol"), "it cannot be true while h2UpgradePolicy is UPGRADE", key=True)


def _outlier_detection(outlier: OutlierDetection, path: Path) -> Iterator[Problem]:
    for field, percent in (("maxEjectionPercent", outlier.max_ejection_percent), ("minHealthPercent", outlier.min_health_percent)):
        if percent is not None and not 0 <= percent <= 100:
            yield bad((*path, field), f"percentage {percent} is not in range 0..100")
    if outlier.consecutive_errors is not None:
        yield Problem(
            (*path, "consecutiveErrors"), "consecutiveErrors is deprecated", "use consecutive5xxErrors", True, diagnostics.DEPRECATED
        )
    if outlier.consecutive_local_origin_failures and not outlier.split_external_local_origin_errors:
        yield bad((*path, "consecutiveLocalOriginFailures"), "it needs splitExternalLocalOriginErrors: true", key=True)
    if outlier.outlier_detection_http_error_codes:
        yield without_effect((*path, "outlierDetectionHttpErrorCodes"), "not supported yet: 5xx count")


def _tls(tls: ClientTLS, path: Path) -> Iterator[Problem]:
    files = {"clientCertificate": tls.client_certificate, "privateKey": tls.private_key}
    if tls.mode == "MUTUAL" and not tls.credential_name:
        for field, given in files.items():
            if not given:
                yield bad(path, f"{field}: Required value for mode MUTUAL", key=True)
    if tls.mode == "ISTIO_MUTUAL":
        for field, given in {**files, "caCertificates": tls.ca_certificates, "credentialName": tls.credential_name}.items():
            if given:
                yield bad((*path, field), "it cannot be set with mode ISTIO_MUTUAL: the mesh has its own", key=True)
    if tls.credential_name and (any(files.values()) or tls.ca_certificates):
        yield bad((*path, "credentialName"), "it cannot stand beside certificate files", key=True)
    if tls.mode != "DISABLE":
        yield without_effect((*path, "mode"), f"TLS is not supported yet: {tls.mode} is let pass and requests go in plain text")
