"""status, url, admin, logs, exec: what the proxies have, what the processes say, what it looks like from inside.

istioctl: `proxy-status`, `proxy-config`.
"""

import queue
import sys
import threading
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli.choose import LabName, attached, workload_names, workload_of
from lab.cli.exits import FAILED
from lab.cli.output import Column, Output, put, say, show

if TYPE_CHECKING:
    from lab.lab import Lab

TYPES = ("CDS", "LDS", "EDS", "RDS")
STATUS = (
    Column("NAME", "name"),
    Column("DATAPLANE", "dataplane"),
    *(Column(kind, kind) for kind in TYPES),
    Column("HEALTHY", "healthy"),
    Column("CONNECTED", "connected", wide=True),
    Column("ADDRESS", "address", wide=True),
    Column("VERSIONS", "versions", wide=True),
)


class Part(StrEnum):
    """Whose log: the app's, its sidecar's own, or the access log that the sidecar writes."""

    APP = "app"
    PROXY = "proxy"
    ACCESS = "access"


def status(
    workload: Annotated[str | None, typer.Argument(help="Only this one.", autocompletion=workload_names, metavar="[WORKLOAD]")] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="How to print it.")] = Output.TABLE,
    headers: Annotated[bool, typer.Option("--headers/--no-headers", help="Print column titles.")] = True,
    lab: LabName = None,
) -> None:
    """Show which proxy uses what it was sent.

    SYNCED: it does. STALE: it has not answered yet. NACK: it refused, and says why. NOT SENT: there was nothing to send.
    """
    found = attached(lab)
    proxies = found.status()
    if workload is not None:
        wanted = workload_of(found, workload)
        proxies = [proxy for proxy in proxies if proxy["node"]["name"] == wanted]
    if output in (Output.JSON, Output.YAML):
        show(proxies, STATUS, output)
        return
    show([_row(proxy) for proxy in proxies], STATUS, output, headers)
    if output is not Output.NAME:
        _told_errors(proxies)


def url(
    service: Annotated[str | None, typer.Argument(help="Which service; the topology's ingress if left out.")] = None,
    port: Annotated[int | None, typer.Option("--port", "-p", help="Which of its ports; the first if left out.")] = None,
    lab: LabName = None,
) -> None:
    """Print the address at which a service answers from outside, through the sidecar in front of it."""
    put(attached(lab).url(service, port))


def admin(
    workload: Annotated[str, typer.Argument(help="Whose sidecar.", autocompletion=workload_names)],
    path: Annotated[str, typer.Argument(help="A page as Envoy has it: /config_dump, /clusters, /stats?filter=…")] = "/config_dump",
    method: Annotated[str, typer.Option("--request", "-X", help="What changes something must be POSTed.")] = "GET",
    lab: LabName = None,
) -> None:
    """Print a page of a sidecar's admin interface, which listens on loopback only. istioctl: `proxy-config`, `pilot-agent request`."""
    found = attached(lab)
    response = found.admin(workload_of(found, workload), path, method)
    put(response.text.rstrip("\n"))
    if response.status >= 400:
        raise typer.Exit(FAILED)


def _row(proxy: dict[str, Any]) -> dict[str, Any]:
    node, types = proxy["node"], proxy["types"]
    row = {"name": f"{node['name']}.{node['namespace']}", "address": node["ip"]}
    row |= {key: proxy.get(key) for key in ("dataplane", "connected", "healthy")}
    row |= {kind: types.get(kind, {}).get("status", "NOT SENT") for kind in TYPES}
    return row | {"versions": {kind: types[kind]["acked"] for kind in TYPES if types.get(kind, {}).get("acked")}}


def _told_errors(proxies: list[dict[str, Any]]) -> None:
    for proxy in proxies:
        for kind, state in proxy["types"].items():
            if state.get("error"):
                put(f"\n{proxy['node']['name']} {kind} {state['status']}: it keeps {state['acked'] or 'nothing'}; it said:")
                put("\n".join(f"  | {line}" for line in str(state["error"]).splitlines()))


def logs(
    workloads: Annotated[
        list[str] | None, typer.Argument(help='Of whom; "control" is the control plane.', autocompletion=workload_names)
    ] = None,
    part: Annotated[Part, typer.Option("--container", "-c", help="Whose log.")] = Part.APP,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come, until Ctrl-C.")] = False,
    tail: Annotated[int | None, typer.Option("--tail", help="Only so many last lines.", min=0, metavar="N")] = None,
    lab: LabName = None,
) -> None:
    """Show what workloads and their sidecars wrote.

    Of several workloads (without a name: all), each line has its name in front.
    """
    found = attached(lab)
    names = [workload_of(found, name) for name in workloads or ()] or [place.name for place in found.layout.places]
    width = max(map(len, names)) if len(names) > 1 else 0
    if follow:
        _follow(found, names, part, tail, width)
        return
    lines = [_marked(name, width, line) for name in names for line in found.logs(name, part.value, tail=tail).splitlines()]
    if lines:
        put("\n".join(lines))
    else:
        say("nothing was written" + ("; the requests are in the access log: -c access" if part is not Part.ACCESS else " yet"))


def _marked(name: str, width: int, line: str) -> str:
    return f"{name.ljust(width)} | {line}" if width else line


def _follow(lab: "Lab", names: list[str], part: Part, tail: int | None, width: int) -> None:
    """Each log is read by a thread of its own; they end with the process, or with the lab."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read(name: str) -> None:
        try:
            for line in lab.logs(name, part.value, follow=True, tail=tail):
                lines.put(_marked(name, width, line))
        finally:
            lines.put(None)

    for name in names:
        threading.Thread(target=read, args=(name,), daemon=True).start()
    reading = len(names)
    while reading:
        line = lines.get()
        if line is None:
            reading -= 1
        else:
            put(line)


def execute(
    workload: Annotated[str, typer.Argument(help="Where.", autocompletion=workload_names)],
    command: Annotated[list[str], typer.Argument(help="The command and its arguments, after --.", metavar="-- COMMAND...")],
    lab: LabName = None,
) -> None:
    """Run a command where a workload runs.

    With the environment of its app; the exit code is the command's.
    """
    found = attached(lab)
    sys.stdout.flush()
    argv = command[1:] if command[0] == "--" else command
    if not argv:
        say("no command given: seatrial exec reviews-v1-0 -- env")
        raise typer.Exit(2)
    raise typer.Exit(found.exec(workload_of(found, workload), argv))
