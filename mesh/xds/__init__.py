"""The wire between the planes: Envoy's xDS v3. The only room that knows protobuf.

``types`` names the resource types and the order of a push. ``endpoints``, ``clusters``, ``routes`` and ``listeners`` (with what hangs on
them) turn the model's values into protobuf and back, ``resources`` picks by type; ``node`` does so for a proxy's introduction.
``subscription`` is the server's side of one stream and ``client_state`` the client's, both without I/O. ``ads`` hands out gRPC's
generated service.
"""
