"""Draws the README's pictures with the program itself, on the recorded demo, and reads such a picture back.

Invariant: the same code draws the same pictures, anywhere; a picture asks nobody for anything, a font least of all.
`python -m tests.pictures` draws them anew, after a change that is meant; a test holds that they show what the program shows.
"""

import asyncio
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from tests.recorded import recorded_feed, write_store
from tests.tui.pilots import driving

HERE = Path(__file__).parents[1] / "examples"
SIZE = (120, 36)
KEYS: dict[str, list[str]] = {
    "runs": [],
    "cockpit": ["enter"],
    "alert": ["enter", "a", "enter"],
    "timeline": ["enter", "t", "j", "j", "j"],
    "delegation": ["enter", "d", "j", "j", "d"],
    "replay": ["enter", "a", "r"],
}
_FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"
_CELL = 12.2  # the width of a column in Rich's pictures


class Run(NamedTuple):
    """Letters of one style that stand together: the line, the column of the first, and how they look."""

    line: int
    column: int
    text: str
    style: str


_MOST_BEATS_COUNT = 500


async def drawn(store: Path) -> dict[str, str]:
    """The pictures as SVG, by name; one app is led through them all."""
    pictures = {}
    with recorded_feed(store) as feed:
        async with driving(feed, SIZE) as driver:
            for name, keys in KEYS.items():
                await driver.press(*keys)
                await driver.beat(2)
                for _ in range(_MOST_BEATS_COUNT):  # a run that is replayed is read first, on a thread of its own
                    if getattr(getattr(driver.app.screen, "view", None), "read_ratio", 1.0) >= 1:
                        break
                    await driver.beat()
                pictures[name] = _small(driver.app.export_screenshot(title="trajectory"))
                while driver.where != "runs":
                    await driver.press("escape")
    return pictures


def runs_of(svg: str) -> list[Run]:
    """What a picture shows: its texts in reading order with their colours, however Rich has cut them into pieces."""
    styles = dict(re.findall(r"\.([\w-]+-r\d+) \{ ?([^}]*?);? ?\}", svg))
    found: list[Run] = []
    for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        if (style := styles.get(element.get("class", ""))) is None:
            continue  # the title of the window
        text = "".join(element.itertext()).replace("\xa0", " ")
        column = round(float(element.get("x", "0")) / _CELL)
        run = Run(round(float(element.get("y", "0"))), column, text, style)
        before = found[-1] if found else run
        if (before.line, before.style, before.column + len(before.text)) == (run.line, run.style, run.column):
            found[-1] = before._replace(text=before.text + text)
        else:
            found.append(run)
    return [run for run in found if run.text.strip()]


def _small(svg: str) -> str:
    """The picture without the fonts that it would fetch, and with one rectangle in the colour of the page, not one a word."""
    ((page, _),) = Counter(re.findall(r'<rect fill="(#\w+)" x=', svg)).most_common(1)
    svg = re.sub(rf'<rect fill="{page}" x=[^>]*/>', "", svg)
    svg = re.sub(r'<rect fill="#\w+" (?=stroke)', f'<rect fill="{page}" ', svg)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code, monospace", _FONT)
    svg = re.sub(r'\s*<clipPath id="[\w-]+-line-\d+">.*?</clipPath>', "", svg, flags=re.DOTALL)
    svg = re.sub(r' clip-path="url\(#[\w-]+-line-\d+\)"', "", svg)
    return re.sub(r"terminal-\d+-", "t-", svg).replace("&#160;", "\xa0")


def main() -> None:
    """Draws them all into the folder that the README takes them from."""
    with tempfile.TemporaryDirectory() as folder:
        store = write_store(Path(folder) / "recorded.db")
        for name, svg in asyncio.run(drawn(store)).items():
            (HERE / f"{name}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
