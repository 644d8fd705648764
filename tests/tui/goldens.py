"""The screens of the story as plain text, at fixed sizes and levels of signs.

`python -m tests.tui.goldens --write` draws them anew after a change that is meant; without `--write` it lists what differs.
"""

import asyncio
import sys
from pathlib import Path

from tests.tui.pilots import driving
from tests.tui.story import StoryFeed, health

HERE = Path(__file__).parent / "goldens"
SCREENS: dict[str, list[str]] = {
    "runs": [],
    "cockpit": ["enter"],
    "delegations": ["enter", "d"],
    "timeline": ["t", "j", "j", "j", "j"],
    "span": ["enter", "a", "enter"],
    "help": ["enter", "question_mark"],
    "health": ["i"],
}
SIZES = {"80x24": (80, 24), "120x36": (120, 36)}
CASES: dict[str, tuple[str, tuple[int, int], str]] = {
    f"{screen}-{size}": (screen, SIZES[size], "unicode") for screen in SCREENS for size in SIZES
}
CASES |= {f"{screen}-ascii": (screen, (120, 36), "ascii") for screen in ("runs", "cockpit", "timeline", "help")}
CASES |= {
    f"cockpit-{name}": ("cockpit", size, "unicode") for name, size in {"200x50": (200, 50), "60x20": (60, 20)}.items()
}
STATES = ("empty", "connecting", "reconnecting", "overload")


async def drawn(name: str) -> str:
    """The screen of this name, as text."""
    if name in STATES:
        return await _state(name)
    screen, size, glyphs = CASES[name]
    async with driving(size=size, glyphs=glyphs) as driver:
        await driver.press(*SCREENS[screen])
        await driver.beat()
        return driver.text + "\n"


async def _state(name: str) -> str:
    feed = StoryFeed()
    feed.lost = name == "connecting"
    if name == "empty":
        feed.runs, feed.health = [], health(state="listening", facts_per_s=0.0, lag_ns=0)
    if name == "overload":
        feed.health = health(facts_per_s=41_000.0, lag_ns=2_100_000_000, dropped_count=3120)
    async with driving(feed, size=(80, 24)) as driver:
        if name == "reconnecting":
            feed.lost = True
        driver.clock.passes(12 if name == "reconnecting" else 0)
        await driver.beat(2)
        return driver.text + "\n"


def path_of(name: str) -> Path:
    """Where a golden lies."""
    return HERE / f"{name}.txt"


async def _all(write: bool) -> int:
    different = 0
    for name in [*CASES, *STATES]:
        text = await drawn(name)
        path = path_of(name)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            different += 1
            sys.stdout.write(f"{name} {'written' if write else 'differs'}\n")
            if write:
                path.write_text(text, encoding="utf-8")
    return different


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    writing = "--write" in sys.argv
    sys.exit(1 if asyncio.run(_all(writing)) and not writing else 0)
