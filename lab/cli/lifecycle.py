"""up, down, ps: a lab comes, is there, goes."""

import time
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli.choose import LabName, chosen, lab_names
from lab.cli.output import Column, Output, put, say, show

if TYPE_CHECKING:
    from lab.lab import Lab


class Runtime(StrEnum):
    """Where workloads run."""

    LOCAL = "local"
    DOCKER = "docker"


class Dataplane(StrEnum):
    """What the sidecars are."""

    PYTHON = "python"
    ENVOY = "envoy"


RuntimeOption = Annotated[Runtime, typer.Option("--runtime", envvar="SEATRIAL_RUNTIME", help="Processes, or containers.")]
DataplaneOption = Annotated[Dataplane, typer.Option("--dataplane", envvar="SEATRIAL_DATAPLANE", help="Our sidecar, or a real Envoy.")]
Topology = Annotated[str, typer.Argument(help="A bundled topology, or a topology file.", metavar="[TOPOLOGY]")]

PS = (
    Column("LAB", "lab", wide=True),
    Column("NAME", "name"),
    Column("STATUS", "status"),
    Column("READY", "ready"),
    Column("URL", "url"),
    Column("APP", "app", wide=True),
    Column("APP ID", "app_id", wide=True),
    Column("PROXY", "proxy", wide=True),
    Column("PROXY ID", "proxy_id", wide=True),
    Column("DATAPLANE", "dataplane", wide=True),
    Column("RUNTIME", "runtime", wide=True),
)


def up(
    topology: Topology = "bookshop",
    name: Annotated[str | None, typer.Option("--name", help="Call the lab so; else it is called as its topology.")] = None,
    runtime: RuntimeOption = Runtime.LOCAL,
    dataplane: DataplaneOption = Dataplane.PYTHON,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds until it must be ready.", min=1)] = 60.0,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="As in compose; `up` always returns when the lab is ready.")] = True,
) -> None:
    """Bring a lab up, and print the URL of its ingress.

    A second `up` finds the lab up and changes nothing. It goes away whole when it cannot come up, or is interrupted.
    """
    from lab.lab import Lab

    started = time.monotonic()
    lab = Lab.up(topology, name=name, runtime=runtime, dataplane=dataplane, progress=told_with_seconds(), timeout_seconds=timeout)
    took = time.monotonic() - started
    say(
        f"lab {lab.name} is up ({took:.1f} s): {len(lab.layout.places)} workloads, {runtime.value} runtime, {dataplane.value} sidecars",
        "green",
    )
    put(lab.url())
    _what_next(lab)


def told_with_seconds() -> Callable[[str], None]:
    """Progress: each line with the seconds since the first."""
    started = time.monotonic()

    def tell(text: str) -> None:
        say(f"{time.monotonic() - started:6.1f} s  {text}")

    return tell


def _what_next(lab: "Lab") -> None:
    from lab import state

    which = "" if state.names() == [lab.name] else f" --lab {lab.name}"
    bookshop = lab.topology.name == "bookshop"
    say("try next:")
    say(f"  curl {lab.url()}{'/productpage' if bookshop else '/'}")
    say(f"  seatrial ps{which}")
    if bookshop:
        say(f"  seatrial run canary{which}")
    say(f"  seatrial down {lab.name}")


def down(
    name: Annotated[str | None, typer.Argument(help="Which lab; not needed when only one is up.", autocompletion=lab_names)] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every lab of this user.")] = False,
) -> None:
    """Take a lab down; nothing of it stays.

    In whatever state it is: no process, container, port or file stays. A lab that is not there is no error.
    """
    from lab import state
    from lab.lab import Lab

    names = state.names() if everything else [name] if name else state.names() and [chosen(None)]
    if not names:
        say("no lab is up: nothing to take down")
    for each in names:
        started = time.monotonic()
        if Lab.take_down(each):
            say(f"lab {each} is down ({time.monotonic() - started:.1f} s)", "green")
        else:
            others = ", ".join(state.names())
            say(f"there is no lab {each}: nothing to take down" + (f" (labs: {others})" if others else ""))


def ps(
    lab: LabName = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Every lab of this user, also a broken one.")] = False,
    output: Annotated[Output, typer.Option("--output", "-o", help="How to print it.")] = Output.TABLE,
    headers: Annotated[bool, typer.Option("--headers/--no-headers", help="Print column titles.")] = True,
) -> None:
    """Show workloads, and where each can be reached."""
    from lab import state

    rows = [row for name in (state.names() if everything else [chosen(lab)]) for row in _rows(name, tolerant=everything)]
    columns = [Column(column.title, column.key, column.wide and not (everything and column.key == "lab")) for column in PS]
    show(rows, columns[1:] + columns[:1] if output is Output.NAME else columns, output, headers)


def _rows(name: str, tolerant: bool) -> list[dict[str, Any]]:
    from lab.lab import Lab
    from lab.runtimes.runtime import LabError

    try:
        return [{"lab": name, "url": row.get("address"), **row} for row in Lab.attach(name).ps()]
    except LabError:
        if not tolerant:
            raise
        return [{"lab": name, "name": "-", "kind": "lab", "status": "broken", "ready": False}]
