"""The pytest plugin: the fixture ``mesh`` gives a test a running mesh, the report tells what the test did with it.

Options: ``--mesh-runtime``, ``--mesh-dataplane``, ``--mesh-lab`` (use a lab that is already up), ``--mesh-keep`` (leave the lab up),
``--mesh-report FILE`` (one self-contained HTML file), ``--mesh-steps`` (tell each step). A lab is brought up once per
session (and per xdist worker) and topology; configuration is reset before each test. Nothing heavy is imported until a test asks for
a mesh.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lab.lab import Lab
    from lab.story import Step, Story
    from lab.trial import Trial

STORY: pytest.StashKey[Story] = pytest.StashKey()
TRIAL: pytest.StashKey[Trial] = pytest.StashKey()
KEPT: pytest.StashKey[list[str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("seatrial", "a service mesh under test")
    environment = os.environ
    group.addoption("--mesh-runtime", choices=("local", "docker"), default=environment.get("SEATRIAL_RUNTIME", "local"))
    group.addoption("--mesh-dataplane", choices=("python", "envoy"), default=environment.get("SEATRIAL_DATAPLANE", "python"))
    group.addoption("--mesh-lab", metavar="NAME", help="use this lab, which is up, and leave it up")
    group.addoption("--mesh-keep", action="store_true", help="leave the lab up afterwards")
    group.addoption("--mesh-report", metavar="FILE", help="write one self-contained HTML report")
    group.addoption("--mesh-steps", action="store_true", help="tell each step of a scenario as it happens")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "mesh(topology): what the fixture `mesh` brings up: a bundled name, or a file, looked for beside the test first"
    )
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(RunRecord(config), "seatrial-run-record")


class RunRecord:
    """All stories of a run, gathered where the reports arrive (the xdist controller, or the only process), and written at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self.path = config.getoption("--mesh-report")
        self.runtime = config.getoption("--mesh-runtime")
        self.dataplane = config.getoption("--mesh-dataplane")
        self.lab_name = config.getoption("--mesh-lab") or ""
        self.stories: list[dict[str, Any]] = []
        self.kept: list[str] = []
        self.figures: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, "mesh_story"):
            self.stories.append(report.mesh_story)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """xdist: a worker has ended."""
        self.kept += getattr(node, "workeroutput", {}).get("mesh_kept", [])

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        for name in [*self.kept, *config.stash.get(KEPT, [])]:
            terminalreporter.write_line(f"lab {name} is still up; take it down with: seatrial down {name}")
        if self.path:
            from lab.report import write

            terminalreporter.write_line(f"mesh report: {write(self.to_json(), Path(self.path))}")

    def to_json(self) -> dict[str, Any]:
        from datetime import UTC, datetime

        count = {verdict: sum(s["verdict"] == verdict for s in self.stories) for verdict in ("passed", "failed", "skipped")}
        return {
            "lab": {"name": self.lab_name, "runtime": self.runtime, "dataplane": self.dataplane},
            "started": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),  # noqa: TID251  # the report's date, decided upon by nothing
            "summary": ", ".join(f"{n} {verdict}" for verdict, n in count.items() if n) or "nothing ran",
            "figures": self.figures,
            "stories": self.stories,
        }


class Labs:
    """The labs of this session, by topology; made when first asked for."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._labs: dict[str, Lab] = {}
        self._ours: list[Lab] = []

    def get(self, topology: str) -> Lab:
        if topology not in self._labs:
            self._labs[topology] = self._bring_up(topology)
        return self._labs[topology]

    def _bring_up(self, topology: str) -> Lab:
        from lab.lab import Lab

        given = self._config.getoption("--mesh-lab")
        if given:
            lab = Lab.attach(given)
            if lab.topology.name == Path(topology).stem:
                return lab
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        name = f"test-{Path(topology).stem}-{os.getpid()}-{worker}"
        options = {"runtime": self._config.getoption("--mesh-runtime"), "dataplane": self._config.getoption("--mesh-dataplane")}
        lab = Lab.up(topology, name=name, tied=not self._config.getoption("--mesh-keep"), **options)
        self._ours.append(lab)
        return lab

    def down(self) -> None:
        if self._config.getoption("--mesh-keep"):
            kept = [lab.name for lab in self._ours]
            self._config.stash[KEPT] = kept
            getattr(self._config, "workeroutput", {})["mesh_kept"] = kept
            return
        for lab in self._ours:
            lab.down()


@pytest.fixture(scope="session")
def mesh_labs(pytestconfig: pytest.Config) -> Iterator[Labs]:
    """All labs of the session."""
    labs = Labs(pytestconfig)
    yield labs
    labs.down()


@pytest.fixture
def mesh(request: pytest.FixtureRequest, mesh_labs: Labs) -> Iterator[Trial]:
    """A running mesh without configuration, in the hands of this test."""
    from lab.story import Story, telling
    from lab.trial import Trial

    marker = request.node.get_closest_marker("mesh")
    topology = "bookshop" if marker is None else str(marker.kwargs.get("topology") or marker.args[0])
    beside = request.path.parent / topology
    trial = Trial(mesh_labs.get(str(beside) if beside.is_file() else topology), request.path.parent)
    trial.reset()
    purpose = (request.function.__doc__ or "").strip()
    story = Story(name=request.node.name, scenario=request.path.parent.name, purpose=purpose)
    request.node.stash[STORY], request.node.stash[TRIAL] = story, trial
    with telling(story, _teller(request.config)):
        yield trial


def _teller(config: pytest.Config) -> Any:
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if not config.getoption("--mesh-steps") or reporter is None:
        return None

    capture = config.pluginmanager.getplugin("capturemanager")

    def tell(step: Step) -> None:
        mark = {True: "✔", False: "✘", None: "·"}[step.ok]
        took = f" ({step.seconds:.3f} s)" if step.seconds is not None else ""
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line(f"    {mark} {step.kind:8}{step.title}{took}", green=step.ok is True, red=step.ok is False)

    return tell


def _not_begun(item: pytest.Item, report: pytest.TestReport) -> Story:
    """The lab did not come up, or another fixture failed: the report must not look as if there had been no such test."""
    from lab.story import Story

    purpose = (getattr(getattr(item, "function", None), "__doc__", None) or "").strip()
    failure = f"it could not begin:\n{report.longreprtext}"
    return Story(item.name, item.path.parent.name, purpose, verdict="failed", seconds=report.duration, failure=failure)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[assignment]
    story = item.stash.get(STORY, None)
    if story is None and report.when == "setup" and report.failed and "mesh" in getattr(item, "fixturenames", ()):
        report.mesh_story = _not_begun(item, report).to_json()  # type: ignore[attr-defined]
    if story is not None and report.when == "call":
        story.verdict, story.seconds = report.outcome, report.duration
        if report.failed:
            story.failure = str(report.longreprtext)
            story.evidence = item.stash[TRIAL].evidence()
            report.sections.extend((f"mesh: {title}", text) for title, text in story.evidence.items())
        report.mesh_story = story.to_json()  # type: ignore[attr-defined]  # xdist carries extra attributes over
    return report  # type: ignore[return-value]
