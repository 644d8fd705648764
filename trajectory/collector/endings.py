"""Which anomalies were told and last, and how their findings grow: that they are grave after all, and when they ended and why.

Invariant: a finding is over once. What an earlier process told is known again from the store; where the restart lies over its
end, what was learnt anew decides. Nothing lasts for ever: that of which nothing comes any more is over, too. Owned by the
pipeline, fed by the watch over all runs.
"""

from collections import deque

from trajectory.model.fact import Finding
from trajectory.model.words import ENDED_AT, Severity
from trajectory.signals.anomalies import KIND, ended, grown
from trajectory.signals.anomaly import Ended, Graver
from trajectory.signals.baseline import RETURNED, SETTLED
from trajectory.signals.watch import SILENT, SILENT_NS, Standing, Watch
from trajectory.store.contract import Reader

MAX_LASTING = 1000  # beyond them the one told first is not followed any more
_LOOK_NS = 60_000_000_000
_LATER = " (learnt anew after a restart)"


class Endings:
    """The anomalies that last. `is_read` says whether those of the store are among them."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._lasting: dict[str, tuple[Finding, int]] = {}  # by key, with when it became known here
        self._grown: deque[Finding] = deque()
        self._looked_ns = 0
        self.is_read = False

    def read(self, store: Reader, now_ns: int) -> None:
        """Those that an earlier process told. Raises StoreError."""
        for finding in store.findings(kind=f"{KIND}.*"):
            self.note(finding, now_ns)
        self.is_read = True

    def note(self, finding: Finding, now_ns: int) -> None:
        """A finding that was told; one that does not last, or is over, is left out."""
        lasts = finding.attributes.get(ENDED_AT)
        if lasts is None or not isinstance(finding.attributes.get("series"), str):
            return
        self._hear(self._watch.take_news())  # before this one was told
        self._lasting.pop(finding.key, None)
        if lasts == 0:
            self._lasting[finding.key] = (finding, now_ns)
            if len(self._lasting) > MAX_LASTING:
                del self._lasting[next(iter(self._lasting))]

    def step(self, now_ns: int, *, is_learnt: bool) -> Finding | None:
        """The next finding that has grown; it stays the next until `told` is called. `is_learnt`: whether what is usual was
        learnt anew."""
        self._hear(self._watch.take_news())
        if is_learnt and self._lasting and abs(now_ns - self._looked_ns) >= _LOOK_NS:
            self._looked_ns = now_ns
            self._watch.pass_time(now_ns)
            self._look(now_ns)
        return self._grown[0] if self._grown else None

    def told(self) -> None:
        """The next one was told, or its run is gone."""
        self._grown.popleft()

    def _hear(self, news: list[Ended | Graver]) -> None:
        for each in news:
            if isinstance(each, Ended):
                series, at_ns = each.series, each.at_ns
            else:
                series, at_ns = each.anomaly.key.series, each.anomaly.alarm.at_ns
            for finding, noted_ns in list(self._lasting.values()):
                if finding.attributes["series"] != series or finding.at_ns > at_ns:
                    continue
                if isinstance(each, Ended):
                    self._close(finding, at_ns, each.why)
                elif finding.severity == Severity.INFO:
                    graver = grown(finding, each.anomaly)
                    self._lasting[finding.key] = (graver, noted_ns)
                    self._grown.append(graver)

    def _look(self, now_ns: int) -> None:
        """Ends what lasts by its finding, and not by what is known of its series."""
        asked = {str(finding.attributes["series"]): finding.value for finding, _ in self._lasting.values()}
        standings = self._watch.standings(asked)
        for key, (finding, noted_ns) in list(self._lasting.items()):
            standing = standings.get(finding.attributes["series"])
            if standing is None:
                noted_ns = min(noted_ns, now_ns)
                self._lasting[key] = (finding, noted_ns)
                if now_ns - noted_ns >= SILENT_NS:
                    self._close(finding, finding.at_ns, SILENT)
            elif not standing.is_lasting:
                why = SETTLED if _is_new_level(finding, standing) else RETURNED
                self._close(finding, max(standing.last_ns, finding.at_ns), why + _LATER)

    def _close(self, finding: Finding, at_ns: int, why: str) -> None:
        del self._lasting[finding.key]
        self._grown.append(ended(finding, at_ns, why))


def _is_new_level(finding: Finding, standing: Standing) -> bool:
    """Whether what is usual now is nearer to what was seen then than to what was usual before."""
    seen, usual = (finding.attributes.get(name) for name in ("seen", "usual"))
    if not isinstance(seen, int | float) or not isinstance(usual, int | float):
        return False
    return abs(standing.middle - seen) < abs(standing.middle - usual)
