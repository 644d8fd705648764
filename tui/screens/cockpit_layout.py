"""Where the cockpit's panes stand at each size: the two that change places, the column of the inspector, that of the timeline.

Invariant: at any size each pane is one key away; of a low screen the tail keeps a third, of a high one all that is left over.
The cockpit is built on it.
"""

from textual.app import ComposeResult
from textual.containers import Container

from tui.drawing.graph import graph_legend
from tui.drawing.page import PageLine
from tui.drawing.suspects import NOT_A_VERDICT
from tui.drawing.tree import tree_legend
from tui.screens.inspecting import InspectingScreen
from tui.screens.timed import TimedScreen
from tui.widgets.graph import GraphPane
from tui.widgets.lanes import LanesPane
from tui.widgets.page import PagePane
from tui.widgets.pane import Pane
from tui.widgets.spans import SpansPane
from tui.widgets.tail import TailPane

ULTRA = 220  # columns from which the timeline stands beside the cockpit
_STACK = 96  # cells of the cockpit's own panes there
_SIDE_BY_SIDE = 140  # cells of these from which alerts and suspects stand beside each other
_HIGH = 40  # rows from which lanes and delegations stand one above the other there


class CockpitLayout(InspectingScreen, TimedScreen):
    """The panes of a run."""

    def __init__(self) -> None:
        super().__init__()
        self._shows_delegations = False  # where there is no room for both, in the place of the lanes
        self._shows_suspects = False  # where there is no room for both, in the place of the alerts
        self.draws_graph = False  # of delegations, instead of their tree

    def compose_body(self) -> ComposeResult:
        signs = self.tui.signs
        self.agents = LanesPane(signs, number=1)
        self.tree_pane = Pane("delegations", signs, title="Delegations", number=2)
        self.graph = GraphPane("graph", signs, title="Delegations", number=2)
        self.alerts = Pane("alerts", signs, title="Alerts", number=3)
        self.tail = TailPane(signs, number=4)
        self.suspects = PagePane("suspects", signs, "Suspects", 5, self.suspect_lines, self.plan)
        self.suspects.is_by_choice = True
        self.spans = SpansPane(signs, number=7)
        self.suspects.status = NOT_A_VERDICT
        self.alerts.rests_on_first = self.suspects.rests_on_first = True
        self.tree_pane.legend, self.graph.legend = tree_legend(signs), graph_legend(signs)
        above = Container(self.agents, self.tree_pane, self.graph, id="above", classes="columns")
        middle = Container(self.alerts, self.suspects, id="middle", classes="columns")
        stack = Container(above, middle, self.tail, id="stack")
        yield Container(stack, self.spans, self.make_inspector(6), id="beside", classes="columns")

    @property
    def delegations(self) -> Pane:
        """The pane that shows them, as a tree or as a graph."""
        return self.graph if self.draws_graph else self.tree_pane

    @property
    def is_ultra(self) -> bool:
        return self.app.size.width >= ULTRA and self.is_wide

    def panes(self) -> list[Pane]:
        own: list[Pane] = [self.agents, self.delegations, self.alerts, self.tail, self.suspects]
        beside: list[Pane] = [self.inspector] if self.is_wide else []
        return [*own, *beside, *([self.spans] if self.is_ultra else [])]

    def tabs(self) -> list[tuple[str, str]]:
        names = ("agents", "graph", "alerts", "tail", "suspects")
        return [(pane.id or "", name) for pane, name in zip(self.panes(), names, strict=False)]

    @property
    def stack_width(self) -> int:
        """Cells of the cockpit's own panes."""
        return _STACK if self.is_ultra else self.app.size.width - self.inspector_width

    def lay_out(self, width: int, height: int) -> None:
        own, ultra = self.stack_width, self.is_ultra
        self.inspector.display, self.spans.display = self.is_wide, ultra
        self.inspector.styles.width = self.inspector_width
        for pane in (self.tree_pane, self.graph):
            pane.display = pane is self.delegations
        boxes = {name: self.query_one(f"#{name}", Container) for name in ("beside", "stack", "above", "middle")}
        for box in boxes.values():
            box.display = True
        boxes["beside"].styles.height = boxes["stack"].styles.height = "1fr"
        boxes["stack"].styles.width = own if ultra else "1fr"
        above, middle = boxes["above"], boxes["middle"]
        is_narrow, both_high = own < 100, ultra and height >= _HIGH
        above.styles.layout = "vertical" if both_high else "horizontal"
        if is_narrow and not both_high:
            self.agents.display, self.delegations.display = not self._shows_delegations, self._shows_delegations
        self.delegations.styles.width = "1fr" if is_narrow else max(46, own * 46 // 120)
        low = height < 14
        self.agents.axis_lines = 2 if own >= 100 or both_high else 1
        alert_size = self._alert_size(height)
        lane_size = self._lane_size(height - (0 if low else alert_size), 5 if self.agents.axis_lines == 1 else 7)
        given_size = min(max(5, self._given_count() + 4), height // 4) if both_high else 0
        if both_high:
            self.agents.styles.height, self.delegations.styles.height = lane_size, given_size
        middle.display = not low or self._shows_suspects
        self.alerts.display = self._is_side_by_side or not self._shows_suspects
        self.suspects.display = self._is_side_by_side or self._shows_suspects
        above.styles.width = middle.styles.width = "100%"
        above.styles.height, middle.styles.height = lane_size + given_size, alert_size

    @property
    def _is_side_by_side(self) -> bool:
        return self.stack_width >= _SIDE_BY_SIDE

    def _given_count(self) -> int:
        return self.graph.row_count if self.draws_graph else len(self.tree_pane.keys)

    def _alert_size(self, height: int) -> int:
        """Lines of the alerts' and the suspects' panes: as many as there are, within a sixth of the screen or so; suspects, who
        need more for their reasons, have a third while they are in the alerts' place."""
        if self._shows_suspects and not self._is_side_by_side:
            return max(4, min(len(self.suspects.lines) + 2, height // 3 + 1))
        most = 4 if height < 28 else 6 if height < 40 else 9
        rows = max(len(self.alerts.keys), len(self.suspects.lines) if self._is_side_by_side else 0)
        return max(3, min(rows + 2, most))

    def _lane_size(self, height: int, around: int) -> int:
        """Lines of the lanes' pane, out of those that it shares with the tail: all lanes, if the tail keeps a third. Around them
        are the frame, the axis, the legend and the path."""
        lanes = len(self.agents.keys) if self.view else 7
        wanted = lanes + around + self.has_way
        return max(4, min(wanted, height - max(5, height // 3)))

    @property
    def has_way(self) -> bool:
        """Whether the path of an alert is drawn."""
        raise NotImplementedError

    def suspect_lines(self, width: int) -> list[PageLine]:
        """The lines of the suspects' pane."""
        raise NotImplementedError

    def reveal_pane(self, pane: Pane) -> None:
        super().reveal_pane(pane)
        if pane in (self.agents, self.delegations):
            self._shows_delegations = pane is self.delegations
        if pane in (self.alerts, self.suspects):
            self._shows_suspects = pane is self.suspects
            self.plan()
        if not pane.display or self.stack_width < 100:
            pane.display = True
            self.call_after_refresh(self.plan)
