"""Draws delegations as a tree: each giver once, the agents it gave work to below it, a second giver as a reference back.

Invariant: every delegation has exactly one line, whatever the shape of the graph, cycles included; lines come in depth-first
order by the time of sending. The cockpit's second pane draws with it; it reads well with a hundred agents and aloud.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from trajectory.view.rows import DelegationRow, Lane
from tui.drawing.line import Line, measure, spread
from tui.drawing.numbers import instant, many
from tui.drawing.path import Way, hop_sign
from tui.signs import LEFT, RIGHT, UP, Signs, mark_sign, state_sign


@dataclass(frozen=True, slots=True)
class Branch:
    """One line of the tree. `row` is None for a root; `rails` says for each level above whether its line goes on."""

    label: str
    row: DelegationRow | None
    rails: tuple[bool, ...]
    is_last: bool
    is_again: bool = False

    @property
    def key(self) -> str:
        """What the line is known by, across redraws."""
        return self.row.delegation_id if self.row else f"root {self.label}"


def branches(delegations: Sequence[DelegationRow]) -> list[Branch]:
    """The tree's lines. A target that has been drawn already is not opened again."""
    children: dict[str, list[DelegationRow]] = {}
    for row in sorted(delegations, key=lambda each: each.sent_ns):
        children.setdefault(row.source, []).append(row)
    targets = {row.target for row in delegations}
    found: list[Branch] = []
    opened: set[str] = set()
    for root in [*(label for label in children if label not in targets), *children]:
        if root not in opened:
            found.append(Branch(root, None, (), True))
            _open(root, children, found, opened)
    return found


def _open(root: str, children: dict[str, list[DelegationRow]], found: list[Branch], opened: set[str]) -> None:
    opened.add(root)
    todo = _below(children[root], ())
    while todo:
        row, rails, is_last = todo.pop()
        again = row.target in opened
        found.append(Branch(row.target, row, rails, is_last, again))
        if not again:
            opened.add(row.target)
            todo.extend(_below(children.get(row.target, []), (*rails, not is_last)))


def _below(rows: list[DelegationRow], rails: tuple[bool, ...]) -> list[tuple[DelegationRow, tuple[bool, ...], bool]]:
    """The rows as work still to do, last one first."""
    return [(row, rails, index == len(rows) - 1) for index, row in enumerate(rows)][::-1]


def branch_line(
    branch: Branch,
    lanes: dict[str, Lane],
    width: int,
    signs: Signs,
    start_ns: int,
    way: Way | None = None,
    run_ns: int = 0,
) -> Line:
    """One line of the tree in exactly `width` cells: who, as drawn from its lane; how it went; what was lost. With a way, what
    is marked is its path alone: its agents, the number of the hop that crossed a delegation, and the gate."""
    lane = lanes.get(branch.label)
    row = branch.row
    state = lane.state if lane and not (row and row.state in ("failed", "lost")) else (row.state if row else "")
    hop = way.delegations.get(row.delegation_id, -1) if way is not None and row else -1
    heavy = hop >= 0 if way is not None else row is not None and row.on_error_path
    line: Line = [*_stem(branch, heavy, signs), (branch.label, "strong" if row is None else "")]
    line += [(" ", ""), state_sign(signs, state)]
    mark = way.marks.get(branch.label, "") if way is not None else lane.mark if lane else ""
    if mark:
        line += [mark_sign(signs, mark)]
    if hop >= 0 and way is not None:
        line += [(f" {signs.gate if hop == way.gate else signs.crumb}{hop_sign(hop, signs)}", "mark")]
    if branch.is_again:
        line += [(f" {signs.again}", "dim")]
    return spread(line, _outcome(row, width - measure(line) - 1, signs, start_ns, run_ns) if row else [], width)


def _stem(branch: Branch, heavy: bool, signs: Signs) -> Line:
    if branch.row is None:
        return []
    row = branch.row
    role = "error" if heavy else "delegation"
    rails = "".join(f"{signs.lines[3]}   " if goes_on else "    " for goes_on in branch.rails)
    corner = UP | RIGHT if branch.is_last else UP | RIGHT | 2
    table = signs.lines_heavy if heavy else signs.lines
    stroke = signs.lines_dotted if row.grade == "inferred" else table[LEFT | RIGHT]
    head = signs.arrow + " "
    if row.mode == "transfer":
        head = signs.transfer + " " if len(signs.transfer) == 1 else signs.arrow * 2
    return [(rails, "delegation"), (table[corner] + stroke + head, role)]


def _outcome(row: DelegationRow, room: int, signs: Signs, start_ns: int, run_ns: int) -> Line:
    """When it came back, or what became of it; the items that were lost, in as many words as there is room for."""
    back = instant(row.returned_ns - start_ns, run_ns)
    when = back if row.returned_ns else {"lost": "never began"}.get(row.state, row.state)
    end: Line = [(when, "warning" if row.state == "lost" else "dim")]
    if not row.lost:
        return end
    for text in (
        f"{signs.medium} lost {', '.join(row.lost)}",
        f"{signs.medium} lost {many(len(row.lost), 'item')}",
        f"{signs.medium}{len(row.lost)}",
    ):
        whole: Line = [(text, "warning"), ("  ", ""), *end]
        if measure(whole) <= room:
            return whole
    return end


def tree_legend(signs: Signs) -> Line:
    """What the lines of the tree mean, in one line."""
    heavy, dotted = signs.lines_heavy[LEFT | RIGHT] * 2, signs.lines_dotted * 2
    named = [(heavy, "cascade", "error"), (dotted, "inferred", "delegation"), (signs.medium, "context lost", "warning")]
    return [bit for sign, word, role in named for bit in ((sign, role), (f" {word}  ", "dim"))]
