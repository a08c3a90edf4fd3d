"""report: the HTML report of the last run."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from lab.cli.exits import fail
from lab.cli.output import put, say


def last_report() -> Path:
    """Where each run leaves its report for `seatrial report`."""
    from lab import state

    return state.home() / "reports" / "last.html"


def report(
    to: Annotated[Path | None, typer.Option("--write", "-w", help="Copy it to this file.", metavar="FILE")] = None,
    browse: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Find, copy or open the report of the last run."""
    found = last_report()
    if not found.is_file():
        fail("there is no report yet", hint="make one with: seatrial run canary, or: seatrial demo")
    if to is not None:
        to.parent.mkdir(parents=True, exist_ok=True)
        found = Path(shutil.copyfile(found, to))
    put(str(found))
    if browse:
        import webbrowser

        if not webbrowser.open(found.resolve().as_uri()):
            say("no browser could be started here; open the file yourself")
