"""Plays one story live in every agent framework, sends what its instrumentation says to `trajectory serve`, and scores it.

Invariant: the truth is counted by the scripted model and by the tools themselves (`_frameworks_stage`), never read from spans; a
fact that is not on the wire is said so and not judged. TRAJECTORY_BENCH_FRAMEWORKS names the rows to play (`smolagents`,
`openai-agents/traceloop`; default: all), TRAJECTORY_BENCH_ENVIRONMENTS the folder where their environments are kept,
TRAJECTORY_BENCH_WIRE one where what came over the wire is written down, to be looked at.
"""

import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from tests.benchmarks import AbsentError, Row
from tests.benchmarks._frameworks_env import environment, versions
from tests.benchmarks._frameworks_rows import ROWS, Played
from tests.benchmarks._frameworks_score import Score, Shown, precision, scored
from tests.benchmarks._frameworks_stage import Run, Stage
from tests.benchmarks._rounds import REPOSITORY, noted
from trajectory.cli import main as trajectory_main

NAME = "frameworks"
GOAL = "every fact that is on the wire is right, in every framework"
_PROGRAMS = Path(__file__).parent / "_frameworks_programs"
_PLAY_S = 300.0
_GRADES = ("observed", "declared", "inferred")


def run() -> list[Row]:
    """For each framework and instrumentation: one row a run, one of the delegations by grade. Raises AbsentError."""
    wanted = os.environ.get("TRAJECTORY_BENCH_FRAMEWORKS", "").split()
    rows: list[Row] = []
    for played in ROWS:
        if not wanted or played.framework in wanted or played.name in wanted:
            rows += _row(played)
    if not rows:
        raise AbsentError(f"no framework {' '.join(wanted)}; there are {', '.join(p.name for p in ROWS)}")
    return rows


def _row(played: Played) -> list[Row]:
    """What one framework with one instrumentation comes to; one row with the reason where it could not be played."""
    try:
        python, took_s = environment(played.framework, played.packages)
        if took_s:
            print(f"{played.framework} installed in {took_s:.0f} s", file=sys.stderr)
        scores = _played(played, python)
    except AbsentError as reason:
        return [noted(played.name, "not played", str(reason))]
    told = versions(python, *played.packages[:1], *(p for p in played.packages[1:] if played.instrumentation in p))
    right, wrong = sum(len(s.right) for s in scores), sum(len(s.wrong) for s in scores)
    whole = f"{right} of {right + wrong} facts on the wire in {len(scores)} runs"
    return [noted(played.name, "packages", told), *_judged(played, scores), noted(played.name, "all runs", whole)]


def _judged(played: Played, scores: list[Score]) -> list[Row]:
    rows = []
    edges: Counter[tuple[str, str]] = Counter()
    for score in scores:
        edges.update(score.edges)
        judged = len(score.right) + len(score.wrong)
        wrong = "; ".join(f"{fact}: {_text(said)}, not {_text(true)}" for fact, (said, true) in score.wrong.items())
        rows.append(
            Row(
                played.name,
                score.run,
                f"{len(score.right)} of {judged} {wrong}".strip(),
                f"{judged} of {judged}",
                not wrong,
            )
        )
    found = sum(number for (_, how), number in edges.items() if how == "right")
    said = ", ".join(f"{grade} {precision(edges, grade)}" for grade in _GRADES)
    rows.append(
        Row(
            played.name, "delegations", f"{said}; found {found} of {found + edges['', 'missed']}",
            "", not any(how != "right" and number for (_, how), number in edges.items()),
        )
    )  # fmt: skip
    unseen = {fact: reason for score in scores for fact, reason in score.unseen.items()}
    for fact, reason in unseen.items():
        runs = [score.run for score in scores if fact in score.unseen]
        where = "in every run" if len(runs) == len(scores) else ", ".join(runs)
        rows.append(noted(played.name, "not observable", f"{fact} ({where}): {reason}"))
    return rows


def _played(played: Played, python: str) -> list[Score]:
    """Plays the program in every shape and variant. Raises AbsentError where it ends early."""
    with tempfile.TemporaryDirectory(prefix="trajectory-frameworks-") as folder:
        store = Path(folder) / "trajectory.db"
        with _serving(store) as receiver, Stage(receiver) as stage:
            told = {"STORY_STAGE": stage.url, "STORY_INSTRUMENTATION": played.instrumentation, **played.environment}
            ended = subprocess.run(
                [python, str(_PROGRAMS / f"{played.program}.py")], cwd=folder, env={**_plain(), **told},
                capture_output=True, text=True, timeout=_PLAY_S,
            )  # fmt: skip
            if os.environ.get("STORY_LOUD"):
                print(ended.stdout[-20000:], ended.stderr[-20000:], *stage.trouble, sep="\n", file=sys.stderr)
        if ended.returncode or not stage.runs:
            raise AbsentError(f"the program ended with {ended.returncode}: {ended.stderr.strip()[-300:]}")
        shown = {t: _show(t, store) for t in {t for run in stage.runs for t in run.trace_ids()}}
        scores = []
        for run in stage.runs:
            _write_down(played, run)
            if run.trouble:
                raise AbsentError(f"{run.name} ended early: {run.trouble[:300]}")
            traces: Shown = [shown[t] for t in sorted(run.trace_ids())]
            scores.append(scored(run, traces, played))
        return scores


def _write_down(played: Played, run: Run) -> None:
    folder = os.environ.get("TRAJECTORY_BENCH_WIRE")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        spans = sorted(run.spans, key=lambda span: span.start_time_unix_nano)
        name = f"{played.framework}-{played.instrumentation}-{run.name}.txt"
        (Path(folder) / name).write_text("\n".join(str(span) for span in spans))


@contextmanager
def _serving(store: Path) -> Iterator[str]:
    """The address of a receiver whose collector stores there; when it is left, all that was sent is stored and judged."""
    command = [sys.executable, "-m", "trajectory", "serve", "--bind", "tcp://127.0.0.1:*", "--store", str(store)]
    server = subprocess.Popen(
        [*command, "--otlp-http", "127.0.0.1:*", "--otlp-grpc", "off"],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    try:
        for line in server.stderr:
            if place := re.search(r"taking OTLP at (http://\S+)", line):
                yield place[1]
                break
        else:
            raise AbsentError("trajectory serve did not begin")
    finally:
        server.terminate()
        try:
            server.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            server.kill()


def _show(trace_id: str, store: Path) -> dict[str, Any]:
    """What `trajectory show TRACE --json` prints; in this process, because some runs are two dozen traces."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        code = trajectory_main(["show", trace_id, "--json", "--store", str(store)])
    if code:
        raise AbsentError(f"trajectory show {trace_id} ended with {code}")
    answer: dict[str, Any] = json.loads(printed.getvalue())
    return answer


def _plain() -> dict[str, str]:
    """The environment without what would point a program elsewhere than at the stage."""
    unwanted = (
        "OTEL_",
        "OPENAI_",
        "GOOGLE_",
        "PYTHON",
        "TRAJECTORY_",
        "VIRTUAL_ENV",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    )
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(unwanted)}


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
