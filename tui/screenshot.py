"""Renders the real program without a terminal: a feed, a size and keys to press in, an SVG picture or plain text out.

Invariant: what is drawn is what the app draws, with its own ticker driven by hand, so a picture in a manual cannot differ from
the program. Called by scripts that make pictures.
"""

import asyncio
from collections.abc import Iterable
from datetime import tzinfo

from trajectory.view.feed import Feed
from tui.app import TrajectoryApp

_TICKS_BETWEEN_KEYS = 3


async def picture(
    feed: Feed,
    size: tuple[int, int] = (120, 36),
    keys: Iterable[str] = (),
    *,
    glyphs: str = "unicode",
    theme: str | None = None,
    open_trace: str = "",
    zone: tzinfo | None = None,
) -> str:
    """The screen as SVG after the keys were pressed, each of them followed by a few ticks. Sizes in columns and rows."""
    app = TrajectoryApp(feed, glyphs=glyphs, theme=theme, open_trace=open_trace, zone=zone, ticks_per_s=0)
    async with app.run_test(size=size) as pilot:
        await settle(app)
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
            await settle(app)
            await pilot.pause()
        return app.export_screenshot(title="trajectory")


async def settle(app: TrajectoryApp, timeout_s: float = 10.0) -> None:
    """Lets the app tick until what it wants is on its screen. Raises TimeoutError where the feed does not answer."""
    async with asyncio.timeout(timeout_s):
        for _ in range(_TICKS_BETWEEN_KEYS):
            app.beat()
            while app.ticker.in_flight:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)
