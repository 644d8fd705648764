"""What stands in the place of rows, or above them, while the feed has none or is not well: what is so, and what to do.

Invariant: pure; an address is that of the feed, an instant that of the last answer, and a count that the feed gave. The app and
the list of runs draw with it.
"""

from trajectory.view.rows import Health
from tui.drawing.bars import Contact
from tui.drawing.line import Line
from tui.drawing.numbers import grouped
from tui.signs import Signs

_NAMED = 3  # of those that facts are missing from


def banner_lines(contact: Contact, health: Health, endpoint: str, missing: str, known: str, signs: Signs) -> list[Line]:
    """What is wrong with the feed, nothing where all is well. `known` is when what is shown was answered, by the clock; empty
    where nothing is shown yet."""
    if contact.refusal:
        why, *advice = contact.refusal.split(": ")
        tried = f"Asked again all the time: try {max(1, contact.tries)}. {_shown(known)}"
        return _warned(why, signs, *advice, tried, "More of it:  trajectory doctor")
    if contact.state == "connecting":
        tries = f", try {contact.tries}" if contact.tries > 1 else ""
        where = f"Connecting to {endpoint} {signs.ellipsis}  {contact.age_s} s{tries}"
        return [
            [],
            [(f"{signs.queued} ", "warning"), (where, "strong")],
            [],
            [("Nothing heard yet. Is the collector up?   ", "dim"), ("trajectory serve", "")],
        ]
    if contact.state == "busy":
        text = f"The collector is busy: no answer for {contact.age_s} s. {_shown(known)}"
        then = "It takes in what agents send; the screen follows when it can."
        return _warned(text, signs, then)
    if contact.is_stale:
        text = f"Lost the collector {contact.age_s} s ago. {_shown(known)}"
        then = f"Asked again all the time: try {max(1, contact.tries)}. Agents keep their facts."
        return _warned(text, signs, then, "To have it back:  trajectory serve")
    if missing:
        return [[(f"{signs.high} ", "warning"), (missing, "warning")]]
    if health.dropped_count:
        more = len(health.lossy) - _NAMED
        named = ", ".join(health.lossy[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        text = f"{grouped(health.dropped_count)} facts are missing{f', from {named}' if named else ''}."
        then = "Steps, tokens and errors with a + are lower bounds.  i details"
        return _warned(text, signs, then)
    return []


def _shown(known: str) -> str:
    return f"This was known at {known}." if known else "Nothing of this was heard before."


def _warned(text: str, signs: Signs, *then: str) -> list[Line]:
    return [[(f"{signs.high} ", "warning"), (text, "warning")], *([(f"  {each}", "dim")] for each in then)]


def empty_lines(endpoint: str, is_recorded: bool) -> list[Line]:
    """What an empty list of runs says: how it is filled."""
    if is_recorded:
        return [[], [(f"No runs in {endpoint}.", "")]]
    return [
        [],
        [(f"No runs yet. Listening on {endpoint}.", "strong")],
        [],
        [("Send one from your code:      ", "dim"), ('trajectory.wrap(bot, agent="planner")', "")],
        [("  in its environment:         ", "dim"), (f"TRAJECTORY_ENDPOINT={endpoint}", "")],
        [("Or watch a made-up one:       ", "dim"), (f"trajectory demo --connect {endpoint}", "")],
        [("Or open a recording:          ", "dim"), ("trajectory watch --store FILE", "")],
    ]
