"""The headers a service carries over from the request it serves to the requests it makes for it.

This is the whole of what a mesh asks of an application: a sidecar sees a request come in and another go out, and only the application
knows that the one belongs to the other. Istio: its Bookinfo passes on the same ones.
"""

from collections.abc import Mapping

PROPAGATED = (
    "x-request-id",
    # trace context, in the dialects in use: W3C, B3 in one header and in several, OpenTracing, Datadog, Google, SkyWalking
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "x-ot-span-context",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "x-cloud-trace-context",
    "grpc-trace-bin",
    "sw8",
    # who is asking, and with what
    "end-user",
    "user-agent",
    "cookie",
    "authorization",
    "jwt",
)


def propagated(headers: Mapping[str, str]) -> dict[str, str]:
    """The part of a request's headers that goes along."""
    return {name: headers[name] for name in PROPAGATED if name in headers}
