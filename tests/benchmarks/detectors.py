"""What judging costs: the same stream into a collector with all detectors and with none, and how fast values are read from text.

Invariant: both collectors take the same frames in turn, in this run, and their time is that of all their processes' CPU until
the last fact is folded and stored; the share of the detectors is what the one takes more than the other. Values are read from
what the stream says, each text once. No goal is set: the figures are reported.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import Row
from tests.benchmarks._loading import await_all, send
from tests.benchmarks._rounds import Child, Figures, interleaved, module, noted, percent, scaled
from tests.benchmarks._team import Load, WireFact, team, wordless_team
from trajectory.detection.contract import CHOICE, registered_detectors
from trajectory.detection.items import items_in
from trajectory.protocol.frames import PAYLOAD

NAME = "detectors"
GOAL = "what judging costs is known (nothing is judged)"
ROUNDS = 3
FACTS = 40_000
READ_TRACES = 400

_STREAMS: tuple[tuple[str, Callable[[int], list[WireFact]]], ...] = (
    ("teams with contents", team),
    ("teams without", wordless_team),
)


def run() -> list[Row]:
    """Facts a second of both collectors, the detectors' share, and the speed of reading values."""
    none = ",".join(f"-{getattr(factory, 'name', '')}" for factory in registered_detectors(""))
    rows: list[Row] = []
    for name, tell in _STREAMS:
        load = Load(scaled(FACTS), b"benchmark-boot-1", tell)
        sides = {"all": _into(load, ""), "none": _into(load, none)}
        taken = interleaved(sides, ROUNDS)
        every, without = taken["all"]["cpu_ns"], taken["none"]["cpu_ns"]
        wall = " / ".join(f"{taken[side]['facts_a_second']:,.0f}" for side in sides)
        rows.append(
            noted(name, "facts/s by the wall, all / none", f"{wall}, median of {ROUNDS} times {load.fact_count:,}")
        )
        rows.append(
            noted(
                name,
                "CPU a fact, all / none",
                f"{every / load.fact_count / 1e3:.0f} / {without / load.fact_count / 1e3:.0f} µs",
            )
        )
        rows.append(noted(name, "share of the collector's time", percent((every - without) / every)))
    return [*rows, *_reading()]


def _into(load: Load, choice: str) -> Callable[[], Figures]:
    """A collector with a choice of detectors takes a load."""

    def once() -> Figures:
        before = os.environ.get(CHOICE)
        os.environ[CHOICE] = choice
        try:
            with (
                tempfile.TemporaryDirectory() as room,
                Child(module("_serve", "collector", Path(room) / "store.db")) as far_end,
            ):
                began_s = time.monotonic()
                send(load, far_end.ready["endpoint"])
                await_all(load, far_end)
                taken_s = time.monotonic() - began_s
                return {"facts_a_second": load.fact_count / taken_s, "cpu_ns": far_end.ask("count")["cpu_ns"]}
        finally:
            if before is None:
                del os.environ[CHOICE]
            else:
                os.environ[CHOICE] = before

    return once


def _reading() -> list[Row]:
    """How fast values are read from what the stream says."""
    bodies = [f[3] for number in range(1, scaled(READ_TRACES)) for f in team(number) if f[0] == PAYLOAD]
    texts = [body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body) for body in bodies]
    texts = [
        f"{text} Reference HR-{number:04d}, at most 1,200 EUR by 2026-03-{number % 27 + 1:02d}."
        for number, text in enumerate(texts)
    ]
    began_s = time.process_time()
    count = sum(len(items_in(text)) for text in texts)
    taken_s = time.process_time() - began_s
    size = sum(len(text.encode()) for text in texts)
    made = f"{size / 1e6:.1f} MB in {len(texts):,} texts, one core"
    return [
        noted("reading values", "items a second", f"{count / taken_s:,.0f}, {made}"),
        noted("reading values", "MB a second", f"{size / 1e6 / taken_s:.1f}, {made}"),
    ]
