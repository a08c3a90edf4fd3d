"""run: scenarios by name. A thin wrapper that prints the pytest line it runs."""

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli.choose import did_you_mean, lab_names
from lab.cli.exits import FAILED, INTERRUPTED, USAGE, fail, terminable
from lab.cli.lifecycle import Dataplane, DataplaneOption, Runtime, RuntimeOption
from lab.cli.output import Column, Output, put, say, show
from lab.cli.reporting import last_report

if TYPE_CHECKING:
    import pytest

CODES = {0: 0, 4: USAGE}  # pytest's; anything else is a failure
QUIET = ("-p", "no:locust", "--import-mode=importlib", "--no-header", "--tb=short", "-q", "-o", "console_output_style=classic")


def scenario_names(incomplete: str) -> list[str]:
    return [name for name in folders() if name.startswith(incomplete)]


def folders() -> dict[str, Path]:
    """Every scenario by name. Found, not imported: scenarios stand above the lab."""
    from importlib.util import find_spec

    spec = find_spec("scenarios")
    roots = [Path(root) for root in (spec.submodule_search_locations if spec else None) or ()]
    return {test.parent.name: test.parent for root in roots for test in sorted(root.glob("*/test_*.py"))}


def run(
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names, or folders of your own; what follows -- is pytest's.", autocompletion=scenario_names, metavar="[SCENARIO]..."
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    runtime: RuntimeOption = Runtime.LOCAL,
    dataplane: DataplaneOption = Dataplane.PYTHON,
    lab: Annotated[str | None, typer.Option("--lab", help="Use this lab, which is up, and leave it up.", autocompletion=lab_names)] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the lab up afterwards.")] = False,
    report: Annotated[Path | None, typer.Option("--report", help="Write the HTML report to this file.", metavar="FILE")] = None,
    steps: Annotated[bool, typer.Option("--steps/--no-steps", help="Tell each step as it happens.")] = True,
) -> None:
    """Run scenarios; without a name, list them.

    In a lab of their own, or with --lab in one that is up. `seatrial run canary -- -x` hands -x to pytest.
    """
    names, extra = _split(scenarios or [])
    if not names and not everything:
        _list()
        return
    paths = list(folders().values()) if everything else [_folder(name) for name in names]
    mesh = mesh_options(runtime, dataplane, lab, report or last_report(), steps) + (["--mesh-keep"] if keep else [])
    say(shlex.join(["pytest", *(_short(path) for path in paths), *mesh, *extra]))
    code = pytest_main(paths, [*mesh, *extra])
    if report is not None and report.is_file():
        keep_report(report)
    raise typer.Exit(code)


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """Scenarios first; from the first option on it is pytest's."""
    first = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
    return words[:first], words[first:]


def _folder(name: str) -> Path:
    known = folders()
    plain = name.replace("-", "_").strip("/")
    if plain in known:
        return known[plain]
    if not Path(name).exists():
        fail(f"there is no scenario {name}", USAGE, did_you_mean(plain, list(known)) or f"scenarios: {', '.join(known)}")
    return Path(name)


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _list() -> None:
    import tomllib

    known = folders()
    lessons = [
        tomllib.loads(file.read_text("utf-8")).get("lesson", []) for file in {path.parent / "lessons.toml" for path in known.values()}
    ]
    titles = {lesson["name"]: lesson["title"] for lesson in (lessons[0] if lessons else [])}
    names = [name for name in titles if name in known] + [name for name in known if name not in titles]
    rows = [{"name": name, "title": titles.get(name, ""), "folder": _short(known[name])} for name in names]
    show(rows, [Column("SCENARIO", "name"), Column("LESSON", "title"), Column("FOLDER", "folder")], Output.TABLE)
    say("run one with: seatrial run canary; all: seatrial run --all")


def mesh_options(runtime: str, dataplane: str, lab: str | None, report: Path, steps: bool) -> list[str]:
    options = [f"--mesh-runtime={runtime}", f"--mesh-dataplane={dataplane}", f"--mesh-report={report}"]
    return options + ([f"--mesh-lab={lab}"] if lab else []) + (["--mesh-steps", "--capture=no"] if steps else [])


def pytest_main(paths: Sequence[Path], options: Sequence[str], plugins: Sequence[Any] = ()) -> int:
    """Run pytest here; returns our exit code."""
    import pytest

    sys.stdout.flush()
    narrator = Narrator()
    with terminable():
        status = pytest.main([*map(str, paths), *QUIET, *options], plugins=[narrator, *plugins])
    return INTERRUPTED if narrator.interrupted else CODES.get(int(status), FAILED)


class Narrator:
    """A pytest plugin: a headline for each test in place of a dot, and whether Ctrl-C came (the exit code alone may mean broken files)."""

    interrupted = False

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        file, _, test = nodeid.partition("::")
        put(f"\n  {Path(file).parent.name}: {words_of(test)}")

    def pytest_report_teststatus(self, report: "pytest.TestReport") -> tuple[str, str, str] | None:
        return ("passed", "", "PASSED") if report.passed and report.when == "call" else None

    def pytest_keyboard_interrupt(self) -> None:
        self.interrupted = True


def words_of(test: str) -> str:
    """Tests are named by a sentence."""
    return test.removeprefix("test_").replace("_", " ")


def keep_report(file: Path) -> None:
    """`seatrial report` finds it."""
    last = last_report()
    last.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, last)
