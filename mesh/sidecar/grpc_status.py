"""How a gRPC call ended, for the log and the metrics: said in the trailers, or in the head of an answer that is nothing else.

Envoy: Grpc::Common::getGrpcStatus and the access log's GRPC_STATUS; only where the request was gRPC.
"""

from typing import Final

from mesh.sidecar.filter import Request, Response
from mesh.sidecar.grpc_reply import asks_for_grpc, status_for

NAMES: Final = (
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
)


def said(response: Response | None) -> str:
    """As it came; empty where nobody said it."""
    if response is None:
        return ""
    trailers = response.body.trailers
    if trailers is not None and "grpc-status" in trailers:
        return trailers["grpc-status"][0]
    found = response.headers.fields.get("grpc-status")
    return "" if found is None else found[0]


def number(request: Request, response: Response | None) -> int | None:
    """What the client takes it for, -1 for what is no number; None where it did not call by gRPC."""
    if not asks_for_grpc(request.headers.fields):
        return None
    text = said(response)
    if not text:
        return status_for(request.stream.status) if request.stream.status else None
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


def name(request: Request, response: Response | None) -> str | None:
    found = number(request, response)
    if found is None:
        return None
    return NAMES[found] if 0 <= found < len(NAMES) else str(found)
