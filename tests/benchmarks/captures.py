"""Imports every shared capture and conversation and compares what the fold makes of it with what is known to be true.

Invariant: the expected side comes from the manifests and logs alone, which were written from the programs' own counters
and not from their traces. Facts judged: agents, delegations, tools, model calls, tokens, session, root error; for
conversations agents, delegations and steps.
"""

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.benchmarks import Row, shared_data
from trajectory.dialects.otlp import read_request
from trajectory.dialects.sniff import read_file
from trajectory.graph.trace import Trace
from trajectory.model.fact import Batch, Payload, trace_of
from trajectory.model.words import STEP

NAME = "captures"
GOAL = "every fact of every capture and conversation is right"


def run() -> list[Row]:
    """One row for each fact of each capture; one for each fact of all conversations together."""
    captures = shared_data("otlp")
    rows: list[Row] = []
    for manifest in sorted(captures.glob("*/manifest.json")):
        rows += _capture(manifest.parent, json.loads(manifest.read_text()))
    rows += _conversations(shared_data("who_and_when") / "dev.jsonl")
    return rows


def folded(batches: Iterable[Batch]) -> list[Trace]:
    """The traces of all facts, each folded once."""
    bodies: dict[bytes, tuple[str, bytes]] = {}
    traces: dict[bytes, Trace] = {}
    for batch in batches:
        for fact in batch.facts:
            if isinstance(fact, Payload):
                bodies[fact.digest] = (fact.media_type, fact.body)
            elif trace_id := trace_of(fact):
                traces.setdefault(trace_id, Trace(trace_id, bodies.get)).apply(fact, batch.source)
    return list(traces.values())


def requests_of(folder: Path) -> Iterable[Batch]:
    """The batches of a capture's trace requests, byte for byte as they came, in order of arrival."""
    for line in (folder / "requests.jsonl").read_text().splitlines():
        note = json.loads(line)
        if not note["path"].endswith("/traces"):
            continue
        body = (folder / f"{note['seq']:04d}-traces.body").read_bytes()
        if note["content_encoding"]:
            body = gzip.decompress(body) if note["content_encoding"] == "gzip" else zlib.decompress(body)
        yield from read_request(body, "json" if "json" in note["content_type"] else "protobuf").batches


def _capture(folder: Path, manifest: dict[str, Any]) -> list[Row]:
    expected = manifest["expected"]
    traces = folded(requests_of(folder))
    on_wire = "session" in manifest["observed_on_the_wire"].get("attribute_keys_holding_expected_names", {})
    facts: list[tuple[str, Any, Any]] = [
        ("traces", len(traces), expected.get("traces_expected", 1)),
        ("agents", sorted({name for t in traces for name in t.agents()}), sorted(expected["agents"])),
        ("delegations", _delegations(traces), _expected_delegations(expected)),
        ("tools", _tools(traces), {tool["tool"]: tool["calls"] for tool in expected["tools"]}),
        ("model calls", sum(t.usage().model_calls for t in traces), expected["llm_calls"]["total"]),
        ("tokens", _tokens(traces), [expected["tokens"]["input"], expected["tokens"]["output"]]),
        ("by agent", _by_agent(traces), expected["llm_calls"]["by_agent"]),
        ("root error", _root_errors(traces), _expected_root(expected)),
    ]
    if on_wire:
        facts.append(("session", sorted({t.session_id for t in traces}), sorted(expected["sessions"])))
    return [Row(folder.name, figure, _text(got), _text(goal), got == goal) for figure, got, goal in facts]


def _delegations(traces: list[Trace]) -> dict[str, int]:
    return dict(Counter(f"{d.source_agent} -> {d.target_agent}" for t in traces for d in t.delegations()))


def _expected_delegations(expected: dict[str, Any]) -> dict[str, int]:
    return {f"{edge['from']} -> {edge['to']}": edge["count"] for edge in expected["delegations"]}


def _tools(traces: list[Trace]) -> dict[str, int]:
    return {name: len(calls) for t in traces for name, calls in t.tools().items()}


def _tokens(traces: list[Trace]) -> list[int]:
    return [sum(t.usage().input_tokens for t in traces), sum(t.usage().output_tokens for t in traces)]


def _by_agent(traces: list[Trace]) -> dict[str, dict[str, int]]:
    return {
        name: {
            "llm_calls": usage.model_calls, "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens,
        }
        for t in traces
        for name, usage in t.agents().items()
    }  # fmt: skip


def _root_errors(traces: list[Trace]) -> list[str]:
    return sorted(span.name for t in traces for span in t.root_errors())


def _expected_root(expected: dict[str, Any]) -> list[str]:
    """The tool that raised: an error that came back as text leaves no mark in a status."""
    root = expected["root_error"]
    return [root["tool"]] if root and root["kind"] == "tool-exception" else []


def _conversations(path: Path) -> list[Row]:
    """How many of the conversations are right, by fact."""
    right: Counter[str] = Counter()
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        (trace,) = folded(read_file(json.dumps(record).encode(), path.name, "chat").batches)
        steps = record["steps"]
        handed = Counter((s["agent"], s["to"]) for s in steps if s["role"] == "delegation")
        speaking = {s["agent"] for s in steps if s["role"] not in ("user", "tool")} | {to for _, to in handed}
        kept = sorted(s.attributes[STEP] for s in trace.spans.values() if STEP in s.attributes)
        right["agents"] += set(trace.agents()) == speaking
        right["delegations"] += Counter((d.source_agent, d.target_agent) for d in trace.delegations()) == handed
        right["steps"] += kept == list(range(len(steps)))
    goal = f"{len(records)} of {len(records)}"
    return [
        Row("conversations", fact, f"{count} of {len(records)}", goal, count == len(records))
        for fact, count in right.items()
    ]


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
