"""Where one is, where one was, and how one goes somewhere: the stack of screens, the jump list, marks, links, names.

Invariant: nothing is asked of the feed to go somewhere: what a name can mean is what the open screens know; before each jump
the place that is left is remembered, the last hundred of them. The app is built on it.
"""

import re
from collections.abc import Iterator
from typing import Any
from weakref import ref

from trajectory.errors import ConfigError
from trajectory.view.link import EVERY_TRACE, Link, is_link, parse_link
from trajectory.view.plotted import DAY_MINUTES, Plotted
from trajectory.view.rows import TraceRow
from trajectory.view.text import clean
from trajectory.view.times import offset_ns
from trajectory.view.views import TraceView
from tui import screens
from tui.finding import Candidate
from tui.looking import Looking
from tui.marks import Marks, Place
from tui.screens.base import DataScreen
from tui.screens.runs import RunsScreen

_REMEMBERED = 100
_WHOLE_ID = 32
_OFFERED = 40
_DELEGATION = re.compile(r"d([0-9]{1,6})")
_SPAN = re.compile(r"(?=.*[0-9])[0-9a-f]{4,16}")  # a word is no id, though its letters be hexadecimal digits
# Words for where an action of the open screen, or of the cockpit below it, leads.
_WORDS = ("alerts", "delegations", "timeline", "suspects", "replay", "signals")


class Going(Looking):
    """The app as far as it goes to places."""

    def __init__(self) -> None:
        super().__init__()
        self.been: list[Place] = []
        self.ahead: list[Place] = []  # left by going back
        self.marks = Marks()
        self._is_returning = False

    @property
    def data_screen(self) -> DataScreen | None:
        """The uppermost screen over data; overlays lie above it."""
        return next((screen for screen in reversed(self.screen_stack) if isinstance(screen, DataScreen)), None)

    @property
    def here(self) -> DataScreen:
        """The same, once the first of them is open: whoever presses a key is on one."""
        return next(screen for screen in reversed(self.screen_stack) if isinstance(screen, DataScreen))

    def tell(self, text: str) -> None:
        """Says a sentence on the screen over data."""
        if text and self.data_screen is not None and self.data_screen.is_mounted:
            self.data_screen.say(text)

    # Opening

    def push_screen(self, screen: Any, *args: Any, **options: Any) -> Any:
        """Opens a screen; the place that a screen over data covers is remembered."""
        if isinstance(screen, DataScreen):
            self.remember()
        return super().push_screen(screen, *args, **options)

    def pop_screen(self) -> Any:
        """Closes the uppermost screen; the place on a screen over data is remembered."""
        if isinstance(self.screen, DataScreen):
            self.remember()
        return super().pop_screen()

    def open_run(self, row: TraceRow, pane: str = "") -> None:
        """Opens a run's cockpit, on one of its panes."""
        self.push_screen(screens.CockpitScreen(row.trace_id, row.title, pane))

    def open_timeline(self, trace_id: str, span_id: str, trace: TraceRow | None, keep: str = "") -> None:
        """Opens a run's timeline with the cursor on a span; only those that a filter keeps, where there is one."""
        screen = screens.TimelineScreen(trace_id, span_id, trace)
        screen.filter_text = keep
        self.push_screen(screen)

    def open_span(self, trace_id: str, span_id: str, start_ns: int) -> None:
        """Opens a span in the inspector."""
        self.push_screen(screens.SpanScreen(trace_id, span_id, start_ns))

    def open_alert(self, trace_id: str, alert_key: str, alert_id: str = "", trace: TraceRow | None = None) -> None:
        """Opens an alert's page."""
        self.push_screen(screens.AlertScreen(trace_id, alert_key, alert_id, trace))

    def open_replay(self, trace_id: str, at_ns: int = 0, lane: str = "", trace: TraceRow | None = None) -> None:
        """Opens a run at an instant, its end for 0; `lane` is the label of the agent to look at, or its span."""
        self.push_screen(screens.ReplayScreen(trace_id, at_ns, lane, trace))

    def open_agent(self, trace_id: str, agent: str, trace: TraceRow | None = None, around: str = "") -> None:
        """Opens an agent's page, by the span of its lane, its label or its name; at the step of a span, if one is given."""
        self.push_screen(screens.AgentScreen(trace_id, agent, trace, around))

    def open_delegation(self, trace_id: str, delegation_id: str, trace: TraceRow | None = None) -> None:
        """Opens a delegation's page."""
        self.push_screen(screens.DelegationScreen(trace_id, delegation_id, trace))

    def open_signals(
        self, trace_id: str = "", agent: str = "", trace: TraceRow | None = None, plotted: Plotted | None = None
    ) -> None:
        """Opens figures over time: of all runs, of one, or of one agent's work in it, by its name; and what of them."""
        self.push_screen(screens.SignalsScreen(trace_id, agent, trace, plotted))

    def open_signals_of_service(self, trace: TraceRow | None) -> None:
        """Opens figures over time of all runs of the service that a run is of."""
        if trace is None or not trace.service:
            self.tell("no service is known of this run" if trace is not None else "no run is under the cursor")
            return
        self.open_signals(plotted=Plotted(by="agent", service=trace.service, minutes=DAY_MINUTES))

    def back_to(self, kind: type[DataScreen], trace_id: str = "") -> bool:
        """Closes screens until one of a kind, and of a run if one is named, is the uppermost; never the first of all."""
        there = [s for s in self.screen_stack if isinstance(s, kind) and trace_id in ("", getattr(s, "trace_id", ""))]
        if there:
            self._close_above(there[-1])
        return bool(there)

    def _close_above(self, screen: DataScreen) -> None:
        while self.screen is not screen and len(self.screen_stack) > 2:
            self.pop_screen()

    # Where one was

    def remember(self) -> None:
        """Puts the place that one is at on the jump list."""
        place = self._place()
        if place and not self._is_returning and self.been[-1:] != [place]:
            self.been = [*self.been, place][-_REMEMBERED:]
            self.ahead.clear()

    def _place(self) -> Place | None:
        screen = self.data_screen
        if screen is None or not screen.is_mounted:
            return None
        pane, link = screen.pane, screen.link()
        at = [*screen.crumbs()[1:], pane.title, f"span {link.span[:8]}" if link and link.span else ""]
        words = f" {screen.signs.crumb} ".join(dict.fromkeys(word for word in at if word))
        return Place(ref(screen), screen.subject, link, pane.id or "", pane.selected, words)

    def go_back(self) -> None:
        """Goes to the place where one was before the last jump."""
        if not self._return_along(self.been, self.ahead):
            self.tell("nowhere else was gone to before")

    def go_forward(self) -> None:
        """Goes to the place from which one went back."""
        if not self._return_along(self.ahead, self.been):
            self.tell("nothing was gone back from")

    def _return_along(self, places: list[Place], other: list[Place]) -> bool:
        """Goes to the last of some places that is another than this one; this one is the last of the others then."""
        here = self._place()
        while places:
            place = places.pop()
            if place != here and self.return_to(place):
                other.extend([here] if here else [])
                return True
        return False

    def return_to(self, place: Place) -> bool:
        """Goes to a place, on its screen if that is open, else on a new one. False where it cannot be found again."""
        screen = place.screen()
        self._is_returning = True
        try:
            if screen is not None and screen in self.screen_stack and screen.subject == place.subject:
                self._close_above(screen)
                screen.arrive(place.pane, place.key)
                return True
            if place.link is None:
                return False
            return self.land(place.link, place.pane, place.key)
        finally:
            self._is_returning = False

    def set_mark(self, letter: str) -> None:
        """Marks the place for the run that it is in."""
        place = self._place()
        if place is None or place.link is None:
            self.tell("nothing to mark here")
            return
        self.marks.set(letter, place)
        self.tell(f"marked as {letter}: ' and {letter} comes back")

    def go_to_mark(self, letter: str) -> None:
        """Goes to a mark of the run that one is in."""
        place = self.marks_here.get(letter)
        if place is None:
            self.tell(f"no mark {letter} in this run: m and {letter} sets it")
            return
        self.remember()
        self.return_to(place)

    @property
    def marks_here(self) -> dict[str, Place]:
        """The marks of the run that one is in, or that is under the cursor."""
        link = self.data_screen.link() if self.data_screen else None
        return self.marks.of(link.trace) if link else {}

    # Links

    def land(self, link: Link, pane: str = "", key: str = "") -> bool:
        """Goes to what a link names, and to a row of a pane there; says so and returns False where its run is not known."""
        if link.trace == EVERY_TRACE:
            self.back_to(RunsScreen)
            self.open_signals(plotted=link.plotted)
            return True
        trace_id = self._whole_id(link.trace)
        if not trace_id:
            return False
        trace = next((row for row in self._runs() if row.trace_id == trace_id), None)
        if not self.back_to(screens.CockpitScreen, trace_id):
            self.back_to(RunsScreen)
            self.push_screen(screens.CockpitScreen(trace_id, trace.title if trace else ""))
        screen = self._target(link, trace_id, trace)
        if screen is not None:
            self.push_screen(screen)
        here = self.here
        here.arrive(pane or (link.view if isinstance(here, screens.CockpitScreen) else ""), key, link.span)
        if link.at_ns is not None and (not link.span or link.view == "replay"):
            here.go_to_time(link.at_ns)
        return True

    def _target(self, link: Link, trace_id: str, trace: TraceRow | None) -> DataScreen | None:
        """What a link opens above the cockpit of its run; None where it means the cockpit."""
        if link.alert:
            return screens.AlertScreen(trace_id, "", link.alert, trace)
        if link.view == "signals":
            return screens.SignalsScreen(trace_id, "", trace, link.plotted)
        if link.agent:
            return screens.AgentScreen(trace_id, link.agent, trace)
        if link.delegation:
            return screens.DelegationScreen(trace_id, link.delegation, trace)
        if link.view == "replay":
            return screens.ReplayScreen(trace_id, 0, link.span, trace)
        if link.view == "timeline" or (link.at_ns is not None and not link.span):
            return screens.TimelineScreen(trace_id, link.span, trace)
        if link.span and link.view not in screens.CockpitScreen.pane_names:
            return screens.SpanScreen(trace_id, link.span)
        return None

    def _whole_id(self, trace: str) -> str:
        if len(trace) == _WHOLE_ID:
            return trace
        found = {row.trace_id for row in self._runs() if row.trace_id.startswith(trace)}
        if len(found) != 1:
            self.tell(f"{'several runs begin' if found else 'no run here begins'} with {trace}")
        return found.pop() if len(found) == 1 else ""

    # Names

    def go_to(self, text: str) -> None:
        """Goes to what a text names: `runs`, a word for a screen, a link, a time, a run, an alert, an agent, a span."""
        text = text.strip()
        if not text:
            return
        wanted = text.casefold()
        if is_link(text):
            self._follow_link(text)
        elif wanted == "runs":
            self.back_to(RunsScreen)
        elif not (
            self._to_word(wanted)
            or self._to_time(wanted)
            or self._to_alert(wanted)
            or self._to_delegation(wanted)
            or self._to_run(wanted)
            or self._inside(wanted)
        ):
            self.tell(f"no run, alert, agent or span is called {clean(text)}")

    def _follow_link(self, text: str) -> None:
        try:
            link = parse_link(text)
        except ConfigError as fault:
            self.tell(str(fault))
        else:
            self.land(link)

    def _to_word(self, wanted: str) -> bool:
        if wanted not in _WORDS:
            return False
        name = f"action_{wanted}"
        if not hasattr(self.data_screen, name) and not self.back_to(screens.CockpitScreen):
            return False
        self.remember()
        self.call_after_refresh(getattr(self.data_screen, name))
        return True

    def _to_time(self, wanted: str) -> bool:
        at_ns = offset_ns(wanted.removeprefix(":"))
        if at_ns is None:
            return False
        screen = self.here
        self.remember()
        if not screen.go_to_time(at_ns):
            link = screen.link()
            if link is None:
                return False
            self.land(Link(link.trace, at_ns=at_ns))
        return True

    def _runs(self) -> list[TraceRow]:
        return next((each.rows for each in self.screen_stack if isinstance(each, RunsScreen)), [])

    def _to_run(self, wanted: str) -> bool:
        for row in self._runs():
            if row.trace_id.startswith(wanted) or wanted == row.title.casefold():
                self.back_to(RunsScreen)
                self.open_run(row)
                return True
        return False

    def _open_view(self) -> TraceView | None:
        """What is known of the run whose cockpit is open."""
        cockpit = next((each for each in reversed(self.screen_stack) if isinstance(each, screens.CockpitScreen)), None)
        return cockpit.view if cockpit else None

    def _newest_view(self) -> TraceView | None:
        """The same as the uppermost screen knows it: a screen that is covered asks for nothing, so its alerts may be old."""
        views = (getattr(screen, "view", None) for screen in reversed(self.screen_stack))
        return next((view for view in views if isinstance(view, TraceView)), None)

    def _to_alert(self, wanted: str) -> bool:
        view = self._newest_view()
        found = next((row for row in (view.alerts if view else []) if row.alert_id.casefold() == wanted), None)
        if view is not None and found is not None:
            self.open_alert(view.trace.trace_id, found.key, found.alert_id, view.trace)
        return found is not None

    def _to_delegation(self, wanted: str) -> bool:
        """`d4` is the fourth delegation of the run, as its page counts."""
        view, named = self._open_view(), _DELEGATION.fullmatch(wanted)
        if view is None or named is None or not 0 < int(named[1]) <= len(view.delegations):
            return False
        self.open_delegation(view.trace.trace_id, view.delegations[int(named[1]) - 1].delegation_id, view.trace)
        return True

    def _inside(self, wanted: str) -> bool:
        view = self._open_view()
        if view is None:
            return False
        for lane in view.lanes:
            if wanted in (lane.label.casefold(), lane.agent.casefold()) or lane.span_id.startswith(wanted):
                self.open_agent(view.trace.trace_id, lane.span_id, view.trace)
                return True
        found = next((step.span_id for step in view.tail if step.span_id.startswith(wanted)), "")
        if found:
            self.open_span(view.trace.trace_id, found, view.trace.started_ns)
        elif _SPAN.fullmatch(wanted):  # it may be any of many that nobody here has: the timeline asks for it
            self.open_timeline(view.trace.trace_id, wanted, view.trace)
        else:
            return False
        return True

    def places_called(self, text: str) -> list[Candidate]:
        """What can be gone to by a name that begins as the text does, or holds it."""
        wanted = text.casefold()
        named = [(name, shown) for name, shown in self._names() if wanted in shown.casefold() and name != text]
        named.sort(key=lambda each: not each[0].casefold().startswith(wanted))
        return named[:_OFFERED]

    def _names(self) -> Iterator[Candidate]:
        screen, view, newest = self.data_screen, self._open_view(), self._newest_view()
        for word in _WORDS:
            if hasattr(screen, f"action_{word}") or (view and hasattr(screens.CockpitScreen, f"action_{word}")):
                yield word, word
        yield "runs", "runs"
        for alert in newest.alerts if newest else []:
            yield alert.alert_id, f"{alert.alert_id} {alert.kind}"
        for number, row in enumerate(view.delegations if view else [], 1):
            yield f"d{number}", f"d{number} {row.source} {row.target}"
        for lane in view.lanes if view else []:
            if lane.label == clean(lane.label):
                yield lane.label, lane.label
        for run in self._runs():
            yield run.trace_id[:8], f"{run.trace_id[:8]} {run.title}"
