"""The dashboard in a real terminal: from key to paint, from fact to screen, in large traces, idle, and when the collector dies.

Invariant: `trajectory watch` runs as a process of its own in a pseudo-terminal, on a collector or a store that is another
process's; a time ends when a whole picture shows what was waited for. `TRAJECTORY_BENCH_SCALE` scales the durations.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median

from tests.benchmarks import AbsentError, Row
from tests.benchmarks._pty import Lines, Terminal
from tests.benchmarks._rounds import REPOSITORY, Target, megabytes, milliseconds, module, noted, percent, scaled, times
from trajectory.collector.pipeline import Pipeline
from trajectory.model.fact import Batch, Fact, Source, SpanEnded, SpanStarted
from trajectory.store.sqlite import open_writer

NAME = "terminal"
GOAL = (
    "a key is painted within 100 ms whatever arrives, a fact is on screen within 250 ms, idle costs under 1 % of a core"
)
_FLOOD_A_S, _BUSY_A_S, _STEADY_A_S = 20_000, 2_000, 1_000
_START_NS = 1_790_000_000_000_000_000
_MS = 1000.0


def run() -> list[Row]:
    """All figures; a part that cannot be measured says why in its row."""
    rows: list[Row] = []
    for name, part in (
        ("first paint", _first_paint), ("idle and busy", _at_rest_and_busy), ("fact to screen", _fact_to_screen),
        ("a large trace", _large_trace), ("many traces", _many_traces), ("collector gone", _gone), ("flood", _flood),
    ):  # fmt: skip
        try:
            rows += part()
        except AbsentError as reason:
            rows.append(Row(name, "not measured", str(reason)[:2000], "", False))
    return rows


def _watch(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "trajectory", "watch", "--no-settings", *arguments]


@contextmanager
def _collector(store: Path, bind: str = "tcp://127.0.0.1:*") -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """`trajectory serve` in a process of its own, and where it listens."""
    command = [sys.executable, "-P", "-m", "trajectory", "serve", "--bind", bind, "--store", str(store)]
    command += ["--otlp-http", "off", "--otlp-grpc", "off"]
    process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        yield process, line.split()[2].rstrip(",")
    finally:
        process.terminate()
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@contextmanager
def _room() -> Iterator[tuple[str, Path]]:
    """A collector on a store of its own: where it listens, and the store."""
    with tempfile.TemporaryDirectory() as room, _collector(Path(room) / "s.db") as (_, endpoint):
        yield endpoint, Path(room) / "s.db"


@contextmanager
def _emitting(name: str, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    environment = {**os.environ, "XDG_STATE_HOME": tempfile.gettempdir()}
    process = subprocess.Popen(
        module(name, *arguments),
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _cursor(lines: Lines) -> tuple[int, str]:
    """The row of the cursor, and the id of the run there."""
    return next(((y, line.split()[4]) for y, line in enumerate(lines) if "▌" in line[:6]), (-1, ""))


def _shows(text: str) -> Callable[[Lines], bool]:
    return lambda lines: any(text in line for line in lines)


def _p(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


# --- starting and resting -------------------------------------------------------------------------------------------

_BARE = """
from textual.app import App
from textual.widgets import Static
class Bare(App):
    def compose(self):
        yield Static('ready')
Bare().run()
"""


def _first_paint() -> list[Row]:
    """The first picture, and the list of runs in it, beside an app of Textual's that shows one word; started turn by turn."""
    with tempfile.TemporaryDirectory() as room:
        store = Path(room) / "s.db"
        _fill(store, _many(20))
        first, listed, bare = [], [], []
        for _ in range(5):
            with Terminal(_watch("--store", str(store))) as terminal:
                first.append(terminal.until(_shows("trajectory")) - terminal.began_s)
                listed.append(terminal.until(_shows("run 1")) - terminal.began_s)
            with Terminal([sys.executable, "-c", _BARE]) as terminal:
                bare.append(terminal.until(_shows("ready")) - terminal.began_s)
    ratio, took = median(first) / median(bare), f"{_MS * median(first):.0f} / {_MS * median(bare):.0f} ms, median of 5"
    return [
        Target(3, 2, times).row(
            "first paint", "start to first picture / bare app", ratio, f"a bare Textual app: {took}"
        ),
        noted("first paint", "start to the list of runs / bare app", times(median(listed) / median(bare))),
    ]


def _at_rest_and_busy() -> list[Row]:
    seconds = scaled(15)
    with _room() as (endpoint, _), Terminal(_watch("--connect", endpoint)) as terminal:
        terminal.until(_shows("listening"))
        time.sleep(2)
        idle, _ = _used(terminal, seconds)
        with _emitting("_emit_paced", endpoint, _BUSY_A_S, seconds + 4):
            time.sleep(3)
            busy, rate = _used(terminal, seconds)
    said = f"of a core over {seconds} s"
    return [
        Target(0.02, 0.01, percent).row("idle", "CPU of the dashboard", idle, said),
        Target(0.25, 0.15, percent).row(f"{_BUSY_A_S:,} facts/s", "CPU of the dashboard", busy, said),
        Target(60, 40, lambda kb: f"{kb:.3g} kB/s").row(f"{_BUSY_A_S:,} facts/s", "to the terminal", rate, said[9:]),
    ]


def _used(terminal: Terminal, seconds: float) -> tuple[float, float]:
    """The share of a core, and kB a second to the terminal."""
    cpu_s, byte_count, began_s = terminal.cpu_s(), terminal.byte_count, time.monotonic()
    time.sleep(seconds)
    took_s = time.monotonic() - began_s
    return (terminal.cpu_s() - cpu_s) / took_s, (terminal.byte_count - byte_count) / took_s / 1000


# --- live -----------------------------------------------------------------------------------------------------------


def _fact_to_screen() -> list[Row]:
    """From a span in another process until the tail of its run shows it, beside an even load of other traces."""
    seconds, mark_count = scaled(20), 40
    late: list[float] = []
    with (
        _room() as (endpoint, _),
        _emitting("_emit_paced", endpoint, _STEADY_A_S, seconds + 15),
        _emitting("_emit_marked", endpoint, seconds, mark_count) as emitter,
    ):
        assert emitter.stdout is not None and emitter.stdin is not None
        trace_id = json.loads(emitter.stdout.readline())["trace"]
        with Terminal(_watch("--connect", endpoint, "--trace", trace_id)) as terminal:
            terminal.until(_shows("begin"))
            emitter.stdin.write("go\n")
            emitter.stdin.flush()
            for line in emitter.stdout:
                told = json.loads(line)
                late.append(terminal.until(_shows(told["name"]), 10) - told["at_s"])
    said = f"p50 {_MS * _p(late, 0.5):.0f}, most {_MS * max(late):.0f} ms, n = {len(late)}"
    target = Target(400, 250, milliseconds)
    return [target.row(f"{_STEADY_A_S:,} facts/s", "fact to screen, p95", _MS * _p(late, 0.95), said)]


def _flood() -> list[Row]:
    """Keys on the list of runs while 20,000 facts a second arrive."""
    seconds = scaled(60)
    late: list[float] = []
    moved = 0
    with _room() as (endpoint, _), Terminal(_watch("--connect", endpoint)) as terminal:
        terminal.until(_shows("listening"))
        with _emitting("_emit_paced", endpoint, _FLOOD_A_S, seconds + 10):
            terminal.until(lambda lines: sum("live" in line or "done" in line for line in lines) > 6)
            time.sleep(2)
            memory_mb, began_s = terminal.memory_mb(), time.monotonic()
            for key in cycle("jjjkkk"):
                if time.monotonic() - began_s > seconds:
                    break
                before, at_s = _cursor(terminal.lines()), terminal.press(key)
                late.append(terminal.until(lambda lines, b=before: _cursor(lines) != b, 5) - at_s)  # type: ignore[misc]
                chosen = _cursor(terminal.lines())
                time.sleep(0.25)
                moved += _cursor(terminal.lines()) != chosen
            grown_mb = terminal.memory_mb() - memory_mb
    case = f"{_FLOOD_A_S:,} facts/s asked for, {seconds} s"
    count = f"n = {len(late)}"
    return [
        Target(150, 100, milliseconds).row(case, "key to paint, p95", _MS * _p(late, 0.95), count),
        Target(400, 250, milliseconds).row(case, "key to paint, most", _MS * max(late), count),
        Target(20, 10, megabytes).row(case, "memory grown", grown_mb, ""),
        Target(0, 0, lambda n: f"{n:.0f}").row(case, "times the cursor's line moved by itself", moved, count),
    ]


def _gone() -> list[Row]:
    """The collector is killed for a while, and comes back where it was."""
    seconds = scaled(60)
    with tempfile.TemporaryDirectory() as room:
        store = Path(room) / "s.db"
        with _collector(store) as (process, endpoint), Terminal(_watch("--connect", endpoint)) as terminal:
            with _emitting("_emit_paced", endpoint, 200, 3) as emitter:
                emitter.wait(60)
            terminal.until(lambda lines: _cursor(lines)[0] >= 0)
            terminal.press("j")
            time.sleep(1)
            chosen = _cursor(terminal.lines())[1]
            process.kill()
            killed_s = time.monotonic()
            stale_s = terminal.until(_shows("reconnecting"), 30) - killed_s
            time.sleep(max(seconds - stale_s, 0))
            kept = _cursor(terminal.lines())[1] == chosen
            process.communicate()
            with _collector(store, endpoint):
                back_s = time.monotonic()
                recovered_s = terminal.until(lambda lines: not _shows("reconnecting")(lines), 60) - back_s
                same = _cursor(terminal.lines())[1] == chosen
    said = f"the truth {'stayed' if kept else 'did not stay'}; back after {recovered_s:.1f} s"
    return [
        Target(3, 2, lambda s: f"{s:.2g} s").row(
            f"collector gone for {seconds} s", "marked as stale after", stale_s, said
        ),
        Row("the same", "selection", "kept" if same else f"lost: {chosen}", "kept", same),
    ]


# --- large ----------------------------------------------------------------------------------------------------------


def _large_trace() -> list[Row]:
    """One trace of 100 agents and 50,000 spans."""
    span_count = scaled(50_000)
    with tempfile.TemporaryDirectory() as room:
        store = Path(room) / "s.db"
        trace_id = _fill(store, _one(100, span_count))
        with _collector(store) as (_, endpoint), Terminal(_watch("--connect", endpoint)) as terminal:
            terminal.until(lambda lines: _cursor(lines)[0] >= 0, 60)
            opened_s = []
            for _ in range(2):
                terminal.until(lambda lines: _cursor(lines)[0] >= 0 and not _shows("1 Agents")(lines), 60)
                at_s = terminal.press("\r")
                opened_s.append(
                    terminal.until(lambda lines: _shows("1 Agents")(lines) and _shows("agent-3")(lines), 60) - at_s
                )
                time.sleep(1)
                terminal.press("\x1b")
            terminal.press("\r")
            time.sleep(1)
            keys = _each_key(terminal, ["j"] * 6 + ["k"] * 4 + ["\t"] * 4 + ["z", "\x1b"], 3)
            terminal.press("t")
            time.sleep(2)
            keys += _each_key(terminal, ["j"] * 10 + ["G", "g", "+", "+", "-", "0"], 3)
    case = f"100 agents, {span_count:,} spans ({trace_id.hex()[:4]})"
    said = f"p50 {_MS * median(keys):.0f}, most {_MS * max(keys):.0f} ms, n = {len(keys)}"
    return [
        noted(case, "cockpit opens, the trace not in memory", f"{opened_s[0]:.2g} s from the list"),
        Target(2, 1, lambda s: f"{s:.2g} s").row(
            case, "cockpit opens", opened_s[1], "from the list, the trace in memory"
        ),
        Target(150, 100, milliseconds).row(case, "key to paint, p95", _MS * _p(keys, 0.95), said),
    ]


def _each_key(terminal: Terminal, keys: list[str], timeout_s: float) -> list[float]:
    """How long after each key the picture was another; keys that change nothing are left out."""
    late: list[float] = []
    for key in keys:
        before, at_s = terminal.lines(), terminal.press(key)
        try:
            late.append(terminal.until(lambda lines, b=before: lines != b, timeout_s) - at_s)  # type: ignore[misc]
        except AbsentError:
            continue
        time.sleep(0.15)
    return late


def _many_traces() -> list[Row]:
    """10,000 traces in the list, filtered as one types."""
    count = scaled(10_000)
    with tempfile.TemporaryDirectory() as room:
        store = Path(room) / "s.db"
        _fill(store, _many(count))
        with _collector(store) as (_, endpoint), Terminal(_watch("--connect", endpoint)) as terminal:
            terminal.until(lambda lines: _cursor(lines)[0] >= 0, 120)
            time.sleep(2)
            terminal.press("/")
            time.sleep(0.5)
            keys = _each_key(terminal, list("agent:agent-7 title~99"), 3)
    said = f"p50 {_MS * median(keys):.0f}, most {_MS * max(keys):.0f} ms, n = {len(keys)}"
    return [
        Target(150, 100, milliseconds).row(
            f"{count:,} traces", "keystroke of a filter, p95", _MS * _p(keys, 0.95), said
        )
    ]


def _fill(store: Path, traces: Iterator[list[Fact]]) -> bytes:
    """Stores and folds traces; returns the id of the last. Nothing judges them."""
    source, seq, last = Source(b"benchmark-emits1", b"benchmark-boot-1", {"service.name": "benchmark"}), 0, b""
    with closing(open_writer(str(store))) as writer:
        pipeline = Pipeline(writer, [], time.time_ns)
        for facts in traces:
            for at in range(0, len(facts), 4096):
                batch = Batch(source, seq, facts[at : at + 4096])
                seq += len(batch.facts)
                pipeline.store([batch])
                pipeline.fold([batch])
            pipeline.make_room()
            last = facts[0].trace_id  # type: ignore[union-attr]
        pipeline.finish()
    return last


def _one(agent_count: int, span_count: int) -> Iterator[list[Fact]]:
    """A planner that asks so many agents, each with its share of the spans."""
    trace_id, facts = (7).to_bytes(16, "big"), list[Fact]()
    facts += _span(trace_id, 1, 0, "agent", "plan", "planner", _START_NS, 60_000)
    number, share = 2, span_count // agent_count
    for agent in range(agent_count):
        at_ns, name = _START_NS + agent * 500_000_000, f"agent-{agent}"
        above = number
        facts += _span(trace_id, above, 1, "agent", name, name, at_ns, 40_000)
        number += 1
        for place in range(share - 1):
            kind = ("model", "tool")[place % 2]
            facts += _span(trace_id, number, above, kind, f"{kind} {place}", name, at_ns + place * 50_000_000, 40)
            number += 1
    yield facts


def _many(count: int) -> Iterator[list[Fact]]:
    """Traces of an agent and a tool call each."""
    for number in range(1, count + 1):
        trace_id, at_ns = (number << 64).to_bytes(16, "big"), _START_NS + number * 1_000_000_000
        name = f"agent-{number % 50}"
        yield [
            *_span(trace_id, 1, 0, "agent", f"run {number}", name, at_ns, 500),
            *_span(trace_id, 2, 1, "tool", "search", name, at_ns + 1_000_000, 100),
        ]


def _span(
    trace_id: bytes, number: int, above: int, kind: str, name: str, agent: str, at_ns: int, took_ms: int
) -> tuple[Fact, Fact]:
    span_id, parent = number.to_bytes(8, "big"), above.to_bytes(8, "big") if above else b""
    end_ns = at_ns + took_ms * 1_000_000
    return (
        SpanStarted(trace_id, span_id, parent, at_ns, at_ns, kind, name, agent),
        SpanEnded(trace_id, span_id, end_ns, end_ns, "ok"),
    )
