"""Going by name: from the words after `:` to a run, an alert, an agent or a span.

Invariant: nothing is asked of the feed; what can be gone to is what the open screens know. Called by the app.
"""

from typing import TYPE_CHECKING

from trajectory.view.rows import TraceView
from tui.screens.cockpit import CockpitScreen
from tui.screens.runs import RunsScreen

if TYPE_CHECKING:
    from tui.app import TrajectoryApp


def go_to(app: "TrajectoryApp", text: str) -> None:
    """Goes to `runs`, `alerts`, a run by id or title; an alert, an agent or a span of the run that is open; else says so."""
    wanted = text.casefold()
    if wanted == "runs":
        app.back_to(RunsScreen)
    elif wanted == "alerts" and any(isinstance(each, CockpitScreen) for each in app.screen_stack):
        app.back_to(CockpitScreen)
        app.call_after_refresh(_focus_alerts, app)
    elif not (_to_alert(app, wanted) or _to_run(app, wanted) or _inside(app, wanted)) and app.data_screen is not None:
        app.data_screen.say(f"no run, alert, agent or span is called {text}")


def _focus_alerts(app: "TrajectoryApp") -> None:
    if isinstance(app.data_screen, CockpitScreen):
        app.data_screen.focus_named("alerts")


def _to_run(app: "TrajectoryApp", wanted: str) -> bool:
    runs = next((each for each in app.screen_stack if isinstance(each, RunsScreen)), None)
    for row in runs.rows if runs else []:
        if row.trace_id.startswith(wanted) or wanted == row.title.casefold():
            app.back_to(RunsScreen)
            app.open_run(row)
            return True
    return False


def _open_view(app: "TrajectoryApp") -> TraceView | None:
    """What is known of the run whose cockpit is open."""
    cockpit = next((each for each in reversed(app.screen_stack) if isinstance(each, CockpitScreen)), None)
    return cockpit.view if cockpit else None


def _to_alert(app: "TrajectoryApp", wanted: str) -> bool:
    view = _open_view(app)
    found = next((row for row in (view.alerts if view else []) if row.alert_id.casefold() == wanted), None)
    if view is not None and found is not None:
        app.open_alert(view.trace.trace_id, found.key, found.alert_id, view.trace)
    return found is not None


def _inside(app: "TrajectoryApp", wanted: str) -> bool:
    view = _open_view(app)
    if view is None:
        return False
    for lane in view.lanes:
        if wanted in (lane.label.casefold(), lane.agent.casefold()) or lane.span_id.startswith(wanted):
            app.open_timeline(view.trace.trace_id, lane.span_id, view.trace)
            return True
    found = next((step.span_id for step in view.tail if step.span_id.startswith(wanted)), "")
    if found:
        app.open_span(view.trace.trace_id, found, view.trace.started_ns)
    return bool(found)
