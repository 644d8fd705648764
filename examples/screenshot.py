"""Makes the README's picture from the program itself: runs the demo, opens the dashboard on it, and saves what it shows.

Run it as `python examples/screenshot.py examples/cockpit.svg`.
"""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from trajectory.collector.store_feed import StoreFeed
from trajectory.store.sqlite import open_reader
from tui.screenshot import picture


def main(target: str, pace: str = "1") -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / "demo.db")
        demo = [sys.executable, "-m", "trajectory", "demo", "--headless", "--seed", "0"]
        subprocess.run(
            [*demo, "--pace", pace, "--store", store], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        feed = StoreFeed(open_reader(store), "demo.db")
        try:
            svg = asyncio.run(picture(feed, (120, 36), keys=["enter"]))
        finally:
            feed.close()
        Path(target).write_text(svg)


if __name__ == "__main__":
    main(*sys.argv[1:])
