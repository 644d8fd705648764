"""`trajectory findings`: what the detectors found, one a line, or as the fixed JSON."""

import argparse
from contextlib import closing
from typing import TYPE_CHECKING

from trajectory.cli.output import bold, json_line, legend, say, sign
from trajectory.cli.places import add_json, add_store, add_trace, find_trace, open_store
from trajectory.model.words import Severity
from trajectory.view.link import link_text
from trajectory.view.nearly import meant
from trajectory.view.text import clean

if TYPE_CHECKING:
    from trajectory.model.fact import Finding

_ID_CHARS = 12  # of a trace, where it is told or linked to


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_trace(parser, optional=True)
    parser.epilog = (
        "Detectors run where runs are stored: in serve, run and import. TRAJECTORY_DETECTORS=goal.drift,-flow.loop switches on "
        "goal.drift, which is off by default, and flow.loop off."
    )
    parser.add_argument("--kind", metavar="KIND", help="only this kind, e.g. cascade or context.lost")
    parser.add_argument("--min-severity", choices=[str(s) for s in Severity], help="only this severity and above")
    add_store(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from trajectory.protocol.codec import finding_json

    with closing(open_store(args.store)) as reader:
        trace_id = find_trace(reader, args.trace) if args.trace else None
        found = reader.findings(trace_id=trace_id, kind=args.kind, min_severity=args.min_severity)
        others = {} if found or not args.kind else {f.kind: f for f in reader.findings(trace_id=trace_id)}
    if trace_id is not None and not args.json:
        found = sorted(found, key=lambda f: -Severity(f.severity).rank)  # as `show` lists them
    for finding in found:
        if args.json:
            print(json_line(finding_json(finding)))
        else:
            print("\n".join(lines(finding, with_trace=trace_id is None)))
    if not args.json:
        print("".join(f"{line}\n" for line in legend(f.severity for f in found)), end="")
    if not found:
        hint = meant(args.kind, others) if args.kind and args.kind not in others else ""
        kind = f" of kind {args.kind}" if args.kind else ""
        above = f" at {args.min_severity} or above" if args.min_severity else ""
        say(f"no findings{kind}{above} in " + (f"trace {trace_id.hex()[:12]}" if trace_id else args.store) + hint)
    return 0


def lines(finding: "Finding", *, with_trace: bool = False) -> list[str]:
    """A finding for reading: what, who, the sentence, the evidence under it, the link for `trajectory open`."""
    ends = [finding.peer_agent, finding.agent]
    if finding.kind == "cascade":  # seen where it began; the peer is who took it over
        ends.reverse()
    who = " -> ".join(end for end in ends if end)
    trace = f"  trace {finding.trace_id.hex()[:_ID_CHARS]}" if with_trace else ""
    head = f"{sign(finding.severity)} {bold(clean(finding.kind))}  {clean(who)}  {finding.confidence:.2f}{trace}"
    said = [f"    {clean(finding.message)}"]
    said += [f"      {e.span_id.hex()[:8]}  {clean(e.text)}" for e in finding.evidence]
    return [head, *said, f"      {link_text(finding.trace_id.hex()[:_ID_CHARS], finding.span_id.hex())}"]
