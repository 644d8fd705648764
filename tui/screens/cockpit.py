"""One run: who is working, who asked whom, what is wrong, what just happened, and which steps are suspected.

Invariant: each key acts on what is under the cursor of the pane that has the focus, and says so where there is nothing for it
there. `cockpit_drawing` draws it.
"""

from typing import ClassVar

from textual.binding import Binding

from trajectory.view.rows import AlertRow, DelegationRow, Lane, SpanRow, StepRow, SuspectRow, TraceRow
from tui.drawing.delegation import delegation_at
from tui.keys import bindings_on
from tui.screens.cockpit_drawing import CockpitDrawing
from tui.widgets.pane import Pane


class CockpitScreen(CockpitDrawing):
    """The cockpit of one run."""

    BINDINGS: ClassVar[list[Binding]] = bindings_on("cockpit")  # type: ignore[assignment]
    pane_names: ClassVar[tuple[str, ...]] = ("agents", "delegations", "alerts", "tail", "suspects")

    def chipped(self, pane: Pane, text: str) -> None:
        if pane is self.tail and self.tui.is_paused:
            self.tui.pause()
        elif pane is self.tail and not pane.follows:
            self.action_follow()
        elif pane is self.tail:
            pane.follows = False
            self.moved(pane)

    def _suspect(self) -> SuspectRow | None:
        """The suspect under the cursor."""
        line, rows = self.suspects.line, self.view.suspects if self.view else []
        return next((row for row in rows if line and row.span_id == line.span_id), None)

    def row_of(self, pane: Pane) -> object | None:
        if self.view is None or not pane.selected:
            return None
        if pane is self.graph:
            return self._in_graph(pane.selected)
        at = pane.cursor
        rows: dict[Pane, object | None] = {
            self.agents: self.agents.lane,
            self.alerts: self._alert_rows[at] if pane is self.alerts and at < len(self._alert_rows) else None,
            self.tail: self.tail.step,
            self.suspects: self._suspect(),
            self.spans: self.spans.row,
            self.inspector: self.inspector.held,
        }
        if pane is self.tree_pane and at < len(self._branches):
            return self._branches[at].row or self._lane(self._branches[at].label)
        return rows.get(pane)

    def _lane(self, label: str) -> Lane | None:
        return next((lane for lane in (self.view.lanes if self.view else []) if lane.label == label), None)

    def _in_graph(self, label: str) -> object | None:
        """What a box stands for: a lane, a group of them, else a delegation that never began."""
        lane = next((each for each in self.agents.groups.lanes if each.label == label), None)
        return lane or (self._drawing.given.get(label) if self._drawing else None)

    @property
    def link_view(self) -> str:
        return {self.agents: "agents", self.tree_pane: "delegations", self.graph: "delegations"}.get(self.pane, "")

    def key_of_span(self, pane: Pane, span_id: str) -> str:
        if pane is self.tree_pane:
            return next((b.key for b in self._branches if b.row and b.row.span_id == span_id), "")
        return span_id

    def is_error(self, pane: Pane, index: int) -> bool:
        if pane is self.agents and self.view:
            lane = self.agents.groups.lanes[index]
            return lane.errors > 0 or lane.state == "error"
        if pane is self.tail:
            return self.tail.steps[index].status == "error" or self.tail.steps[index].what == "error"
        if pane is self.spans:
            return self.spans.is_error(index)
        if pane is self.graph:
            found = self._in_graph(pane.keys[index])
            return isinstance(found, DelegationRow) or (isinstance(found, Lane) and found.errors > 0)
        if pane is self.tree_pane:
            row = self._branches[index].row
            return row is not None and (row.state in ("failed", "lost") or bool(row.lost) or row.on_error_path)
        return pane is self.alerts

    def value_of(self, pane: Pane) -> str:
        row = self.row_of(pane)
        if isinstance(row, AlertRow):
            return row.message
        if pane is self.suspects or pane is self.inspector:
            return self.suspects.value if pane is self.suspects else self.inspector.value
        return row.text if isinstance(row, StepRow) else pane.selected

    @property
    def trace(self) -> TraceRow | None:
        """The run, as far as it is known."""
        return self.view.trace if self.view else None

    def action_open(self) -> None:
        row = self.row_of(self.pane)
        if self.pane is self.inspector:
            self.open_inspected()
        elif isinstance(row, Lane) and row.label in self.agents.groups.agents:
            self._open_group(self.agents.groups.agents[row.label])
        elif isinstance(row, Lane):
            self.tui.open_agent(self.trace_id, row.span_id, self.trace)
        elif isinstance(row, AlertRow):
            self.alerts.is_touched = True
            self.tui.open_alert(self.trace_id, row.key, row.alert_id, self.trace)
        elif isinstance(row, DelegationRow):
            self.tui.open_delegation(self.trace_id, row.delegation_id, self.trace)
        elif isinstance(row, StepRow | SuspectRow | SpanRow) and row.span_id:
            self.tui.open_span(self.trace_id, row.span_id, self.start_ns)
        else:
            self.say("nothing to open here yet")

    def _open_group(self, agent: str) -> None:
        """Draws the lanes of an agent one by one, and its boxes."""
        self.agents.open_group(agent)
        self._regroup(next((lane.span_id for lane in self.view.lanes if lane.agent == agent), "") if self.view else "")

    def _regroup(self, key: str) -> None:
        """Draws the lanes anew, with the cursor on one of them."""
        self.redraw()
        self.agents.want(key)
        self.plan()

    def action_unfold(self) -> None:
        row = self.row_of(self.agents)
        if self.pane is self.graph:
            self._go_aside(1)
        elif self.pane is self.agents and isinstance(row, Lane) and row.label in self.agents.groups.agents:
            self._open_group(self.agents.groups.agents[row.label])
        else:
            self.say("l opens a lane that stands for many invocations: no such lane is under the cursor")

    def action_fold(self) -> None:
        """Draws the lanes of the agent under the cursor as one again."""
        row = self.row_of(self.agents)
        if self.pane is self.graph:
            self._go_aside(-1)
            return
        if self.pane is not self.agents or not isinstance(row, Lane) or not self.agents.close_group(row.agent):
            self.say("h closes lanes that were opened out of one: no such lane is under the cursor")
            return
        self._regroup("")
        key = next((label for label, agent in self.agents.groups.agents.items() if agent == row.agent), row.span_id)
        self.agents.want(key)

    def action_mode(self) -> None:
        """Of delegations the next drawing, elsewhere the other way to write times."""
        if self.pane is not self.delegations:
            self.action_times()
        elif self.tui.is_plain:
            self.say("the plain layout reads delegations out as a tree")
        else:
            label = self._label_here()
            self.draws_graph = not self.draws_graph
            self.focus_named("graph" if self.draws_graph else "delegations")
            self.plan()
            self.redraw()
            key = label if self.draws_graph else next((b.key for b in self._branches if b.label == label), "")
            self.delegations.want(key)
            self.say(
                "delegations as a graph: h and l go to the next column" if self.draws_graph else "delegations as a tree"
            )

    def _label_here(self) -> str:
        """The agent under the cursor of the delegations."""
        if self.draws_graph:
            return self.graph.selected
        return self._branches[self.tree_pane.cursor].label if self.tree_pane.cursor < len(self._branches) else ""

    def _go_aside(self, direction: int) -> None:
        """Goes to the next column of the graph."""
        if not self.graph.aside(direction):
            self.say("no further column that way")

    def action_timeline(self) -> None:
        row = self.row_of(self.pane)
        self.tui.open_timeline(self.trace_id, str(getattr(row, "span_id", "")), self.trace)

    def action_signals(self) -> None:
        self.tui.open_signals(self.trace_id, "", self.trace)

    def action_signals_of_all(self) -> None:
        self.tui.open_signals_of_service(self.trace)

    def action_replay(self) -> None:
        row = self.row_of(self.pane)
        moments = ("opened_ns", "at_ns", "sent_ns")  # of an alert, a step or a suspect, a delegation
        at_ns = next((at for name in moments if (at := getattr(row, name, 0))), 0)
        at_ns = at_ns or (self.view.health.now_ns if self.view and self.tui.is_paused else 0)
        told = row.path[0] if isinstance(row, AlertRow) and row.path else row
        label = next((text for name in ("label", "source", "agent") if (text := getattr(told, name, ""))), "")
        self.tui.open_replay(self.trace_id, at_ns, label, self.trace)

    def action_delegations(self) -> None:
        """Goes to who asked whom, onto the delegation of what is under the cursor; from there, to what crossed."""
        row = self.row_of(self.pane)
        if self.pane is self.graph and self._drawing is not None:
            row = self._drawing.given.get(self.graph.selected)
        if self.pane is self.delegations and isinstance(row, DelegationRow):
            self.tui.open_delegation(self.trace_id, row.delegation_id, self.trace)
            return
        spans = [str(getattr(row, name, "")) for name in ("root_span_id", "span_id")]
        label = str(getattr(row, "label", ""))
        rows = self.view.delegations if self.view else []
        found = next((d for span_id in spans if (d := delegation_at(rows, span_id))), delegation_at(rows, "", label))
        self.focus_named("delegations")
        if found is not None:
            self.delegations.want(found.target if self.draws_graph else found.delegation_id)

    def action_alerts(self) -> None:
        self.focus_named("alerts")

    def action_suspects(self) -> None:
        self.focus_named("suspects")

    def action_follow(self) -> None:
        self.focus_named("tail")
        self.tail.follow()
        self.redraw()

    def alert_here(self) -> AlertRow | str:
        row = self.row_of(self.alerts)
        if not isinstance(row, AlertRow) or self.pane is not self.alerts:
            return "no alert is under the cursor: a goes to the alerts"
        self.alerts.is_touched = True
        return row
