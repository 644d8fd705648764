"""The pictures of the manual show what the program shows, colours and all.

They are compared by their texts, where these stand and in which colours, and not by their bytes: how an SVG is cut into pieces
changes with each release of the libraries that write it, and what it shows does not. After a change that is meant, draw them anew
with `python -m tests.pictures`, and look at them.
"""

import re
from pathlib import Path

from tests.pictures import HERE, drawn, runs_of


async def test_the_pictures_show_what_the_program_shows(recorded_store: Path) -> None:
    for name, svg in (await drawn(recorded_store)).items():
        assert runs_of(svg) == runs_of((HERE / f"{name}.svg").read_text(encoding="utf-8")), name
        assert not re.search(r"url\((?!#)|@import|href", svg)


def test_a_picture_read_back_tells_places_and_colours() -> None:
    runs = runs_of((HERE / "cockpit.svg").read_text(encoding="utf-8"))
    (root,) = [run for run in runs if run.text.strip() == "◆" and run.column < 10]
    assert root.style == "fill: #f0e442;font-weight: bold"
    assert {"fill: #ff7a33", "fill: #56b4e9"} <= {run.style for run in runs}
