"""The heads of one connection, by the quickest way there is: the same block, the same shape, field by field, with a table.

Envoy: nghttp2's inflater under ServerConnectionImpl::onHeader.
"""

from mesh.sidecar.headers import Field
from mesh.sidecar.wire.http2.handler import Http2Settings, RequestHead
from mesh.sidecar.wire.http2.header_blocks import BlockReader, HeadTooLarge, MalformedField
from mesh.sidecar.wire.http2.heads import HeadMemory, ResponseHead, read_request, read_response, read_trailers
from mesh.sidecar.wire.http2.shapes import Shapes


class HeadReader(BlockReader):
    """Everything here raises BlockError (the connection cannot go on), MalformedField or HeadTooLarge (the stream cannot)."""

    def __init__(self, memory: HeadMemory, settings: Http2Settings) -> None:
        super().__init__(memory.blocks, settings.max_header_count, settings.max_header_list_bytes)
        self._heads = memory
        self._shapes = Shapes()

    def request(self, block: bytes, end_stream: bool) -> RequestHead:
        if not self.stateless:
            return read_request(self.read(block), end_stream)
        head = self._heads.request(block, end_stream)
        if head is not None:
            return head
        known = self._shapes.match(block)
        if known is not None:
            (method, path, authority, scheme, protocol, length, special, ended), (fields, path_there, length_there) = known
            if ended == end_stream and not (end_stream and length_there > 0):
                if length_there >= 0:
                    length = length_there
                return tuple.__new__(RequestHead, (method, path_there or path, authority, scheme, protocol, fields, length, special))
        return self._new_request(block, end_stream)

    def _new_request(self, block: bytes, end_stream: bool) -> RequestHead:
        head = read_request(self.read(block), end_stream)
        self._heads.remember_request(block, end_stream, head)
        method, path, authority, scheme, protocol, fields, length, special = head
        about = method, path, authority, scheme, protocol, length, special, end_stream
        self._shapes.learn(block, about, fields, self._heads.blocks, self._max_bytes)
        return head

    def response(self, block: bytes) -> ResponseHead:
        if not self.stateless:
            return read_response(self.read(block))
        head = self._heads.response(block)
        if head is not None:
            return head
        known = self._shapes.match(block)
        if known is not None:
            (status, length), (fields, _, length_there) = known
            return status, fields, length_there if length_there >= 0 else length
        status, fields, length = head = read_response(self.read(block))
        self._heads.remember_response(block, head)
        self._shapes.learn(block, (status, length), fields, self._heads.blocks, self._max_bytes)
        return head

    def trailers(self, block: bytes) -> dict[str, Field]:
        if not self.stateless:
            return read_trailers(self.read(block))
        fields = self._heads.trailers(block)
        if fields is None:
            fields = read_trailers(self.read(block))
            self._heads.remember_trailers(block, fields)
        return fields

    def skip(self, block: bytes) -> None:
        """A block that nobody wants: read all the same while there is a table."""
        if not self.stateless:
            try:
                self.read(block)
            except (MalformedField, HeadTooLarge):
                return
