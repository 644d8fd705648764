"""`trajectory check`: holds runs against the checks of a policy. Exit 0 passed, 1 broken, 3 where nobody can tell."""

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from trajectory.cli.alerting import add_policy, policy_file
from trajectory.cli.output import json_line, plural, say
from trajectory.cli.places import add_json, add_store, add_trace, find_trace, is_served, open_store
from trajectory.cli.scraping import add_prices, use_prices
from trajectory.view.text import clean

if TYPE_CHECKING:
    from trajectory.alerting.checking import Amount, Subject, Verdict
    from trajectory.alerting.policy import Check
    from trajectory.collector.folded import FoldedTrace
    from trajectory.signals.measures import Measure
    from trajectory.signals.prices import Prices
    from trajectory.store.reader import SqliteReader

PASSED, BROKEN, UNKNOWN = 0, 1, 3
_SIGN = {"passed": "passed ", "broken": "BROKEN ", "unknown": "unknown"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "The policy's [[check]] rules: kind (a glob), severity, agent and at_most for findings; measure (cost_usd, tokens, "
        'errors, duration_s, …) and at_most for bounds, in each run, or of = "all" of them together.'
    )
    add_trace(parser, optional=True)
    parser.add_argument("--since", metavar="TIME", default="", help="every run that began within so long, e.g. 1h, 7d")
    add_policy(parser, "--policy", "the policy with the checks")
    add_prices(parser)
    add_store(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from trajectory.alerting.checking import judged
    from trajectory.alerting.policy_file import default_file, read_policy
    from trajectory.errors import ConfigError

    if bool(args.trace) == bool(args.since):
        raise ConfigError("name one run by its id, or --since TIME", "trace")
    file = policy_file(args.policy)
    if file is None:
        raise ConfigError(f"there is no policy: write {default_file()}, or name one with --policy", "policy")
    checks = read_policy(file).checks
    if not checks:
        raise ConfigError(f"{file} has no checks: add [[check]] rules", "check")
    with closing(open_store(args.store)) as reader:
        subjects = list(_subjects(reader, args, checks))
    kinds = _looked_for() if any(check.kind for check in checks) else None
    verdicts = [judged(check, subjects, kinds) for check in checks]
    for verdict in verdicts:
        print(json_line(_as_json(verdict)) if args.json else "\n".join(_lines(verdict)))
    states = [verdict.state for verdict in verdicts]
    said = [f"{states.count(state)} {state}" for state in ("passed", "broken", "unknown") if state in states]
    say(f"{plural(len(subjects), 'run')}, {plural(len(checks), 'check')}: {', '.join(said)}")
    return BROKEN if "broken" in states else UNKNOWN if "unknown" in states else PASSED


def _looked_for() -> list[str] | None:
    """The kinds of findings that detectors tell of that are on here: a check of any other would pass for ever.

    None where a stranger's detector is among them, whose kinds nobody knows.
    """
    from trajectory.detection.contract import registered_detectors
    from trajectory.signals.anomaly import METRICS

    factories = registered_detectors(tell=say)
    if any(not str(getattr(factory, "__module__", "")).startswith("trajectory.") for factory in factories):
        return None
    several = {
        "context.boundary": ["context.lost", "context.altered"],
        "anomaly": [f"anomaly.{metric}" for metric in METRICS],
    }
    names = [str(getattr(factory, "name", "")) for factory in factories]
    return ["telemetry.gap", *(kind for name in names for kind in several.get(name, [name]))]


def _subjects(reader: "SqliteReader", args: argparse.Namespace, checks: "Sequence[Check]") -> "Iterator[Subject]":
    from trajectory.collector.at_rest import fold_stored
    from trajectory.signals.prices import default_prices

    use_prices(args)
    prices = default_prices()
    is_live = is_served(args.store)
    stale = set(reader.stale_traces())
    for trace_id in _chosen(reader, args):
        folded = fold_stored(reader, trace_id)
        yield _subject(folded, checks, prices, is_live=is_live, is_stale=trace_id in stale)
        folded.trace.dissolve()


def _chosen(reader: "SqliteReader", args: argparse.Namespace) -> Iterator[bytes]:
    from trajectory.errors import ConfigError
    from trajectory.view.times import offset_ns

    if args.trace:
        yield find_trace(reader, args.trace)
        return
    since_ns = offset_ns(args.since)
    if not since_ns:
        raise ConfigError(f"{args.since[:20]!r} is no time: give an amount with its unit, such as 1h or 7d", "since")
    first_ns = time.time_ns() - since_ns
    offset = 0
    chosen: list[bytes] = []
    while page := reader.summaries(limit=500, offset=offset):
        chosen += [summary.trace_id for summary in page if summary.started_ns >= first_ns]
        offset += len(page)
        if page[-1].started_ns < first_ns:
            break
    known = set(chosen)
    chosen += [
        trace_id for trace_id in reader.stale_traces() if trace_id not in known and reader.summary(trace_id) is None
    ]
    yield from chosen


def _subject(
    folded: "FoldedTrace", checks: "Sequence[Check]", prices: "Prices", *, is_live: bool, is_stale: bool
) -> "Subject":
    from trajectory.alerting.checking import Subject, agents_key
    from trajectory.collector.rows import TraceRows
    from trajectory.detection.boundary import observability
    from trajectory.signals.tally import TraceTally

    trace = folded.trace
    tally = TraceTally(trace, prices)
    tally.look()
    measures = tally.take().added
    amounts = {
        (check.measure, agents_key(check)): _amount(folded, measures, check) for check in checks if check.measure
    }
    hidden = [(kind, reason) for kind, _, reason in observability(trace)] if any(c.kind for c in checks) else []
    row = TraceRows(folded, time.time_ns() if is_live else trace.last_ns, is_live).trace_row()
    partial = ""
    if trace.open_count:
        partial = "a run goes on" if row.state == "live" else "a run was cut off"
    elif row.is_partial or any(f.kind == "telemetry.gap" for f in trace.findings.values()):
        partial = "facts of a run are missing"
    elif is_stale:
        partial = "a run was not judged to its end"
    return Subject(trace.trace_id.hex(), list(trace.findings.values()), hidden, partial, list(trace.agents()), amounts)


def _amount(folded: "FoldedTrace", measures: "Sequence[Measure]", check: "Check") -> "Amount":
    """A measure of one run, of the agents that a check names."""
    from trajectory.alerting.checking import Amount
    from trajectory.alerting.policy import is_like
    from trajectory.model.words import SYNTHETIC_TIME
    from trajectory.signals.measures import Kind

    trace = folded.trace
    own = [m for m in measures if is_like(m.agent, check.agent)]
    models = [m for m in own if m.kind == Kind.MODEL]
    used = [m for m in own if m.kind == Kind.MODEL or m.input_tokens is not None or m.output_tokens is not None]
    is_timed = trace.root is not None and not trace.root.attributes.get(SYNTHETIC_TIME)
    match check.measure:
        case "duration_s":
            return Amount((trace.last_ns - trace.first_ns) / 1e9, "" if is_timed else "a run's log has no times")
        case "call_s":
            timed = [m.duration_s for m in own if m.kind in (Kind.MODEL, Kind.TOOL, Kind.RETRIEVAL)]
            return Amount(
                max((s for s in timed if s is not None), default=0.0),
                "" if None not in timed else "calls have no times",
            )
        case "errors":
            roots = [span for span in trace.root_errors() if is_like(span.agent_name, check.agent)]
            return Amount(float(len(roots)))
        case "model_calls":
            return Amount(float(len(models)))
    if not used:
        return Amount(0.0, "no model call of a run was recorded")
    if check.measure == "cost_usd":
        values: list[float | None] = [m.cost_usd for m in used]
        names = sorted({clean(m.name)[:60] or "a model without a name" for m in used if m.cost_usd is None})
        return Amount(_sum(values), f"nobody knows what {', '.join(names[:3])} costs" if names else "")
    both = check.measure == "tokens"
    found: list[float | None] = []
    for m in used:
        found += [m.input_tokens] if both or check.measure == "input_tokens" else []
        found += [m.output_tokens] if both or check.measure == "output_tokens" else []
    missing = sum(value is None for value in found)
    return Amount(_sum(found), f"{plural(missing, 'count')} of tokens were not recorded" if missing else "")


def _sum(values: Sequence[float | None]) -> float:
    return float(sum(value for value in values if value is not None))


def _lines(verdict: "Verdict") -> list[str]:
    head = f"{_SIGN[verdict.state]}  {clean(verdict.check.title)}: {clean(verdict.said)}"
    return [head, *(f"           {clean(where)}" for where in verdict.where)]


def _as_json(verdict: "Verdict") -> dict[str, object]:
    check = verdict.check
    return {
        "check": check.title, "state": verdict.state, "said": verdict.said, "kind": check.kind or None,
        "measure": check.measure or None, "at_most": check.at_most, "where": [w.partition("  ")[0] for w in verdict.where],
    }  # fmt: skip
