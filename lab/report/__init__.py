"""One self-contained HTML file of a run: what was applied, what was sent, what came back, and the verdicts.

No script, no font, no image from elsewhere: the file can be mailed. ``render`` takes the run as plain data (``RunRecord.to_json()``), so a
saved run can be rendered again.
"""

import json
from pathlib import Path
from typing import Any

from lab.report.charts import bounds_bar, timeline


def render(run: dict[str, Any]) -> str:
    """The report as HTML text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # jinja2 is only paid for when a report is written

    environment = Environment(loader=PackageLoader("lab.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.globals.update(timeline=timeline, bounds_bar=bounds_bar)
    data = json.dumps(run).replace("</", "<\\/")  # an embedded </script> must not end the element
    return environment.get_template("report.html.j2").render(run=run, data=data)


def write(run: dict[str, Any], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(run), encoding="utf-8")
    return path
