"""The docker runtime: every workload is an app container and a sidecar container in one network namespace.

The sidecar redirects the namespace's TCP traffic through itself; the app knows nothing of it. Istio: interceptionMode REDIRECT.
"""

from lab.runtimes.runtime import Runtime
from lab.state import LabFolder


def create(folder: LabFolder) -> Runtime:
    from lab.runtimes.docker.docker import DockerRuntime

    return DockerRuntime(folder)
