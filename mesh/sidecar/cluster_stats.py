"""Envoy's counters and gauges of a cluster, under ``cluster.<name>.``. Envoy: source/common/upstream, ALL_CLUSTER_TRAFFIC_STATS."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class ClusterStats:
    upstream_rq_total: int = 0
    upstream_rq_active: int = 0
    upstream_rq_active_overflow: int = 0
    upstream_rq_completed: int = 0
    upstream_rq_2xx: int = 0
    upstream_rq_3xx: int = 0
    upstream_rq_4xx: int = 0
    upstream_rq_5xx: int = 0
    upstream_cx_none_healthy: int = 0
    upstream_cx_connect_fail: int = 0
    upstream_cx_connect_timeout: int = 0
    upstream_cx_protocol_error: int = 0
    upstream_cx_destroy_remote_with_active_rq: int = 0
    upstream_rq_cancelled: int = 0
    upstream_cx_total: int = 0
    upstream_cx_active: int = 0
    upstream_cx_overflow: int = 0
    upstream_cx_max_requests: int = 0
    upstream_cx_max_duration_reached: int = 0
    upstream_cx_idle_timeout: int = 0
    upstream_rq_pending_total: int = 0
    upstream_rq_pending_active: int = 0
    upstream_rq_pending_overflow: int = 0
    upstream_rq_retry: int = 0
    upstream_rq_retry_success: int = 0
    upstream_rq_retry_overflow: int = 0
    upstream_rq_retry_limit_exceeded: int = 0
    classes: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class OutlierStats:
    """Envoy's under ``cluster.<name>.outlier_detection.``."""

    ejections_active: int = 0
    ejections_total: int = 0
    ejections_overflow: int = 0
    ejections_enforced_total: int = 0
    ejections_detected_consecutive_5xx: int = 0
    ejections_enforced_consecutive_5xx: int = 0
    ejections_detected_consecutive_gateway_failure: int = 0
    ejections_enforced_consecutive_gateway_failure: int = 0
    ejections_detected_consecutive_local_origin_failure: int = 0
    ejections_enforced_consecutive_local_origin_failure: int = 0
