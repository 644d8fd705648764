"""Draws the lines around the panes: where one is and how good the numbers are on top, what one can press at the bottom.

Invariant: where one is and how good the numbers are never disappear; at less width they say less, in that order: the rate
leaves first, then the lag. A number that is a lower bound or stale is marked as such here, on every screen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from trajectory.view.rows import Health, TraceRow
from trajectory.view.text import cells, clean, truncate
from tui.drawing.alerts import alert_counts
from tui.drawing.line import Bit, Line, cut, joined, measure, spread
from tui.drawing.numbers import coarse, grouped, lag, many, scaled, took
from tui.drawing.spark import spark
from tui.signs import Signs, state_sign

_SHORTEST_CRUMB = 12
_GENERAL_CRUMBS = 2  # `trajectory` and `runs` say nothing about which run this is


@dataclass(frozen=True, slots=True)
class Contact:
    """What the screen knows about its feed. `state`: connecting (never heard), live, busy or reconnecting; ages in seconds.
    `refusal` is why somebody who is there gives no answer."""

    state: str = "connecting"
    tries: int = 0
    age_s: int = 0
    is_paused: bool = False
    refusal: str = ""

    @property
    def is_stale(self) -> bool:
        """True where what is shown may no longer be so."""
        return self.state in ("reconnecting", "busy")


def header_line(crumbs: Sequence[str], health: Health, contact: Contact, width: int, signs: Signs) -> Line:
    """Breadcrumbs at the left, health at the right; where there is no room the general crumbs leave, then a title is cut."""
    right = _health(health, contact, signs, width)
    while measure(right) > width - 16 and len(right) > 2:
        right = right[2:]
    room = width - measure(right) - 3  # a cell on each side, and one between
    shown = [truncate(crumb, 2 * width) for crumb in (crumbs if width >= 100 else crumbs[1:] or crumbs)]
    while len(shown) > max(1, len(crumbs) - _GENERAL_CRUMBS) and measure(_crumbs(shown, signs)) > room:
        shown = shown[1:]
    shown = _shortened(shown, measure(_crumbs(shown, signs)) - room)
    while len(shown) > 1 and measure(_crumbs(shown, signs)) > room:
        shown = shown[1:]
    return cut([(" ", ""), *spread(_crumbs(shown, signs), right, width - 2), (" ", "")], width)


def _shortened(crumbs: list[str], excess: int) -> list[str]:
    """The crumbs with the longest cut by the cells that are too many, as far as it still says which run this is."""
    if excess <= 0:
        return crumbs
    longest = max(crumbs, key=cells)
    limit = max(cells(longest) - excess, min(cells(longest), _SHORTEST_CRUMB))
    return [truncate(crumb, limit) if crumb is longest else crumb for crumb in crumbs]


def _crumbs(crumbs: Sequence[str], signs: Signs) -> Line:
    line: Line = []
    for index, crumb in enumerate(crumbs):
        line += [(f" {signs.crumb} ", "dim")] if index else []
        line.append((crumb, "strong" if index == len(crumbs) - 1 else "dim"))
    return line


def _health(health: Health, contact: Contact, signs: Signs, width: int) -> Line:
    """Pairs of separator and part, so that the first parts can be dropped by twos."""
    if contact.state == "connecting":
        return [("", ""), (f"try {contact.tries} {signs.dot} ", "dim"), (signs.queued, "warning"), (" connecting", "")]
    if contact.is_stale:
        text = f"last heard {contact.age_s} s ago {signs.dot} "
        return [("", ""), (text, "warning"), (signs.queued, "warning"), (f" {contact.state}", "warning")]
    rate = f"{coarse(health.facts_per_s)}{' ev/s' if width >= 100 else '/s'}"
    dot: Bit = (f" {signs.dot} ", "dim")
    parts: Line = [("", ""), (rate, "dim")]
    if health.state == "live":
        parts += [dot, (f"lag {lag(health.lag_ns)}", "warning" if health.lag_ns > 2_000_000_000 else "dim")]
    if health.state != "recorded":
        parts += [dot, (f"drop {grouped(health.dropped_count)}", "warning" if health.dropped_count else "dim")]
    if health.quarantined_count:
        parts += [dot, (f"bad {grouped(health.quarantined_count)}", "warning")]
    sign = signs.paused if contact.is_paused else signs.ok if health.state == "recorded" else signs.running
    role = "warning" if contact.is_paused else "ok"
    word = "paused" if contact.is_paused else health.state
    return [*parts, dot, (f"{sign} {word}", role)]


def run_summary(row: TraceRow, width: int, signs: Signs, now_ns: int, contact: Contact) -> Line:
    """A run in one line: state, time, and its counts; its activity at the right."""
    wide = width >= 100
    stale = contact.is_stale and row.state == "live"
    sign = ("?", "warning") if stale else state_sign(signs, row.state)
    end_ns = max(now_ns, row.ended_ns) if row.state == "live" else row.ended_ns
    plus = "+" if row.is_partial else ""
    word = "stale" if stale else row.state.replace("_", " ")
    head: Line = [
        (" ", ""),
        sign,
        (f" {word}" if wide or stale else "", sign[1]),
        (f" {took(end_ns - row.started_ns, row.state != 'live')}", "strong"),
    ]
    errors = [(many(row.errors, "error") if wide else f"{row.errors} err", "error" if row.errors else "dim")]
    parts: list[Line] = [
        head,
        [(many(row.agents, "agent"), "")],
        [(many(row.delegations, "delegation") if wide else f"{row.delegations} deleg", "")],
        [(f"{grouped(row.steps)}{plus} steps", "")],
        [*errors],
        [(f"{(scaled if wide else coarse)(row.input_tokens + row.output_tokens)} {'tokens' if wide else 'tok'}", "")],
        alert_counts(row.critical, row.warnings, row.infos, signs) if row.critical or row.warnings or row.infos else [],
    ]
    activity: Line = []
    if row.activity and row.state == "live":
        activity = [(spark(row.activity, signs, 15), "model"), (" 60 s " if wide else " ", "dim")]
    return spread(joined(parts, "   " if wide else "  "), activity, width)


def offers_line(offers: Sequence[str], chosen: int, width: int, signs: Signs) -> list[tuple[str, str, str]]:
    """What a prompt could go on with, in one line: the chosen one marked, and always in it; -1 where none is yet."""
    line: Line = [(" ", "")]
    first = 0
    while chosen > first and sum(cells(clean(offer)) + 2 for offer in offers[first : chosen + 1]) > width - 4:
        first += 1
    if first:
        line.append((f"{signs.ellipsis} ", "dim"))
    for index, offer in enumerate(offers[first:], first):
        line += [(offer, "found" if index == chosen else "key"), ("  ", "")]
    return [(text, role, "") for text, role in cut(line, width)]


def footer_line(
    keys: Sequence[tuple[str, str, str]], width: int, most: int, palette: str = "^p commands"
) -> list[tuple[str, str, str]]:
    """Bits of the footer as (text, role, action): the first `most` keys that fit, and the palette's key at the right end."""
    bits: list[tuple[str, str, str]] = [(" ", "", "")]
    room = width - 2 - (len(palette) + 2 if width >= 60 else 0)
    for sign, word, action in keys[:most]:
        size = measure([(f"{sign} {word}  ", "")])
        if size > room:
            break
        room -= size
        bits += [(sign, "key", action), (f" {word}  ", "dim", action)]
    if width >= 60:
        bits += [(" " * (room + 2), "", ""), (palette, "dim", "app.command_palette"), (" ", "", "")]
    return bits
