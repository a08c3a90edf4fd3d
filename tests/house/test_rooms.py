"""The house rules that no linter knows: rooms are named, lessons complete, documents true."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCENARIOS = sorted(path.parent for path in ROOT.glob("scenarios/*/test_*.py"))
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()


@pytest.mark.parametrize("folder", SCENARIOS, ids=lambda folder: folder.name)
def test_a_scenario_is_a_lesson_with_configuration_and_a_test_of_its_name(folder: Path) -> None:
    assert folder.name.isidentifier(), "import-linter would skip it silently"
    assert (folder / "__init__.py").is_file()
    assert (folder / f"test_{folder.name}.py").is_file()
    assert list((folder / "config").glob("*.yaml"))
    lesson = (folder / "README.md").read_text(encoding="utf-8")
    for heading in ("## Do", "## Verify", "## What happened", "## Clean up"):
        assert heading in lesson


def test_lessons_toml_names_every_scenario_once_and_prerequisites_come_first() -> None:
    lessons = tomllib.loads((ROOT / "scenarios/lessons.toml").read_text(encoding="utf-8"))["lesson"]
    names = [lesson["name"] for lesson in lessons]
    assert sorted(names) == sorted(folder.name for folder in SCENARIOS)
    for place, lesson in enumerate(lessons):
        assert set(lesson.get("after", [])) <= set(names[:place]), f"{lesson['name']} comes before what it builds on"


def test_a_filter_is_short() -> None:
    filters = list((ROOT / "mesh/sidecar/filters").glob("[a-z]*.py"))
    assert len(filters) >= 13
    for path in filters:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 200, f"{path.name} is not one feature any more"


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"])
def test_files_that_a_document_points_to_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / target).exists(), target
    for target in re.findall(r"`((?:lab|mesh|scenarios|services|docs|tests)/[\w./-]+\.(?:py|yaml|md|toml))`", text):
        assert (ROOT / target).exists(), target


def test_make_targets_in_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for document in [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("scenarios/*/README.md")]:
        for target in re.findall(r"^    make ([a-z-]+)", document.read_text(encoding="utf-8"), re.MULTILINE):
            assert target in targets, f"{document}: make {target}"


def test_seatrial_verbs_in_documents_exist() -> None:
    from lab.cli import app

    verbs = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    verbs |= {group.name for group in app.registered_groups if group.name}
    for document in [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("scenarios/*/README.md")]:
        for verb in re.findall(r"(?:^    |\$\()seatrial ([a-z]+)", document.read_text(encoding="utf-8"), re.MULTILINE):
            assert verb in verbs, f"{document}: seatrial {verb}"


def test_every_package_has_a_docstring_that_says_what_the_room_is_for() -> None:
    assert TRACKED, "git ls-files says nothing"
    for name in TRACKED:
        path = ROOT / name
        if re.match(r"(lab|mesh|services)/.*__init__\.py$|(lab|mesh|services|scenarios)/__init__\.py$", name) and path.is_file():
            assert path.read_text(encoding="utf-8").lstrip().startswith('"""'), f"{name} does not say what the room is for"
