"""Answers of our own as a gRPC client understands them: status 200, the outcome in ``grpc-status``, no body.

Envoy: Http::Utility::sendLocalReply and Grpc::Utility::httpToGrpcStatus; the message is percent-encoded as gRPC's HTTP/2 mapping says.
"""

from typing import Final

from mesh.sidecar.filter import EMPTY, Field, Response
from mesh.sidecar.headers import field

_UNKNOWN: Final = 2
_UNAVAILABLE: Final = 14
_STATUSES: Final = {400: 13, 401: 16, 403: 7, 404: 12, 429: _UNAVAILABLE, 502: _UNAVAILABLE, 503: _UNAVAILABLE, 504: _UNAVAILABLE}
_CONTENT_TYPE: Final = field("content-type", "application/grpc")
_NO_LENGTH: Final = field("content-length", "0")


def status_for(http_status: int) -> int:
    """What a gRPC client takes an answer for that says nothing about it."""
    return _STATUSES.get(http_status, _UNKNOWN)


def asks_for_grpc(fields: dict[str, Field]) -> bool:
    """Whether a request's fields are a gRPC call's."""
    found = fields.get("content-type")
    return found is not None and found[0].startswith("application/grpc") and found[0][16:17] in ("", "+")


def as_grpc(response: Response) -> Response:
    """The same answer for a gRPC client; its fields and its body are taken over."""
    fields = response.headers.fields
    text = response.body.take()
    response.body.close()
    fields["content-type"] = _CONTENT_TYPE
    fields["grpc-status"] = field("grpc-status", str(status_for(response.status)))
    if text:
        fields["grpc-message"] = field("grpc-message", _percent_encoded(text))
        fields["content-length"] = _NO_LENGTH
    response.status, response.body = 200, EMPTY
    return response


def _percent_encoded(text: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte <= 0x7E and byte != 0x25 else f"%{byte:02X}" for byte in text)
