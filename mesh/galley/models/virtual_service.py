"""VirtualService: which requests go where, and what happens to them on the way. Istio: networking.v1 VirtualService."""

from dataclasses import dataclass
from typing import Literal

from pydantic import AliasChoices, Field

from mesh.galley.models.types import Duration, Flag, Int32, Labels, Meta, Model, Number, PortSelector, Uint32, Words


class StringMatch(Model):
    """Nothing set: the header or parameter is there, whatever its value."""

    one_of = (("exact", "prefix", "regex"),)

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None


class Percent(Model):
    value: Number = 0.0


class Destination(Model):
    host: str
    subset: str = ""
    port: PortSelector | None = None


class HeaderOperations(Model):
    set: Labels = Field(default_factory=dict)
    add: Labels = Field(default_factory=dict)
    remove: Words = ()


class Headers(Model):
    request: HeaderOperations | None = None
    response: HeaderOperations | None = None


class HTTPMatchRequest(Model):
    name: str = ""
    uri: StringMatch | None = None
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: dict[str, StringMatch] = Field(default_factory=dict)
    without_headers: dict[str, StringMatch] = Field(default_factory=dict)
    query_params: dict[str, StringMatch] = Field(default_factory=dict)
    port: Uint32 | None = None
    ignore_uri_case: Flag = False
    source_labels: Labels = Field(default_factory=dict)
    source_namespace: str = ""
    gateways: Words = ()
    stat_prefix: str = ""


class HTTPRouteDestination(Model):
    destination: Destination
    weight: Int32 = 0
    headers: Headers | None = None


class HTTPRedirect(Model):
    one_of = (("port", "derive_port"),)

    uri: str = ""
    prefix_rewrite: str = ""
    authority: str = ""
    scheme: str = ""
    port: Uint32 | None = None
    derive_port: Literal["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"] | None = None
    redirect_code: Uint32 = 0


class RegexRewrite(Model):
    match: str = ""
    rewrite: str = ""


class HTTPRewrite(Model):
    uri: str = ""
    authority: str = ""
    uri_regex_rewrite: RegexRewrite | None = None


class HTTPBody(Model):
    """``bytes`` is base64, as protobuf's JSON has it."""

    one_of = (("string", "bytes"),)

    string: str | None = None
    bytes: str | None = None


class HTTPDirectResponse(Model):
    status: Uint32
    body: HTTPBody | None = None


class Delegate(Model):
    name: str = ""
    namespace: str = ""


class HTTPRetry(Model):
    attempts: Int32 = 0
    per_try_timeout: Duration | None = None
    retry_on: str = ""
    retry_remote_localities: Flag | None = None
    retry_ignore_previous_hosts: Flag | None = None
    backoff: Duration | None = None


class Delay(Model):
    one_of = (("fixed_delay", "exponential_delay"),)

    fixed_delay: Duration | None = None
    exponential_delay: Duration | None = None
    percentage: Percent | None = None
    percent: Int32 | None = None


class Abort(Model):
    one_of = (("http_status", "grpc_status", "http2_error"),)

    http_status: Int32 | None = None
    grpc_status: str | None = None
    http2_error: str | None = Field(default=None, alias="http2Error")
    percentage: Percent | None = None


class HTTPFaultInjection(Model):
    delay: Delay | None = None
    abort: Abort | None = None


class HTTPMirrorPolicy(Model):
    destination: Destination
    percentage: Percent | None = None


class CorsPolicy(Model):
    allow_origins: tuple[StringMatch, ...] = ()
    allow_origin: Words = ()
    allow_methods: Words = ()
    allow_headers: Words = ()
    expose_headers: Words = ()
    max_age: Duration | None = None
    allow_credentials: Flag | None = None
    unmatched_preflights: Literal["UNSPECIFIED", "FORWARD", "IGNORE"] = "UNSPECIFIED"


class HTTPRoute(Model):
    name: str = ""
    match: tuple[HTTPMatchRequest, ...] = ()
    route: tuple[HTTPRouteDestination, ...] = ()
    redirect: HTTPRedirect | None = None
    direct_response: HTTPDirectResponse | None = None
    delegate: Delegate | None = None
    rewrite: HTTPRewrite | None = None
    timeout: Duration | None = None
    retries: HTTPRetry | None = None
    fault: HTTPFaultInjection | None = None
    mirror: Destination | None = None
    mirrors: tuple[HTTPMirrorPolicy, ...] = ()
    mirror_percentage: Percent | None = None
    mirror_percent: Uint32 | None = Field(default=None, validation_alias=AliasChoices("mirrorPercent", "mirror_percent"))
    cors_policy: CorsPolicy | None = None
    headers: Headers | None = None


class RouteDestination(Model):
    destination: Destination
    weight: Int32 = 0


class L4MatchAttributes(Model):
    destination_subnets: Words = ()
    port: Uint32 | None = None
    source_subnet: str = ""
    source_labels: Labels = Field(default_factory=dict)
    gateways: Words = ()
    source_namespace: str = ""


class TCPRoute(Model):
    match: tuple[L4MatchAttributes, ...] = ()
    route: tuple[RouteDestination, ...] = ()


class TLSMatchAttributes(Model):
    sni_hosts: Words
    destination_subnets: Words = ()
    port: Uint32 | None = None
    source_labels: Labels = Field(default_factory=dict)
    gateways: Words = ()
    source_namespace: str = ""


class TLSRoute(Model):
    match: tuple[TLSMatchAttributes, ...]
    route: tuple[RouteDestination, ...] = ()


class VirtualServiceSpec(Model):
    hosts: Words = ()
    gateways: Words = ()
    http: tuple[HTTPRoute, ...] = ()
    tls: tuple[TLSRoute, ...] = ()
    tcp: tuple[TCPRoute, ...] = ()
    export_to: Words = ()

    @property
    def in_mesh(self) -> bool:
        """Whether sidecars follow it. No gateways at all means the mesh."""
        return not self.gateways or "mesh" in self.gateways


@dataclass(frozen=True, slots=True)
class VirtualService:
    meta: Meta
    spec: VirtualServiceSpec
