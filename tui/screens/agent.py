"""One agent's trajectory in a run: what it was given, each step in order, what it gave back; its figures and what it exchanged.

Invariant: a window of the agent's steps is held, which slides with the cursor; the messages are those around the step under the
cursor, and moving in them moves the steps. `[` and `]` go to the run's other agents without leaving. Asks for that one agent.
"""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container

from trajectory.view.agent_rows import AgentStep
from trajectory.view.link import Link
from trajectory.view.plotted import DAY_MINUTES, Plotted
from trajectory.view.rows import TraceRow
from trajectory.view.views import AgentQuery, AgentView, View
from tui.drawing.agent import agent_headline, came_with, fact_lines, message_lines, trajectory_line
from tui.drawing.line import Line
from tui.drawing.numbers import grouped, many
from tui.drawing.page import PageLine
from tui.keys import bindings_on
from tui.links import link_to_agent
from tui.screens.base import DataScreen
from tui.widgets.page import PagePane
from tui.widgets.pane import Pane

_WINDOW = 300  # lines held at once
_AROUND = 40  # messages before and after the step under the cursor
_WIDE = 160  # columns from which all three stand side by side


class AgentScreen(DataScreen):
    """The page of one agent: by the span of its lane, its label or its name. `around` is a span of its to begin at."""

    name_here = "agent"
    shown_always = "steps"
    _below = "messages"
    BINDINGS: ClassVar[list[Binding]] = bindings_on("agent")  # type: ignore[assignment]
    view: AgentView | None

    def __init__(self, trace_id: str, agent: str, trace: TraceRow | None = None, around: str = "") -> None:
        super().__init__()
        self.trace_id = trace_id
        self.agent = agent
        self._trace = trace
        self._around = around
        self._offset = 0
        self._each = False  # every step on a line of its own
        self._is_raw = False
        self._goal: tuple[AgentView | None, str] | None = (
            None  # from this view on to a step of the next: a key, or first or last
        )

    def compose_body(self) -> ComposeResult:
        signs = self.tui.signs
        self.facts = PagePane("facts", signs, "Agent", 1, self._fact_lines, self.plan)
        self.steps = Pane("steps", signs, title="Steps", number=2)
        self.messages = PagePane("messages", signs, "Messages", 3, self._message_lines, self.plan)
        self.steps.can_follow = True
        yield Container(self.facts, self.steps, id="above", classes="columns")
        yield Container(self.messages, id="below", classes="columns")

    def panes(self) -> list[Pane]:
        return [self.facts, self.steps, self.messages]

    def begin(self) -> None:
        self.focus_pane(1)

    @property
    def subject(self) -> str:
        return self.view.facts.span_id if self.view else self.agent

    def link(self) -> Link | None:
        return link_to_agent(self.trace_id, self.view.facts.span_id if self.view else self.agent)

    def crumbs(self) -> list[str]:
        title = self._trace.title if self._trace else ""
        return ["runs", f"{self.trace_id[:4]} {title}".strip(), self.view.facts.label if self.view else "agent"]

    def asks(self) -> AgentQuery:
        return AgentQuery(
            self.trace_id, self.agent, self.filter_text, self._offset, _WINDOW, self._around, self._each, self._is_raw
        )

    def takes(self, view: View) -> bool:
        return isinstance(view, AgentView) and view.trace.trace_id == self.trace_id

    # Layout

    def lay_out(self, width: int, height: int) -> None:
        above, below = self.query_one("#above"), self.query_one("#below")
        above.display = below.display = True
        if width < 60 or height < 12:
            for pane in self.panes():
                pane.display = pane is self.pane
            above.display, below.display = self.pane is not self.messages, self.pane is self.messages
            above.styles.height = below.styles.height = "1fr"
            return
        above.styles.height = "1fr"
        above.styles.layout = "horizontal"
        size = max(5, min(len(self.messages.lines) + 2, height * 2 // 5))
        if width >= 100:
            self.facts.styles.width = 46 if width < _WIDE else 52
            below.styles.height = size
            return
        shows_facts = self._below == "facts"
        self.facts.display, below.display = shows_facts, not shows_facts
        below.styles.height = size
        if shows_facts:
            above.styles.layout = "vertical"
            self.facts.styles.height = max(6, height // 2)

    def summary_height(self, width: int) -> int:
        return 1

    def summary(self, width: int) -> list[Line]:
        if self.view is None:
            return [[(f" opening {self.agent[:24]} {self.signs.ellipsis}", "dim")]]
        return [agent_headline(self.view, width, self.signs, self._now_ns)]

    # Drawing

    @property
    def _now_ns(self) -> int:
        view = self.view
        goes_on = view is not None and view.trace.state == "live"
        return self.tui.now_ns if goes_on or view is None else view.trace.ended_ns

    def _when(self, at_ns: int) -> str:
        return self.when(at_ns, self.view.trace.started_ns if self.view else 0)

    def draw_view(self, view: AgentView) -> None:
        is_first = self._trace is None or not self.steps.keys
        self._trace = view.trace
        self.agent, self._offset, around, self._around = view.facts.span_id, view.offset, self._around, ""
        before = len(self.messages.lines)
        came = came_with(view, self.signs)
        self.steps.show(
            [step.key for step in view.steps],
            lambda index, width: trajectory_line(
                view.steps[index],
                came if view.steps[index].what == "receive" else [],
                self._when(view.steps[index].at_ns),
                width,
                self.signs,
            ),
        )
        self._arrive_at(view, around)
        self.steps.banner = (
            [] if view.steps else [[("no step passes the filter" if self.filter_text else "no step yet", "dim")]]
        )
        self.facts.fill()
        self._draw_messages()
        self._titles(view)
        if is_first or before != len(self.messages.lines):
            self.plan()

    def _arrive_at(self, view: AgentView, around: str) -> None:
        """Puts the cursor where it was to be in the window that came."""
        if around:
            self._goal = None
            found = next((step.key for step in view.steps if step.span_id == around), "")
            if found:
                self.steps.want(found)
        elif self._goal is not None and self._goal[0] is not view:
            goal, self._goal = self._goal[1], None
            if goal in ("first", "last"):
                self.steps.go(0 if goal == "first" else len(view.steps) - 1)
            else:
                self.steps.want(goal)

    def _titles(self, view: AgentView) -> None:
        here = view.offset + self.steps.cursor + 1 if view.steps else 0
        folded = f" {self.signs.dot} {grouped(view.folded)} folded" if view.folded else ""
        self.steps.status = f"{grouped(here)} of {grouped(view.rows_total)}{folded}"
        narrow = self.app.size.width < 100
        mode = "raw" if self._is_raw else "rendered"
        self.messages.status = f"1 facts {self.signs.dot} {mode}" if narrow else mode
        self.facts.status = "3 messages" if narrow else ""

    def _fact_lines(self, width: int) -> list[PageLine]:
        return fact_lines(self.view, width, self.signs, self._when, self._now_ns) if self.view else []

    def _draw_messages(self) -> None:
        self.messages.fill()
        step = self.step
        if step is not None and self.pane is not self.messages:
            lines = [line.key for line in self.messages.lines]
            key = f"{step.key}.0"
            if key in lines:
                self.messages.go(lines.index(key))

    def _message_lines(self, width: int) -> list[PageLine]:
        view, step = self.view, self.step
        if view is None:
            return []
        places = {each.key: at for at, each in enumerate(view.steps)}
        here = places.get(step.key, 0) if step else 0
        at = next((n for n, m in enumerate(view.messages) if places.get(m.step_key, 0) >= here), len(view.messages))
        shown = view.messages[max(0, at - _AROUND) : at + _AROUND]
        most = 1 if self.app.size.height < 30 else 2 if width < 120 else 3
        lines = message_lines(shown, width, self.signs, self._when, 1 if self._is_raw else most)
        return lines or [PageLine("none", [("no message of its was captured", "dim")])]

    @property
    def step(self) -> AgentStep | None:
        """The step under the cursor."""
        at, steps = self.steps.cursor, self.view.steps if self.view else []
        return steps[at] if 0 <= at < len(steps) else None

    def moved(self, pane: Pane) -> None:
        view = self.view
        if view is not None and pane is self.steps:
            self._draw_messages()
            self._titles(view)
            self._slide(view)
        elif view is not None and pane is self.messages is self.pane and self.messages.line is not None:
            key = self.messages.line.key.rpartition(".")[0]
            self.steps.want(next((m.step_key for m in view.messages if m.key == key), ""))

    def _slide(self, view: AgentView) -> None:
        """Moves the window when the cursor reaches its end or its beginning, and there are more."""
        at, count = self.steps.cursor, len(view.steps)
        if self._goal is not None:  # on its way to another window
            return
        if at == count - 1 and view.offset + count < view.rows_total:
            self._offset = view.offset + _WINDOW // 2
            self.steps.follows = False  # the end of the window is not that of the steps
        elif at == 0 and view.offset and self.steps.is_touched:
            self._offset = max(0, view.offset - _WINDOW // 2)

    def counted(self) -> str:
        return f"{grouped(self.view.rows_total)} of its {many(self.view.facts.steps, 'step')}" if self.view else ""

    def rest_hint(self, width: int) -> list[Line]:
        return [[(" / filters its steps", "dim")]]

    def banner(self) -> list[Line]:
        if self.view is None and not self.missing and self.contact.state == "live":
            return [[(f"Asking for the agent {self.signs.ellipsis}", "dim")]]
        return super().banner()

    def banner_pane(self) -> Pane:
        return self.steps

    # Keys

    def action_first(self) -> None:
        self._to_end("first", 0)
        super().action_first()

    def action_last(self) -> None:
        self._to_end("last", max(0, self.view.rows_total - _WINDOW) if self.view else 0)
        super().action_last()

    def _to_end(self, goal: str, offset: int) -> None:
        if self.pane is self.steps and offset != self._offset:
            self._offset, self._goal = offset, (self.view, goal)
            self.tui.ask_now()

    def is_error(self, pane: Pane, index: int) -> bool:
        if pane is not self.steps:
            return isinstance(pane, PagePane) and pane.lines[index].is_error
        step = self.view.steps[index] if self.view else None
        return step is not None and step.status == "error" and step.what not in ("receive", "delegate")

    def action_next_error(self) -> None:
        """The next error of the agent: in the window, else further on, else from the beginning."""
        view, cursor = self.view, self.steps.cursor
        failed = view.failed if view is not None and self.pane is self.steps else []
        further = [each for each in failed if view is not None and each[0] > view.offset + cursor]
        place, key = next(iter(further or failed), (-1, ""))
        if view is None or place < 0 or view.offset <= place < view.offset + len(view.steps):
            super().action_next_error()
            return
        self.tui.remember()
        self._offset, self._goal = max(0, place - _WINDOW // 2), (view, key)
        self.tui.ask_now()

    def action_sibling(self, direction: int) -> None:
        view = self.view
        goal = (view.previous_id if direction < 0 else view.next_id) if view else ""
        if not goal:
            self.say("no agent before this one" if direction < 0 else "no agent after this one")
            return
        self.tui.remember()
        self.agent, self._offset, self._around = goal, 0, ""
        self._goal = (view, "first")
        for pane in self.panes():
            pane.top = pane.cursor = 0
        self.tui.ask_now()
        self.update_bars()

    def action_unfold(self) -> None:
        self._fold(each=True)

    def action_fold(self) -> None:
        self._fold(each=False)

    def _fold(self, *, each: bool) -> None:
        if self._each is each or (each and self.view is not None and not self.view.folded):
            self.say("every step is on a line of its own" if each else "what is alike is behind one line")
            return
        step = self.step
        self._each, self._around = each, step.span_id if step else ""
        self._goal = (self.view, step.key) if step else None
        self.tui.ask_now()
        self.say("all steps, one by one: h folds what is alike" if each else "what is alike is folded: l opens it")

    def action_mode(self) -> None:
        self._is_raw = not self._is_raw
        self.tui.ask_now()
        self.say("messages as they were stored" if self._is_raw else "messages for reading")

    def action_open(self) -> None:
        step, line = self.step, self.pane.line if isinstance(self.pane, PagePane) else None
        start_ns = self._trace.started_ns if self._trace else 0
        if line is not None and line.alert_key:
            self.tui.open_alert(self.trace_id, line.alert_key, trace=self._trace)
        elif line is not None and line.delegation_id:
            self.tui.open_delegation(self.trace_id, line.delegation_id, self._trace)
        elif line is not None and line.span_id:
            self.tui.open_span(self.trace_id, line.span_id, start_ns)
        elif self.pane is not self.steps or step is None:
            self.say("nothing to open on this line")
        elif step.count > 1:
            self.action_unfold()
        else:
            self.tui.open_span(self.trace_id, step.span_id, start_ns)

    def action_delegation(self) -> None:
        """Goes to what crossed: at the step under the cursor, else when the agent was given its work."""
        given = self.view.given if self.view else []
        found = (self.step.delegation_id if self.step else "") or next((row.delegation_id for row in given), "")
        if found:
            self.tui.open_delegation(self.trace_id, found, self._trace)
        else:
            self.say("no delegation is known by which it got its work")

    def action_alerts(self) -> None:
        """Goes to the alert at the step under the cursor, else to the first on the agent."""
        alerts = self.view.alerts if self.view else []
        numbers = [alert_id for _, alert_id in self.step.found] if self.step else []
        found = next((a for a in alerts if a.alert_id in numbers), next(iter(alerts), None))
        if found is None:
            self.say("no alert is on this agent")
        else:
            self.tui.open_alert(self.trace_id, found.key, found.alert_id, self._trace)

    def action_timeline(self) -> None:
        self.tui.open_timeline(self.trace_id, self.step.span_id if self.step else self.agent, self._trace)

    def action_signals(self) -> None:
        self.tui.open_signals(self.trace_id, self.view.facts.agent if self.view else "", self._trace)

    def action_signals_of_all(self) -> None:
        agent = self.view.facts.agent if self.view else ""
        if agent:
            self.tui.open_signals(plotted=Plotted(agent=agent, minutes=DAY_MINUTES))
        else:
            self.say("this agent has no name yet")

    def action_replay(self) -> None:
        self.tui.open_replay(self.trace_id, self.step.at_ns if self.step else 0, self.agent, self._trace)

    def row_of(self, pane: Pane) -> object | None:
        if pane is self.steps:
            return self.step
        if pane is self.messages and self.view is not None and self.messages.line is not None:
            key = self.messages.line.key.rpartition(".")[0]
            return next((message for message in self.view.messages if message.key == key), None)
        return self.view.facts if self.view else None

    def value_of(self, pane: Pane) -> str:
        if isinstance(pane, PagePane):
            return pane.value
        step = self.step
        return (step.text or step.name) if step else ""
