"""What the collector takes: lossless, stored, folded, every registered detector on, beside the least that a receiver does.

Invariant: the same frames go to both, turn by turn, each into fresh processes and an empty store. Acknowledged is what is on
disk; settled, what is stored, folded and judged as well: that goes on beside, and its whole cost is a row of its own. A fact is
one of a made-up team's (`_team`).
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import AbsentError, Row
from tests.benchmarks._loading import await_all, send, send_blindly
from tests.benchmarks._rounds import (
    ROUNDS,
    Child,
    Figures,
    Target,
    asked,
    interleaved,
    milliseconds,
    module,
    percent,
    scaled,
)
from tests.benchmarks._team import Load, WireFact, team, wordless_team

NAME = "intake"
GOAL = "the collector takes and keeps a quarter of what Python can receive and decode at all, while it judges what came"
LEARNED = (
    "Settled: one order of changes instead of a set in each of six detectors; folding costs 15 µs a fact, with all "
    "detectors beside, that took 18, of teams without contents (medians of 4, in turn). Kept.",
    "Settled: series at rest are not summed up at each value, and the names of a measure are cut once; within the "
    "noise of the whole. Kept, since it is less work. The watch over all series is a quarter of what is settled "
    "without contents.",
    "Settled: a sampling profiler finds no line above 3 % of what is left, so there is no one place to mend; with "
    "contents, five detectors that read what was said take more than half of it.",
)
LAG_FACTS_A_SECOND = 10_000
LAG_ROUNDS = 3


def run() -> list[Row]:
    """Rows of throughput, then of the lag."""
    rows: list[Row] = []
    for case, tell in (("teams with contents", team), ("the same without contents", wordless_team)):
        rows += _throughput(case, tell)
    return [*rows, _lag()]


def _throughput(case: str, tell: Callable[[int], list[WireFact]]) -> list[Row]:
    many, some = (Load(scaled(count), b"benchmark-boot-1", tell) for count in (200_000, 40_000))
    sides = {
        "ceiling": _taken("ceiling", many, send),
        "collector": _taken("collector", many, send),
        "blind": _taken("collector", many, send_blindly),
        "settled": _settled(some),
    }
    taken = interleaved(sides)
    ceiling, ours, blind, settled = (taken[side] for side in sides)
    size = f"{many.fact_count:,} facts of {many.size_bytes / many.fact_count:.0f} B, median of {ROUNDS}"
    target = Target(0.15, 0.25, percent, is_floor=True)
    cpu = f"of receive + decode: {ceiling['cpu_ns']:,.0f} / {{:,.0f}} ns of CPU a fact; {{}}"
    return [
        target.row(
            case, "acknowledged, on disk, all detectors beside: the intake's CPU", ceiling["cpu_ns"] / ours["intake_cpu_ns"],
            cpu.format(ours["intake_cpu_ns"], size),
        ),
        target.row(
            case, "the same, by the wall", ours["rate"] / ceiling["rate"],
            f"of receive + decode: {ours['rate']:,.0f} / {ceiling['rate']:,.0f} facts/s; {size}",
        ),
        Target(0.80, 0.93, percent, is_floor=True).row(
            case, "acknowledged / fire-and-forget", ours["rate"] / blind["rate"],
            f"{ours['rate']:,.0f} / {blind['rate']:,.0f} facts/s by the wall; {size}",
        ),
        target.row(
            case, "settled: stored, folded, judged; CPU of all processes", ceiling["cpu_ns"] / settled["cpu_ns"],
            cpu.format(settled["cpu_ns"], f"{some.fact_count:,} facts at {settled['rate']:,.0f} facts/s by the wall"),
        ),
    ]  # fmt: skip


def _taken(mode: str, load: Load, bring: Callable[[Load, str], None]) -> Callable[[], Figures]:
    """What it costs until the last fact is acknowledged; what is judged by then is some of them."""

    def once() -> Figures:
        with tempfile.TemporaryDirectory() as room, Child(module("_serve", mode, Path(room) / "store.db")) as far_end:
            began_s = time.monotonic()
            bring(load, far_end.ready["endpoint"])
            took_s = time.monotonic() - began_s
            told = far_end.ask("count")
            cpu = {name: told[name] / load.fact_count for name in ("cpu_ns", "intake_cpu_ns")}
            return {**cpu, "rate": load.fact_count / took_s}

    return once


def _settled(load: Load) -> Callable[[], Figures]:
    """What it costs until everything is stored, folded and judged."""

    def once() -> Figures:
        with (
            tempfile.TemporaryDirectory() as room,
            Child(module("_serve", "collector", Path(room) / "store.db")) as far_end,
        ):
            began_s = time.monotonic()
            send(load, far_end.ready["endpoint"])
            await_all(load, far_end)
            took_s = time.monotonic() - began_s
            ended = far_end.ask("stop")
            if ended["facts"] != load.fact_count:
                raise AbsentError(f"{ended['facts']} of {load.fact_count} facts were taken")
            return {"cpu_ns": ended["cpu_ns"] / load.fact_count, "rate": load.fact_count / took_s}

    return once


def _lag() -> Row:
    """How long after it happened a fact is in the collector's state, for an emitter at an even pace."""
    seconds = scaled(6)

    def once() -> Figures:
        with tempfile.TemporaryDirectory() as room, Child(module("_serve", "lag", Path(room) / "store.db")) as far_end:
            sent = asked(module("_emit_paced", far_end.ready["endpoint"], LAG_FACTS_A_SECOND, seconds))
            return {**far_end.ask("stop"), "rate": sent["facts"] / sent["took_s"]}

    taken = interleaved({"lag": once}, LAG_ROUNDS)["lag"]
    compared = (
        f"at {taken['rate']:,.0f} facts/s through the API (p50 {taken['lag_p50_ms']:.0f} ms), "
        f"median of {LAG_ROUNDS} times {seconds} s"
    )
    return Target(250, 100, milliseconds).row("emit → visible", "p99", taken["lag_p99_ms"], compared)
