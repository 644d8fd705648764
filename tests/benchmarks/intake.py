"""What the collector takes: lossless, stored, folded, every registered detector on, beside the least that a receiver does.

Invariant: the same frames go to both, turn by turn, each into a fresh process and an empty store; the collector's time ends
when everything is judged and stored. A fact is one of a made-up team's (`_team`), with contents.
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
    noted,
    percent,
    scaled,
)
from tests.benchmarks._team import Load, team, wordless_team

NAME = "intake"
GOAL = "the collector takes, keeps, folds and judges a quarter of what Python can receive and decode at all"
LAG_FACTS_A_SECOND = 10_000
LAG_ROUNDS = 3


def run() -> list[Row]:
    """Rows of throughput, then of the lag."""
    rows: list[Row] = []
    for with_content, tell in ((True, team), (False, wordless_team)):
        rows += _throughput(Load(scaled(40_000), b"benchmark-boot-1", tell), with_content)
    return [*rows, _lag()]


def _throughput(load: Load, with_content: bool) -> list[Row]:
    sides = {"ceiling": _loaded("ceiling", load), "collector": _loaded("collector", load)}
    if with_content:
        sides["blind"] = _loaded("collector", load, blind=True)
    taken = interleaved(sides)
    ceiling, ours = taken["ceiling"], taken["collector"]
    size = f"{load.fact_count:,} facts of {load.size_bytes / load.fact_count:.0f} B, median of {ROUNDS}"
    compared = f"of receive + decode: {ceiling['cpu_ns']:,.0f} / {ours['cpu_ns']:,.0f} ns of CPU a fact; {size}"
    case = "collector, teams with contents" if with_content else "collector, the same without contents"
    reached = ceiling["cpu_ns"] / ours["cpu_ns"]
    if not with_content:
        return [noted(case, "lossless, all detectors", f"{percent(reached)} {compared}")]
    target = Target(0.15, 0.25, percent, is_floor=True)
    rows = [target.row(case, "lossless, all detectors", reached, compared)]
    rate = 1e9 / ours["wall_ns"]
    rows.append(noted(case, "facts/s until acknowledged, folded and judged", f"{rate:,.0f} by the wall clock; {size}"))
    acknowledged = Target(0.80, 0.93, percent, is_floor=True)
    blind_ns = taken["blind"]["wall_ns"]
    compared = (
        f"of sending without reading acknowledgements: {rate:,.0f} / {1e9 / blind_ns:,.0f} facts/s by the wall; {size}"
    )
    rows.append(acknowledged.row(case, "acknowledged / fire-and-forget", blind_ns / ours["wall_ns"], compared))
    return rows


def _loaded(mode: str, load: Load, blind: bool = False) -> Callable[[], Figures]:
    def once() -> Figures:
        with tempfile.TemporaryDirectory() as room, Child(module("_serve", mode, Path(room) / "store.db")) as far_end:
            began_ns = time.monotonic_ns()
            if blind:
                send_blindly(load, far_end.ready["endpoint"], far_end)
            else:
                send(load, far_end.ready["endpoint"])
                await_all(load, far_end)
            wall_ns = time.monotonic_ns() - began_ns
            ended = far_end.ask("stop")
            if ended["facts"] != load.fact_count:
                raise AbsentError(f"{ended['facts']} of {load.fact_count} facts were taken")
            return {"cpu_ns": ended["cpu_ns"] / load.fact_count, "wall_ns": wall_ns / load.fact_count}

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
