"""The local runtime: every workload is an app process and a sidecar process on this machine. No root, no Docker.

A supervisor owns them: a parent that has imported everything once and forks (``SEATRIAL_LOCAL_START=spawn``: starts anew). Each
workload has a loopback address of its own (``SEATRIAL_LOCAL_ADDRESSING=ports``: ports of 127.0.0.1). Istio: interceptionMode NONE.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the supervisor passes here too, and has no need of them
    from lab.runtimes.runtime import Runtime
    from lab.state import LabFolder


def create(folder: "LabFolder") -> "Runtime":
    from lab.runtimes.local.local import LocalRuntime

    return LocalRuntime(folder)
