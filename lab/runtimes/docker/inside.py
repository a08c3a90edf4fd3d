"""Looking into containers: how they are, what they wrote, and running a command in one."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import docker
from docker.errors import APIError
from docker.models.containers import Container

from lab.client import Headers, Response
from lab.runtimes.docker.containers import PROCESS, Containers
from lab.runtimes.docker.engine import said
from lab.runtimes.docker.plan import ADMIN_PORT, PROXY_USER
from lab.runtimes.runtime import LabError, ProcessState

SIGNALLED = 128  # exit statuses above it are signals, as a shell has it
LAST_SIGNAL = 64
CANNOT_RUN, NOT_RUN = (126, 127), b"OCI runtime exec failed"
_EXITED = re.compile(r"Exited \((\d+)\)")

# the admin interface listens on the namespace's own loopback: the question is asked in there
ASK_ADMIN = """
import http.client, json, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=10)
connection.request(sys.argv[2], sys.argv[3])
answer = connection.getresponse()
head = json.dumps([answer.status, answer.getheaders()]).encode()
sys.stdout.buffer.write(head + b"\\n" + answer.read())
"""


def state_of(client: docker.DockerClient, listed: Mapping[str, Any], wanted: Mapping[str, str]) -> ProcessState:
    """From the engine's list; only of one that ended by itself more is asked."""
    name = listed["Labels"][PROCESS]
    if listed["State"] in ("running", "paused", "restarting"):
        return ProcessState(name, "running", listed["Id"][:12])
    exited = _EXITED.match(listed["Status"])
    if exited is None:
        return ProcessState(name, wanted.get(name, "stopped"))  # never started: what it was to join has gone
    code = int(exited[1])
    status = -(code - SIGNALLED) if SIGNALLED < code <= SIGNALLED + LAST_SIGNAL else code
    if name in wanted:
        return ProcessState(name, wanted[name], exit_status=status)
    details = {"seconds": _seconds(client.api.inspect_container(listed["Id"])["State"])}
    return ProcessState(name, "crashed" if status else "exited", exit_status=status, details=details)


def _seconds(state: Mapping[str, str]) -> float:
    """How long it ran."""
    return max(0.0, (_moment(state["FinishedAt"]) - _moment(state["StartedAt"])).total_seconds())


def _moment(text: str) -> datetime:
    """The engine writes nanoseconds, which Python does not read."""
    return datetime.fromisoformat(re.sub(r"\.(\d+)", lambda match: f".{match[1]:0<6.6}", text))


# --- logs ------------------------------------------------------------------------------------------------------------


def log(containers: Containers, name: str, tail: int | None = None) -> str:
    container, out, error = _log_of(containers, name)
    try:
        text = container.logs(stdout=out, stderr=error).decode("utf-8", errors="replace")
    except APIError as refused:
        raise LabError(f"cannot read the log of {name}", why=said(refused)) from refused
    return text if tail is None else "".join(text.splitlines(keepends=True)[-tail:] if tail else [])


def follow(containers: Containers, name: str, tail: int | None = None) -> Iterator[str]:
    container, out, error = _log_of(containers, name)
    partial = b""
    for chunk in container.logs(stdout=out, stderr=error, stream=True, follow=True, tail="all" if tail is None else tail):
        *lines, partial = (partial + chunk).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", errors="replace")


def _log_of(containers: Containers, name: str) -> tuple[Container, bool, bool]:
    """(container, its stdout?, its stderr?): a sidecar writes its access log to one and what else it has to say to the other."""
    workload, _, part = name.partition("/")
    if part == "access":
        return containers.get(f"{workload}/proxy"), True, False
    return containers.get(name), part != "proxy", True


# --- commands --------------------------------------------------------------------------------------------------------


def execute(client: docker.DockerClient, container: Container, argv: Sequence[str]) -> int:
    """On this terminal where there is one, else the output alone. Raises ``LabError`` when it cannot be run."""
    cli = shutil.which("docker")
    if cli and sys.stdin.isatty() and sys.stdout.isatty():
        return subprocess.run([cli, "exec", "-it", str(container.id), *argv], check=False).returncode
    try:
        identity = client.api.exec_create(str(container.id), list(argv))["Id"]
        first = b""
        for out, error in client.api.exec_start(identity, stream=True, demux=True):
            first = first or out or b""
            if not first.startswith(NOT_RUN):
                _write(sys.stdout, out)
            _write(sys.stderr, error)
        status = int(client.api.exec_inspect(identity)["ExitCode"])
    except APIError as refused:
        raise LabError(f"cannot run {argv[0]}", why=said(refused)) from refused
    if status in CANNOT_RUN and first.startswith(NOT_RUN):
        raise LabError(f"cannot run {argv[0]}", why=first.decode("utf-8", errors="replace").strip())
    return status


def _write(to: Any, chunk: bytes | None) -> None:
    if chunk:
        to.write(chunk.decode("utf-8", errors="replace"))
        to.flush()


def admin(container: Container, path: str, method: str) -> Response:
    command = ["python3", "-c", ASK_ADMIN, str(ADMIN_PORT), method, path]
    try:
        done = container.exec_run(command, user=PROXY_USER, demux=True)
    except APIError as refused:
        raise LabError(f"cannot ask the admin interface of {container.labels[PROCESS]}", why=said(refused)) from refused
    out, error = cast(tuple[bytes | None, bytes | None], done.output)
    if done.exit_code:
        why = (error or b"").decode("utf-8", errors="replace").strip().rpartition("\n")[2]
        raise LabError(f"the admin interface of {container.labels[PROCESS]} does not answer", why=why)
    head, _, content = (out or b"").partition(b"\n")
    status, headers = json.loads(head)
    return Response(status, content, Headers([(name, value) for name, value in headers]))
