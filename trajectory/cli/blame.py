"""`trajectory blame`: which step most likely broke a run, ranked, with reasons. A suspicion, no verdict; no model is asked."""

import argparse
from contextlib import closing
from typing import TYPE_CHECKING, Any

from trajectory.cli.output import bold, json_line, say
from trajectory.cli.places import add_json, add_store, add_trace, natural, open_store, open_trace
from trajectory.view.text import clean

if TYPE_CHECKING:
    from trajectory.detection.blame import Candidate
    from trajectory.graph.trace import Trace

_SHOWN_COUNT = 5
_BAR_CELLS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_trace(parser)
    parser.add_argument(
        "--top",
        type=natural,
        metavar="N",
        help=f"only the N most suspected steps (default: {_SHOWN_COUNT}, with --json all)",
    )
    parser.add_argument(
        "--causal",
        action="store_true",
        help="judge each step by what had been seen when its own calls had answered, and nothing later",
    )
    add_store(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from trajectory.detection.blame import blame_of

    with closing(open_store(args.store)) as reader:
        trace = open_trace(reader, args.trace).trace
        found = blame_of(trace).candidates(causal=args.causal)
        if args.json:
            print(json_line(blame_json(trace, found[: args.top])))
        else:
            print("\n".join(page(trace, found[: args.top or _SHOWN_COUNT], len(found))))
    if not found:
        say("nothing to rank: no step of this trace was captured")
    return 0


def blame_json(trace: "Trace", found: "list[Candidate]") -> dict[str, Any]:
    """The ranking as one object; `score` sums to 1 over the candidates that are in it, `probability` over all steps."""
    total = sum(c.score for c in found)
    return {
        "trace_id": trace.trace_id.hex(),
        "candidates": [
            {
                "rank": c.rank, "agent": c.agent, "span_id": c.span_id.hex(), "step": c.step, "score": c.score / total,
                "reasons": c.reasons, "probability": c.score, "failing": c.failing,
            }
            for c in found
        ],
    }  # fmt: skip


def page(trace: "Trace", found: "list[Candidate]", steps_count: int) -> list[str]:
    """The ranking for reading: each suspect with a bar as long as its probability, and why."""
    lines = [bold(clean(trace.title or trace.trace_id.hex())), f"trace {trace.trace_id.hex()}"]
    if not found:
        return lines
    lines += [f"the {len(found)} most suspected of {steps_count} steps; a suspicion, no verdict", ""]
    for candidate in found:
        bar = "█" * max(round(candidate.score * _BAR_CELLS), 1)
        span = trace.spans[candidate.span_id]
        who = clean(candidate.agent or span.service or "(nobody named)")
        lines.append(
            f"{candidate.rank:>3}. {candidate.score:>4.0%} {bar:<{_BAR_CELLS}}  {bold(who)}  step {candidate.step}"
            f"  {clean(span.name)}  {candidate.span_id.hex()[:8]}"
        )
        lines += [f"       {clean(reason)}" for reason in candidate.reasons or ["nothing in particular"]]
    return lines
