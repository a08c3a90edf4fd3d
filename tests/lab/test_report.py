"""The report: one file that stands alone, says all that a failure needs, and can be read."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from lab.report import render

NASTY = "</script><script>alert(1)</script><b>&amp;"


def step(kind: str, title: str, ok: bool | None = None, **detail: Any) -> dict[str, Any]:
    return {"kind": kind, "title": title, "ok": ok, "seconds": 0.5, "detail": detail}


SECOND = {"at_seconds": 0.0, "ok": 3, "failed": 2, "labels": {NASTY: 3}, "p50_us": 900, "p99_us": 2000}
LOAD = {
    "requests": 5,
    "failed": 2,
    "seconds": 1.0,
    "rps": 5.0,
    "open_loop": False,
    "statuses": {"200": 3, "503": 1, "0": 1},
    "errors": {"ConnectionRefusedError": 1},
    "latency_ms": {"p50": 0.9, "p95": 1.9, "p99": 2.0},
    "timeline": [SECOND],
}
GOOD: dict[str, Any] = {"name": "test_good", "scenario": "canary", "purpose": "It is good.", "verdict": "passed", "seconds": 1.5}
GOOD |= {"steps": [step("check", "all well", True, seen="3")], "failure": "", "evidence": {}}
BAD: dict[str, Any] = {
    "name": "test_bad",
    "scenario": "canary",
    "purpose": NASTY,
    "verdict": "failed",
    "seconds": 2.5,
    "failure": f"E {NASTY}",
}
BAD |= {"evidence": {"proxy status": "reviews-v1-0 NACK", "access log of a (tail)": NASTY}}
BAD["steps"] = [
    step("apply", "split.yaml → 3 proxies", yaml="kind: VirtualService"),
    step("load", "5 x /: 2 failed", result=LOAD),
    step("check", "a split", False, seen="5", rows=[{"label": NASTY, "share": 0.5, "count": 5, "low": 1, "high": 4, "ok": False}]),
]
RUN: dict[str, Any] = {
    "lab": {"name": "", "runtime": "local", "dataplane": "python"},
    "started": "2026-01-01 12:00:00 UTC",
    "summary": "1 passed, 1 failed",
    "figures": {"up_local_seconds": "2.10"},
    "stories": [GOOD, BAD],
}
VOID = {"meta", "rect", "line", "br"}


class Page(HTMLParser):
    """Complains of an element that is not closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.setdefault(self.open[-1] if self.open else "", []).append(data)

    def attributes(self, name: str) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get(name)) is not None]

    def text(self) -> str:
        return " ".join(word for tag, words in self.words.items() if tag not in ("script", "style") for word in words)


@pytest.fixture(scope="module")
def html() -> str:
    return render(RUN)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_nothing_comes_from_elsewhere_and_nothing_runs(page: Page, html: str) -> None:
    assert page.attributes("src") == []
    assert all(target.startswith("#") for target in page.attributes("href"))
    assert not [tag for tag, _ in page.elements if tag in ("link", "iframe", "object", "img", "base")]
    assert [attributes.get("type") for tag, attributes in page.elements if tag == "script"] == ["application/json"]
    assert not re.search(r"@import|url\(", html)


def test_what_was_seen_is_text_whatever_it_is(page: Page) -> None:
    assert "alert(1)" in page.text()
    assert "b" not in {tag for tag, _ in page.elements}


def test_links_lead_somewhere(page: Page) -> None:
    assert page.attributes("href") == [f"#{target}" for target in page.attributes("id") if target.startswith("s")]


@pytest.mark.parametrize(
    "said",
    [
        "test_good",
        "It is good.",
        "up_local_seconds",
        "kind: VirtualService",
        "reviews-v1-0 NACK",
        " status 503.",
        "ConnectionRefusedError",
        "allowed 1..4",
    ],
)
def test_it_says(page: Page, said: str) -> None:
    assert said in page.text()


def test_the_run_is_in_it_as_data(html: str, page: Page) -> None:
    data = json.loads("".join(page.words["script"]))
    assert data == RUN
    assert render(data) == html


def test_a_run_in_which_nothing_ran_is_a_report_too() -> None:
    assert "nothing ran" in Page(render({**RUN, "stories": [], "summary": "nothing ran"})).text()


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
@pytest.mark.parametrize("ground", ["paper", "box"])
@pytest.mark.parametrize("ink", ["ink", "dim", "good", "bad"])
def test_words_stand_out_from_their_ground(html: str, scheme: str, ground: str, ink: str) -> None:
    """WCAG 2, level AA: 4.5 to 1."""
    colours = palette(html, scheme)
    lighter, darker = sorted((luminance(colours[ink]), luminance(colours[ground])), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def palette(html: str, scheme: str) -> dict[str, str]:
    starts = {"light": ":root {", "dark": "(prefers-color-scheme: dark) { :root {", "print": "@media print { :root {"}
    block = html.split(starts[scheme], 1)[1].split("}", 1)[0]
    return dict(re.findall(r"--(\w+):\s*#([0-9a-f]+)", block))


def luminance(colour: str) -> float:
    digits = "".join(digit * 2 for digit in colour) if len(colour) == 3 else colour
    channels = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
