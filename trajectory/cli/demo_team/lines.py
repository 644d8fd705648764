"""What the scripted model says, role by role: each a function from a conversation to the next answer.

Invariant: an answer is made from the conversation's text and its seed alone. Called by `script`. The one fault built in: the
planner spells out its first brief and is terse in the rest, and a researcher that was not told the year has no reason to
refuse an old copy.
"""

import json
import re
from collections.abc import Callable, Mapping

from trajectory.cli.demo_team.conversation import DELEGATE, FIGURE, Call, Conversation, Reply, amounts_in, figures_in

SYSTEM: Mapping[str, str] = {
    "planner": "You plan. Break the task down, give each part to the right colleague, keep every constraint.",
    "research": "You find figures. Cite the source of each.",
    "coder": "You write small programs that draw charts. Have each one tested.",
    "tester": "You test what the coder made and report what you saw.",
    "writer": "You write short memos from the figures that you are given. Have each one reviewed.",
    "reviewer": "You check a memo's figures against the audited ledger and accept or reject it.",
}
_AMOUNT = re.compile(r"(\d+\.\d)M EUR")
_DATED = re.compile(r"As of \d{4}-\d\d-\d\d")


def planner(talk: Conversation) -> Reply:
    """Plan and brief the researchers; then the coder; then hand over to the writer."""
    done = talk.results(DELEGATE)
    if not done:
        return _first_briefs(talk)
    listed = ", ".join(figures_in("\n".join(done))) or "no figures"
    charts = [result for result in done if result.startswith("Chart")]
    if not charts:
        task = f"Draw a bar chart of {talk.quarter} revenue by region{talk.scope}: {listed}. {talk.rules}"
        return Reply(f"{talk.pick('Both answers are in', 'Research is back')}: {listed}.", (_give("coder", task),))
    task = (
        f"Write a one-page memo on {talk.quarter} revenue by region ({', '.join(talk.regions)}){talk.scope}. {talk.rules}\n"
        f"Figures: {listed}\n{charts[-1]}"
    )
    text = talk.pick("The writer takes it from here.", "Over to the writer.")
    return Reply(text, (_give("writer", task, "transfer"),))


def _first_briefs(talk: Conversation) -> Reply:
    first, *others = talk.regions
    briefs = [f"Find {talk.quarter} revenue for {first}{talk.scope}. {talk.rules}"]
    briefs += [f"Find {talk.quarter} revenue for {region}. {talk.rules}" for region in others]
    plan = (*(f"research {region}" for region in talk.regions), "chart", "write", "review")
    opening = talk.pick("I split this by region", "One researcher for each region", "Two regions, two researchers")
    text = (
        f"{opening}: {' and '.join(talk.regions)} at the same time, then a chart of both, "
        "then the memo, then a review before it goes out."
    )
    return Reply(text, tuple(_give("research", brief) for brief in briefs), plan=plan)


def research(talk: Conversation) -> Reply:
    """Search, open the best hit, fall back to its cached copy, answer with one figure and its source."""
    match talk.last_tool:
        case "":
            query = " ".join([talk.region, talk.quarter, "revenue", "audited", *talk.year.values()])
            text = talk.pick("Looking for the filing.", "Searching first.")
            return Reply(text, (Call("search_web", {"query": query}),))
        case "search_web":
            return _open_best_hit(talk)
        case "fetch_page":
            return _read_page(talk)
    return _read_copy(talk)


def _open_best_hit(talk: Conversation) -> Reply:
    try:
        hits = json.loads(talk.heard)
    except ValueError:
        return Reply(f"No figure for {talk.region}: the search failed ({talk.heard}).")
    source = next(hit["source"] for hit in hits if "not audited" not in hit["title"])
    return Reply(talk.pick(f"{source} is the filing.", f"Opening {source}."), (Call("fetch_page", {"source": source}),))


def _read_page(talk: Conversation) -> Reply:
    amount = _AMOUNT.search(talk.heard)
    if amount:
        dated = _DATED.search(talk.heard)
        return Reply(
            f"{talk.region} {amount[1]}M EUR ({talk.opened}), audited{f', {dated[0].lower()}' if dated else ''}."
        )
    thought = f"{talk.opened} is down; the cached copy will do"
    arguments = {"source": talk.opened, "quarter": talk.quarter, **talk.year}
    return Reply(f"{thought}.", (Call("read_cache", arguments),), thought, confidence=0.4)


def _read_copy(talk: Conversation) -> Reply:
    try:
        copy = json.loads(talk.heard)
    except ValueError:
        return Reply(f"No audited figure for {talk.region}: {talk.opened} is down, and {talk.heard}.")
    return Reply(f"{copy['region']} {copy['amount']}M EUR ({copy['source']})")


def coder(talk: Conversation) -> Reply:
    """Draw, have it tested, hand it back."""
    match talk.last_tool:
        case "":
            text = talk.pick("Drawing.", "A bar chart it is.")
            return Reply(text, (Call("draw_chart", {"figures": amounts_in(talk.task)}),))
        case "draw_chart":
            listed = ", ".join(figures_in(talk.task))
            task = (
                f"Test this chart of {talk.quarter} revenue by region{talk.scope}: {listed}. {talk.rules}\n{talk.heard}"
            )
            return Reply("Now the test.", (_give("tester", task),))
    return Reply(f"Chart, tested:\n{talk.results('draw_chart')[-1]}")


def tester(talk: Conversation) -> Reply:
    """Run the checks and say what they said."""
    if not talk.last_tool:
        chart = talk.task.partition("\n")[2]
        return Reply("Checking.", (Call("run_checks", {"chart": chart, "figures": amounts_in(talk.task)}),))
    return Reply(f"{talk.pick('The chart passes', 'It passes')}: {talk.heard}.")


def writer(talk: Conversation) -> Reply:
    """Draft, count, have it reviewed, publish."""
    match talk.last_tool:
        case "":
            memo = _memo(talk)
            return Reply(memo, (Call("count_words", {"text": memo}),))
        case "count_words":
            memo = talk.longest_said
            task = f"Review this memo on {talk.quarter} revenue by region{talk.scope}. {talk.rules}\n\n{memo}"
            return Reply(f"{talk.heard} words: short enough. Now the review.", (_give("reviewer", task),))
    if talk.heard.startswith("accept"):
        return Reply(talk.longest_said)
    note = talk.pick(
        "Note: the reviewer could not reconcile one figure with its source; published as it stands, the deadline is today.",
        "Note: one figure was questioned in review; it stands until somebody shows a better one, as the memo is due today.",
    )
    return Reply(f"{talk.longest_said}\n\n{note}", thought="The deadline is today; a note will do", confidence=0.5)


def _memo(talk: Conversation) -> str:
    opening = talk.pick(
        "Revenue by region was as follows", "The regions closed the quarter as follows", "By region we booked"
    )
    lines = [
        f"MEMO: {talk.quarter} revenue by region{talk.scope}",
        "",
        f"{opening}, every figure taken from the filing that is named beside it:",
        *(f"- {figure}" for figure in figures_in(talk.task)),
        "",
        talk.task.partition("tested:\n")[2],
    ]
    return "\n".join(lines).rstrip()


def reviewer(talk: Conversation) -> Reply:
    """Check the totals, then accept or reject."""
    if not talk.last_tool:
        arguments = {"figures": amounts_in(talk.task), **talk.year}
        return Reply(talk.pick("Checking the totals.", "First the totals."), (Call("check_totals", arguments),))
    if talk.heard.startswith("totals agree"):
        return Reply("accept: every figure agrees with its source")
    wrong = [match for match in FIGURE.finditer(talk.task) if f"{match[2]}M" in talk.heard]
    disagreeing = " and ".join(dict.fromkeys(f"{m[1]} {m[2]}M EUR disagrees with source {m[3]}" for m in wrong))
    return Reply(f"reject: {disagreeing or talk.heard}")


LINES: Mapping[str, Callable[[Conversation], Reply]] = {
    "planner": planner,
    "research": research,
    "coder": coder,
    "tester": tester,
    "writer": writer,
    "reviewer": reviewer,
}


def _give(agent: str, task: str, mode: str = "call") -> Call:
    return Call(DELEGATE, {"agent": agent, "task": task, "mode": mode})
