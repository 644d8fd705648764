"""What to do about an alert, in one sentence by its kind, and what to call the value that it is about.

Invariant: every sentence names a change to the team that would have kept this from happening, and promises nothing. The alert's
page draws with it.
"""

from collections.abc import Sequence

from trajectory.view.rows import AlertRow
from tui.drawing.path import Way, crossing_words

_ADVICE = {
    "tool.silent_failure": "Let the tool fail where its result says failure, and tell the agent what to do then.",
    "tool.bad_arguments": "Check arguments against the tool's schema before the call, and give the agent the fault to mend.",
    "tool.blind_retry": "Change something before the next try, or stop after a few; a failure that stays is no bad luck.",
    "context.lost": "Hand it over in the task, or let whoever takes the task ask for what it needs.",
    "context.altered": "Hand values over as they were written, as fields and not in prose, and compare them on arrival.",
    "context.invented": "Ask for the source of each value, and refuse one that nothing before it holds.",
    "context.leaked": "Keep the secret out of what is handed over: give a reference to it, or a masked form.",
    "context.mixed": "Keep sessions apart: look at what is shared between them, caches and memories first.",
    "context.stale": "Drop the older value when the newer one comes, or hand over only what is current.",
    "context.truncated": "Raise the limit on the answer, or ask for less at once; a cut answer is not to be used.",
    "context.pressure": "Compact what the agent holds, or split its work, before its context window is full.",
    "context.ignored": "Use what came back, or say why not; if it is never used, the hand-over can go.",
    "flow.loop": "Give the round a limit, and a way out for the case that nothing new comes.",
    "flow.duplicate": "Look up whether the work was given already, and share its answer.",
    "flow.orphan": "See to it that somebody takes the task, and that whoever gave it waits for the answer.",
    "flow.deadlock": "Break the round: one of those who wait must have a limit, or be able to answer in part.",
    "flow.stalled": "Give the step a limit in time, and see what it waits for.",
    "plan.deviation": "Write the plan anew where it no longer fits, or hold the agent to it.",
    "goal.drift": "Hand the first task over together with each smaller one.",
    "telemetry.gap": "Look at the health of the feed (i): what is missing here was never seen.",
    "anomaly": "Compare it with a run of the same kind that was as usual: what came in, what was asked, which model.",
    "quality": "Read the output against what the score is about; compare it with one that scored well.",
}
_AT_HANDOVERS = ("context.lost", "context.altered")
_VALUES = {
    "cascade": "fault",
    "context.lost": "lost",
    "context.altered": "was",
    "context.leaked": "secret",
    "context.truncated": "cut",
    "context.pressure": "",
    "tool.silent_failure": "result",
    "tool.blind_retry": "failure",
    "tool.bad_arguments": "call",
    "flow.loop": "round",
    "flow.deadlock": "round",
    "flow.duplicate": "task",
    "flow.orphan": "asked",
    "flow.stalled": "silent",
    "plan.deviation": "step",
    "goal.drift": "said",
}


def advice(alert: AlertRow, way: Way | None, others: Sequence[AlertRow] = ()) -> list[str]:
    """What to do, the best first; nothing for a kind that is not known. `others` are the other alerts of the run: a hand-over on
    the way of a cascade that lost something is mended with it."""
    if alert.kind == "cascade" and way is not None:
        root = way.steps[0]
        found = [f"Mend it where it began: {root.name}, {root.label}." if root.label else f"Mend {root.name}."]
        if way.gate > 0:
            crossed = crossing_words(way.steps[way.gate], way.steps[way.gate - 1].label)
            found.append(f"Or stop it where it was let through: check what comes {crossed}.")
        cut = [other for other in others if other.key in alert.related and other.kind in _AT_HANDOVERS]
        found += [f"Mend the hand-over on its way too, {other.alert_id}: {other.summary}." for other in cut[:1]]
        return found
    sentence = _ADVICE.get(alert.kind) or _ADVICE.get(alert.kind.partition(".")[0])
    return [sentence] if sentence else []


def value_name(kind: str) -> str:
    """What the value of an alert is, in a word; nothing where it is none to look at."""
    return _VALUES.get(kind, "value")
