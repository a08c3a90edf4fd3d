"""export: a lab as files for other tools."""

import importlib
from pathlib import Path
from typing import Annotated

import typer

from lab.cli.output import put, say

app = typer.Typer(help="Write a lab down for another tool.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def export() -> None:
    """Write a lab down for another tool."""


@app.command()
def compose(
    topology: Annotated[str, typer.Argument(help="A bundled topology, or a topology file.", metavar="[TOPOLOGY]")] = "bookshop",
    to: Annotated[Path | None, typer.Option("--write", "-w", help="Write it to this file, not to stdout.", metavar="FILE")] = None,
) -> None:
    """Print the lab as a docker-compose.yml that compose v2 and v1 alike bring up."""
    from lab.topology import load

    text = str(importlib.import_module("lab.export.compose").export(load(topology)))
    if to is None:
        put(text.rstrip("\n"))
    else:
        to.write_text(text, encoding="utf-8")
        say(f"written: {to}")
