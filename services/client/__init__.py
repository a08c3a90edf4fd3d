"""client: calls one address at a steady rate and says each second how it went. It knows nothing of a mesh."""

from services.client.main import main

__all__ = ["main"]
