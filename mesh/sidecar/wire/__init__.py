"""Bytes to messages and back, without I/O: what is on the wire and nothing about sockets.

``heads`` reads the head of a request or a response, ``chunks`` the chunked body, ``writing`` writes both. Strict on purpose: what one
reader takes for a header and the next for a body is how requests are smuggled, so whatever RFC 9112 lets a reader refuse is refused.
"""
