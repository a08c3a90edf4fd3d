"""demo: the whole of it once, from nothing to verdicts and back to nothing. This is what `make demo` runs."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli import scenarios
from lab.cli.exits import INTERRUPTED, terminable
from lab.cli.lifecycle import Dataplane, DataplaneOption, Runtime, RuntimeOption, told_with_seconds
from lab.cli.output import Column, Output, complain, put, say, show

if TYPE_CHECKING:
    import pytest

    from lab.lab import Lab

SHOWN = ("canary", "fault_delay", "fault_abort")
FIRST_ANSWER_SECONDS = 30.0
VERDICTS = (
    Column("SCENARIO", "scenario"),
    Column("WHAT WAS TRIED", "what"),
    Column("REQUESTS", "requests"),
    Column("CHECKS", "checks"),
    Column("SECONDS", "seconds"),
    Column("VERDICT", "verdict"),
)


@dataclass
class Verdicts:
    """A pytest plugin: gives the figures to the report, and hears what became of each scenario."""

    figures: Mapping[str, str]
    rows: list[dict[str, Any]] = field(default_factory=list)

    def pytest_sessionstart(self, session: "pytest.Session") -> None:
        session.config.pluginmanager.getplugin("seatrial-run-record").figures.update(self.figures)

    def pytest_runtest_logreport(self, report: "pytest.TestReport") -> None:
        if hasattr(report, "mesh_story"):
            self.rows.append(_row(report.mesh_story))
        elif report.failed:
            scenario, what = Path(report.fspath).parent.name, f"{scenarios.words_of(report.nodeid.rpartition('::')[2])} ({report.when})"
            self.rows.append({"scenario": scenario, "what": what, "seconds": f"{report.duration:.1f}", "verdict": "failed"})


def _row(story: Mapping[str, Any]) -> dict[str, Any]:
    steps = story["steps"]
    loads = [step["detail"].get("result", {}) for step in steps if step["kind"] == "load"]
    judged = [step["ok"] for step in steps if step["ok"] is not None]
    return {
        "scenario": story["scenario"],
        "what": scenarios.words_of(story["name"]),
        "requests": sum(load.get("requests", 0) for load in loads) + sum(step["kind"] == "request" for step in steps),
        "checks": f"{sum(judged)}/{len(judged)}",
        "seconds": f"{story['seconds']:.1f}",
        "verdict": story["verdict"],
    }


def demo(
    runtime: RuntimeOption = Runtime.LOCAL,
    dataplane: DataplaneOption = Dataplane.PYTHON,
    report: Annotated[Path, typer.Option("--report", help="Where the HTML report goes.", metavar="FILE")] = Path("reports/demo.html"),
) -> None:
    """Show it all: up, scenarios, report, down.

    Brings the bookshop up, runs the canary and fault scenarios under load, prints verdicts, writes a report, takes all down.
    """
    with terminable():
        code = _demonstrate(runtime, dataplane, report)
    raise typer.Exit(code)


def _demonstrate(runtime: Runtime, dataplane: Dataplane, report: Path) -> int:
    from lab.lab import Lab

    name = f"demo-{os.getpid()}"
    say(f"==> the bookshop comes up: {runtime.value} runtime, {dataplane.value} sidecars", "bold")
    started = time.monotonic()
    lab = Lab.up("bookshop", name=name, runtime=runtime, dataplane=dataplane, progress=told_with_seconds(), tied=True)
    try:
        up_seconds = _first_answer(lab, started)
        say(f"{up_seconds:6.1f} s  first good answer: {lab.url()}/productpage", "green")
        verdicts = Verdicts({f"up_{runtime.value}_seconds": f"{up_seconds:.2f}"})
        code = _run_scenarios(lab, report, verdicts)
    finally:
        down_seconds = _take_down(lab)
    if code == INTERRUPTED:
        return code
    _told_verdicts(verdicts, report)
    failed = sum(row["verdict"] != "passed" for row in verdicts.rows)
    where = runtime.value
    put(f"up_{where}_seconds={up_seconds:.2f} down_{where}_seconds={down_seconds:.2f} scenarios={len(verdicts.rows)} failed={failed}")
    return code


def _first_answer(lab: "Lab", started: float) -> float:
    from lab.until import until

    with lab.client() as client:
        until(lambda: client.get("/productpage").status == 200, FIRST_ANSWER_SECONDS, "a first good answer")
    return time.monotonic() - started


def _run_scenarios(lab: "Lab", report: Path, verdicts: Verdicts) -> int:
    say("\n==> scenarios, each with its own configuration and load", "bold")
    known = scenarios.folders()
    options = scenarios.mesh_options(lab.runtime_name, lab.dataplane, lab.name, report, steps=True)
    code = scenarios.pytest_main([known[name] for name in SHOWN], [*options, "-p", "no:cacheprovider"], [verdicts])
    if report.is_file():
        scenarios.keep_report(report)
    return code


def _take_down(lab: "Lab") -> float:
    started = time.monotonic()
    say("\n==> all goes down", "bold")
    lab.down()
    seconds = time.monotonic() - started
    say(f"{seconds:6.1f} s  nothing is left")
    return seconds


def _told_verdicts(verdicts: Verdicts, report: Path) -> None:
    say("\n==> verdicts", "bold")
    show(verdicts.rows, VERDICTS, Output.TABLE)
    if any(row["verdict"] != "passed" for row in verdicts.rows):
        complain("error: not every scenario passed; what was applied, each proxy's status and the access logs are in the report")
    put(f"\nreport: {report}")
