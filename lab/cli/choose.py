"""Which lab and which workload a command means, so that the usual case needs no name.

The completions read the state folder and nothing else: a shell waits for them at every <Tab>.
"""

from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.exits import fail

if TYPE_CHECKING:
    from lab.lab import Lab


def lab_names(incomplete: str) -> list[str]:
    from lab import state

    return [name for name in state.names() if name.startswith(incomplete)]


def workload_names(incomplete: str) -> list[str]:
    from lab import state

    records = [state.LabFolder.of(name).read() or {} for name in state.names()]
    places = [place for record in records for place in (record.get("layout") or {}).get("places", ())]
    return [name for name in ("control", *(place["name"] for place in places)) if name.startswith(incomplete)]


LabName = Annotated[
    str | None,
    typer.Option(
        "--lab", envvar="SEATRIAL_LAB", help="Which lab; not needed when only one is up.", metavar="NAME", autocompletion=lab_names
    ),
]


def chosen(name: str | None) -> str:
    """The lab of this name, or the only one there is."""
    from lab import state

    if name is not None:
        return name
    names = state.names()
    if len(names) > 1:
        fail(f"there are several labs: {', '.join(names)}", hint="say which one with --lab NAME, or set SEATRIAL_LAB")
    if not names:
        fail("no lab is up", hint="bring one up with: seatrial up")
    return names[0]


def attached(name: str | None) -> "Lab":
    from lab.lab import Lab

    return Lab.attach(chosen(name))


def workload_of(lab: "Lab", said: str) -> str:
    """A workload by its name, or by as much of it as names only one: ``reviews-v1`` for ``reviews-v1-0``."""
    names = ["control", *(place.name for place in lab.layout.places)]
    if said in names:
        return said
    begun = [name for name in names if name.startswith(f"{said}-")]
    if not begun:
        fail(f"lab {lab.name} has no workload {said}", hint=did_you_mean(said, names) or f"workloads: {', '.join(names)}")
    if len(begun) > 1:
        fail(f'"{said}" may be {", ".join(begun)}', hint="say which one")
    return begun[0]


def did_you_mean(said: str, known: list[str]) -> str:
    near = get_close_matches(said, known, n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else ""
