"""The process beside a workload: runs its data plane (our sidecar in-process, or a real Envoy as a child) and reports its app's health.

Istio: pilot-agent. ``main`` takes the environment as an argument, so that a preloaded parent can fork and call it.
"""

from mesh.agent.run import main

__all__ = ["main"]
