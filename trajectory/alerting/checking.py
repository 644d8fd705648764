"""Whether runs keep what the checks of a policy ask: kept, broken, or not to be told from what was recorded.

Invariant: pure, and what is not known never counts as kept: an unknown cost, content that was not captured, a run that goes on.
What is broken already by what is known is broken. Called by `trajectory check`.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec

from trajectory.alerting.message import link_to
from trajectory.alerting.policy import Check, Patterns, is_like, rank_of
from trajectory.model.fact import Finding

KEPT, BROKEN, UNKNOWN = "passed", "broken", "unknown"
MAX_WHERE = 20


class Amount(NamedTuple):
    """A sum, or a largest value, as far as it is known; `unknown` says what is not, empty where all is."""

    value: float = 0.0
    unknown: str = ""


class Subject(msgspec.Struct, frozen=True):
    """What is known of one run. `hidden` are (kind of finding, reason) for what could not be looked for; `partial` why facts are
    missing, empty where none are; `agents` took part. `amounts` are by (measure, patterns of agents)."""

    trace_id: str
    findings: Sequence[Finding]
    hidden: Sequence[tuple[str, str]]
    partial: str
    agents: Collection[str]
    amounts: dict[tuple[str, str], Amount]


class Verdict(NamedTuple):
    """What a check comes to: in a sentence, and where (links), the worst first."""

    check: Check
    state: str
    said: str
    where: tuple[str, ...] = ()


def agents_key(check: Check) -> str:
    """The agents of a check as a key of `Subject.amounts`."""
    return "\x1f".join(_each(check.agent))


def _each(patterns: Patterns) -> list[str]:
    return [patterns] if isinstance(patterns, str) else patterns


def _listed(patterns: Patterns) -> str:
    return " or ".join(_each(patterns))


def judged(check: Check, subjects: Sequence[Subject], kinds: Sequence[str] | None = None) -> Verdict:
    """One check of all runs. `kinds` are those of findings that are looked for, None where nobody knows."""
    if not subjects:
        return Verdict(check, UNKNOWN, "there is no run to check")
    verdict = _amounts(check, subjects) if check.measure else _findings(check, subjects, kinds)
    if verdict.state == KEPT and not any(is_like(agent, check.agent) for s in subjects for agent in ("", *s.agents)):
        return verdict._replace(said=f"{verdict.said}; no agent is called {_listed(check.agent)}")
    return verdict


def _findings(check: Check, subjects: Sequence[Subject], kinds: Sequence[str] | None) -> Verdict:
    where, count, most = [], 0, 0
    known = {*(kinds or ()), *(finding.kind for subject in subjects for finding in subject.findings)}
    unheard = [
        each for each in _each(check.kind) if kinds is not None and not any(is_like(kind, each) for kind in known)
    ]
    unknown = f"nobody looks for {', '.join(unheard)}" if unheard else ""
    for subject in subjects:
        found = [finding for finding in subject.findings if _breaks(finding, check)]
        count, most = count + len(found), max(most, len(found))
        where += [_link(finding) for finding in found]
        hidden = next((f"{kind}: {why}" for kind, why in subject.hidden if is_like(kind, check.kind)), "")
        unknown = unknown or subject.partial or hidden
    reached = count if check.of == "all" else most
    said = f"{count} found" if check.of == "all" or len(subjects) == 1 else f"{count} found, {most} in the worst run"
    if reached > check.at_most:
        return Verdict(check, BROKEN, said, tuple(where[:MAX_WHERE]))
    return Verdict(check, UNKNOWN, f"{said}, but {unknown}") if unknown else Verdict(check, KEPT, said)


def _breaks(finding: Finding, check: Check) -> bool:
    return (
        rank_of(finding.severity) >= rank_of(check.severity)
        and is_like(finding.kind, check.kind)
        and (is_like(finding.agent, check.agent) or is_like(finding.peer_agent, check.agent))
    )


def _amounts(check: Check, subjects: Sequence[Subject]) -> Verdict:
    key = (check.measure, agents_key(check))
    each = [(subject, subject.amounts[key]) for subject in subjects]
    unknown = next((why for subject, amount in each if (why := amount.unknown or subject.partial)), "")
    if check.of == "all":
        reached = sum(amount.value for _, amount in each)
        broken = [subject for subject, _ in each] if reached > check.at_most else []
    else:
        reached = max(amount.value for _, amount in each)
        by_size = sorted(each, key=lambda one: -one[1].value)
        broken = [subject for subject, amount in by_size if amount.value > check.at_most]
    said = f"{check.measure} {reached:.6g}, at most {check.at_most:g}"
    if broken:
        said += f", in {len(broken)} of {len(each)} runs" if check.of == "trace" and len(each) > 1 else ""
        links = tuple(f"trajectory://{subject.trace_id}" for subject in broken[:MAX_WHERE])
        return Verdict(check, BROKEN, said, links)
    return Verdict(check, UNKNOWN, f"{said}, but {unknown}") if unknown else Verdict(check, KEPT, said)


def _link(finding: Finding) -> str:
    from trajectory.alerting.alerts import alert_key

    return f"{link_to(finding.trace_id.hex(), alert_key(finding))}  {finding.kind}: {finding.message}"
