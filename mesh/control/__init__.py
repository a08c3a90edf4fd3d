"""The control plane as one process: galley's store and API, pilot's registry and discovery, on two ports."""

from mesh.control.run import main

__all__ = ["main"]
