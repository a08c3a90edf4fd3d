"""echo: a server that answers with what it saw, and a client that calls others when told to; both in one process.

Checks of the mesh stand on it: what a sidecar did to a request is what echo saw, what it did to a response is what echo's client got.
Istio: pkg/test/echo, whose Echo and ForwardEcho these are. HTTP so far; ``server.create_app`` is the one port there is.
"""

from services.echo.server import main

__all__ = ["main"]
