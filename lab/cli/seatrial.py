"""All commands put together, and the entry point that runs them."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from lab.cli import configuration, demonstration, doctor, exporting, lifecycle, looking, reporting, scenarios, traffic, version
from lab.cli.exits import INTERRUPTED, TABLE, explained, leave_stdout


class Verbs(TyperGroup):
    """The group of all commands; whatever one of them raises is explained here."""

    def invoke(self, ctx: Any) -> Any:
        with explained():
            return super().invoke(ctx)


app = typer.Typer(
    name="seatrial",
    cls=Verbs,
    help="A service-mesh lab on one machine: services, sidecars and a control plane that speaks Istio's YAML.",
    epilog=TABLE,
    no_args_is_help=True,
    rich_markup_mode=None,  # rich's help costs a quarter of a second at each --help
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    lifecycle.up,
    lifecycle.down,
    lifecycle.ps,
    configuration.apply,
    configuration.get,
    configuration.delete,
    looking.status,
    looking.url,
    looking.admin,
    looking.logs,
    traffic.load,
    scenarios.run,
    reporting.report,
    demonstration.demo,
    doctor.doctor,
    version.version,
):
    app.command()(command)
app.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(looking.execute)
app.add_typer(exporting.app, name="export")


def main() -> None:
    """The entry point ``seatrial``."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        leave_stdout()
