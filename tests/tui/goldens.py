"""The screens of the story as plain text, at fixed sizes and levels of signs.

`python -m tests.tui.goldens --write` draws them anew after a change that is meant; without `--write` it lists what differs.
"""

import asyncio
import sys
from pathlib import Path

from tests.tui.pilots import driving
from tests.tui.story import StoryFeed, health

HERE = Path(__file__).parent / "goldens"
# In the order in which they are walked: one that lies on the way to the next is passed once.
PATHS: dict[str, list[str]] = {
    "runs": [],
    "health": ["i"],
    "cockpit": ["enter"],
    "delegations": ["enter", "d"],
    "graph": ["enter", "d", "v"],
    "timeline": ["t", "j", "j", "j", "j"],
    "suspects": ["enter", "b"],
    "alert": ["enter", "a", "enter"],
    "span": ["enter", "a", "enter", "enter"],
    "used": ["enter", "a", "enter", "enter", "u"],
    "agent": ["enter", "j", "j", "enter"],
    "delegation": ["enter", "d", "j", "j", "d"],
    "replay": ["enter", "a", "j", "r", "left_square_bracket", "right_square_bracket"],
    "signals": ["p"],
    "help": ["enter", "question_mark"],
}
# One app for each group: its name, the size, the level of signs, and the screens that it is led through.
GROUPS: dict[str, tuple[tuple[int, int], str, tuple[str, ...]]] = {
    "80x24": ((80, 24), "unicode", tuple(PATHS)),
    "120x36": ((120, 36), "unicode", tuple(PATHS)),
    "ascii": (
        (120, 36),
        "ascii",
        (
            "runs",
            "cockpit",
            "graph",
            "suspects",
            "alert",
            "timeline",
            "agent",
            "delegation",
            "replay",
            "signals",
            "help",
        ),
    ),
    "block": (
        (120, 36),
        "block",
        ("runs", "cockpit", "suspects", "alert", "timeline", "agent", "delegation", "replay", "signals", "help"),
    ),
    "200x50": ((200, 50), "unicode", ("runs", "timeline", "cockpit", "alert", "agent", "delegation", "signals")),
    "160x45": ((160, 45), "unicode", ("cockpit", "graph")),
    "230x60": ((230, 60), "unicode", ("cockpit",)),
    "50x20": ((50, 20), "unicode", ("cockpit",)),
    "60x20": ((60, 20), "unicode", ("cockpit", "alert")),
}
STATES = ("empty", "connecting", "reconnecting", "overload")


async def drawn(group: str) -> dict[str, str]:
    """The screens of a group as text, by name."""
    size, glyphs, screens = GROUPS[group]
    texts = {}
    async with driving(size=size, glyphs=glyphs) as driver:
        pressed: list[str] = []
        for screen in (name for name in PATHS if name in screens):
            keys = PATHS[screen]
            if pressed != keys[: len(pressed)]:
                await driver.home()
                await driver.press("g")  # the cursor too is where it was
                pressed = []
            await driver.press(*keys[len(pressed) :])
            await driver.beat()
            texts[f"{screen}-{group}"] = driver.text + "\n"
            pressed = keys
    return texts


async def drawn_state(name: str) -> dict[str, str]:
    """The list of runs in one of its states, as text."""
    feed = StoryFeed()
    feed.lost = name == "connecting"
    if name == "empty":
        feed.runs, feed.health = [], health(state="listening", facts_per_s=0.0, lag_ns=0)
    if name == "overload":
        feed.health = health(facts_per_s=41_000.0, lag_ns=2_100_000_000, dropped_count=3120, lossy=["coder", "tester"])
    async with driving(feed, size=(80, 24)) as driver:
        feed.lost = feed.lost or name == "reconnecting"
        driver.clock.passes(12 if name == "reconnecting" else 0)
        await driver.beat(2)
        return {name: driver.text + "\n"}


def path_of(name: str) -> Path:
    """Where a golden lies."""
    return HERE / f"{name}.txt"


async def _all(write: bool) -> int:
    different = 0
    for texts in [*[await drawn(group) for group in GROUPS], *[await drawn_state(name) for name in STATES]]:
        for name, text in texts.items():
            path = path_of(name)
            if path.exists() and path.read_text(encoding="utf-8") == text:
                continue
            different += 1
            sys.stdout.write(f"{name} {'written' if write else 'differs'}\n")
            if write:
                path.write_text(text, encoding="utf-8")
    return different


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    writing = "--write" in sys.argv
    sys.exit(1 if asyncio.run(_all(writing)) and not writing else 0)
