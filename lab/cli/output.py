"""What the commands print: data to stdout, everything else to stderr; plain text through a pipe, colour and tables on a terminal.

NO_COLOR, FORCE_COLOR and TERM=dumb are honoured (rich does that); JSON and YAML never carry colour.
kubectl's words: -o json|yaml|wide|name.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

GOOD = frozenset({"SYNCED", "running", "ready", "healthy", "ok", "yes", "passed"})
BAD = frozenset({"NACK", "crashed", "unhealthy", "failed", "no", "exited", "disconnected"})
WAITING = frozenset({"STALE", "PENDING", "starting", "stopped", "warning", "NOT SENT", "unready"})


class Output(StrEnum):
    """How data is printed."""

    TABLE = "table"
    WIDE = "wide"
    NAME = "name"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; a ``wide`` one is only shown with -o wide."""

    title: str
    key: str
    wide: bool = False


def say(text: str = "", style: str = "") -> None:
    """A note for the person at the keyboard: stderr."""
    if _colored(sys.stderr) and style:
        _console(sys.stderr).print(text, style=style, markup=False, highlight=False, soft_wrap=True)
    else:
        print(text, file=sys.stderr)  # noqa: T201


def complain(text: str) -> None:
    """An error or a warning: stderr; in colour the first line, the place and the caret stand out."""
    for line in text.splitlines():
        say(line, style=_style_of(line))


def _style_of(line: str) -> str:
    if line.startswith("error"):
        return "bold red"
    if line.startswith("warning"):
        return "bold yellow"
    if line.startswith("  --> "):
        return "cyan"
    margin, bar, drawn = line.partition("|")
    return "red" if bar and not margin.strip() and drawn.strip().startswith("^") else ""


def put(text: str) -> None:
    """Data: stdout."""
    print(text, flush=True)  # noqa: T201


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], output: Output, headers: bool = True) -> None:
    """Rows of data in the form that was asked for; the first column is the name."""
    match output:
        case Output.JSON:
            put(as_json(rows))
        case Output.YAML:
            put(as_yaml(rows))
        case Output.NAME:
            for row in rows:
                put(_text(row.get(columns[0].key)))
        case _:
            _table(rows, [column for column in columns if output is Output.WIDE or not column.wide], headers)


def as_json(data: Any) -> str:
    return json.dumps(data, indent=2, default=str, ensure_ascii=False)


def as_yaml(data: Any) -> str:
    import yaml

    return str(yaml.safe_dump(json.loads(json.dumps(data, default=str)), sort_keys=False, allow_unicode=True)).rstrip()


def is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _colored(stream: TextIO) -> bool:
    return (is_terminal(stream) or bool(os.environ.get("FORCE_COLOR"))) and not os.environ.get("NO_COLOR")


def _console(stream: TextIO) -> "Console":
    from rich.console import Console

    return Console(file=stream)


def _text(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    if isinstance(value, dict):
        return ",".join(f"{key}={_text(item)}" for key, item in value.items())
    return str(value)


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], headers: bool) -> None:
    cells = [[_text(row.get(column.key)) for column in columns] for row in rows]
    lines = [[column.title for column in columns]] * headers + cells
    widths = [max((len(line[index]) for line in lines), default=0) for index in range(len(columns))]
    colored = _colored(sys.stdout)
    for number, line in enumerate(lines):
        put(
            "   ".join(
                _cell(text, width, colored, heading=headers and number == 0) for text, width in zip(line, widths, strict=True)
            ).rstrip()
        )


def _cell(text: str, width: int, colored: bool, heading: bool) -> str:
    padded = text.ljust(width)
    if not colored:
        return padded
    code = "1" if heading else _color(text)
    return f"\x1b[{code}m{text}\x1b[0m{padded[len(text) :]}" if code else padded


def _color(text: str) -> str:
    word = text.partition(":")[0].partition(" (")[0]
    return "32" if word in GOOD else "31" if word in BAD else "33" if word in WAITING else ""
