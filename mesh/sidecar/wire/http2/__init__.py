"""HTTP/2 without I/O, for both roles: RFC 9113 and RFC 7541, strictly.

``connection`` keeps the streams; ``cutting`` finds the frames; ``header_blocks`` turns header blocks into fields and back; ``heads``
says which of them are a request, a response or trailers; ``outbox`` holds what waits for the peer's flow-control windows; ``budgets``
counts what a hostile peer does too often. Use ``Http2Connection`` and implement ``Http2Handler``.
"""

from mesh.sidecar.wire.http2.connection import Http2Connection
from mesh.sidecar.wire.http2.handler import ErrorCode, Http2Handler, Http2Settings, RequestHead
from mesh.sidecar.wire.http2.heads import HeadMemory

__all__ = ["ErrorCode", "HeadMemory", "Http2Connection", "Http2Handler", "Http2Settings", "RequestHead"]
