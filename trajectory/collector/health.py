"""How well facts are coming in: the numbers beside every other number.

Invariant: each count only grows, and what is shown as lost equals what is known to be lost. Owned by the collector's loop.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence

from trajectory.collector import skew
from trajectory.model.fact import Source
from trajectory.view.rows import Health
from trajectory.view.text import clean

_WINDOW_NS = 1_000_000_000
_IMPORTED_NS = 3_600_000_000_000
_FAULT_CHARS = 200
_MANY_BYTES = 4_000_000
_MAX_REASONS = 20
_MAX_CLOCKS = 3  # said one by one
_MAX_SKEWED = 1000
_MAX_LOSSY = 20  # told by their names
_SKEWED_NS = 600_000_000_000  # unheard that long, nothing is said of a host's clock
_NO_CLOCK = (0, b"", 0)


class Vitals:
    """Counts what comes in and what goes wrong. Times are the collector's UTC wall clock in nanoseconds."""

    def __init__(self) -> None:
        self.dropped_count = 0
        self.quarantined_count = 0
        self.fact_count = 0
        self.reasons: deque[str] = deque(maxlen=_MAX_REASONS)
        self.trouble = ""  # why facts cannot be stored right now, and what to do
        self.intake_trouble = ""  # why none are taken
        self.refused_count = 0
        self.refusal = ""  # the last one
        self.retired = ""  # what retention removed, in a sentence
        self.retention_trouble = ""  # why it cannot
        self.fault_count = 0
        self.fault = ""  # the last one
        self.others: list[Callable[[], Sequence[str]]] = []  # who else has something to say, such as the forwarding
        self._skewed: dict[str, tuple[int, bytes, int]] = {}  # by host: offset, an emitter there, when it was heard
        self._lossy: Counter[str] = Counter()
        self._recent: deque[tuple[int, int]] = deque()
        self._lag: deque[tuple[int, int]] = deque()

    def took(self, now_ns: int, count: int, oldest_at_ns: int) -> None:
        """`count` facts came, the oldest of which happened at `oldest_at_ns` (0: unknown).

        What happened more than an hour ago was imported, and what has yet to happen has another clock: neither lags.
        """
        self.fact_count += count
        self._recent.append((now_ns, count))
        if 0 < oldest_at_ns <= now_ns < oldest_at_ns + _IMPORTED_NS:
            self._lag.append((now_ns, now_ns - oldest_at_ns))
        self._forget(now_ns)

    def noted(self, now_ns: int, source: Source) -> None:
        """Facts of this source came, whose resource says whether its clock is right."""
        offset_ns = skew.offset_of(source.resource)
        if offset_ns:
            host = skew.host_of(source)
            self._skewed.pop(host, None)
            self._skewed[host] = (offset_ns, source.emitter_id, now_ns)
            if len(self._skewed) > _MAX_SKEWED:
                del self._skewed[next(iter(self._skewed))]
        elif self._skewed and self._skewed.get(skew.host_of(source), _NO_CLOCK)[1] == source.emitter_id:
            del self._skewed[skew.host_of(source)]

    def _clocks(self, now_ns: int) -> list[str]:
        """What is said of the clocks of hosts that were heard lately."""
        off = [(host, offset) for host, (offset, _, heard_ns) in self._skewed.items() if now_ns - heard_ns < _SKEWED_NS]
        said = [clean(skew.said(host[:_FAULT_CHARS], offset_ns)) for host, offset_ns in sorted(off)[:_MAX_CLOCKS]]
        return [*said, f"{len(off) - _MAX_CLOCKS} more clocks are corrected"] if len(off) > _MAX_CLOCKS else said

    def _forget(self, now_ns: int) -> None:
        for recent in (self._recent, self._lag):
            while recent and recent[0][0] <= now_ns - _WINDOW_NS:
                recent.popleft()

    def quarantined(self, reason: str, count: int = 1) -> None:
        self.quarantined_count += count
        self.reasons.append(reason)

    def refused(self, reason: str) -> None:
        """A connection, a frame or an emitter was turned away for who sent it, or because there are too many."""
        self.refused_count += 1
        self.refusal = reason

    def lost(self, count: int, service: str = "") -> None:
        """So many facts are missing, of this service where that is known."""
        self.dropped_count += count
        if service and (service in self._lossy or len(self._lossy) < _MAX_LOSSY):
            self._lossy[service] += count

    def faulted(self, where: str, fault: Exception) -> None:
        """Something of ours failed on what it was given; the rest goes on."""
        self.fault_count += 1
        self.fault = clean(f"{where}: {type(fault).__name__}: {fault}"[:_FAULT_CHARS])

    @property
    def failing(self) -> str:
        """What failed of ours and of detectors, in a sentence; empty where nothing did."""
        count = f"{self.fault_count} times" if self.fault_count > 1 else "once"
        return f"{count} something failed here, the last in {self.fault}" if self.fault_count else ""

    def health(self, now_ns: int, *, emitters: int, store: str, endpoint: str, waiting_bytes: int = 0) -> Health:
        """What a screen may know of it. `emitters` is how many were heard lately, `waiting_bytes` what came and is not folded."""
        self._forget(now_ns)
        notices = [trouble for trouble in (self.intake_trouble, self.trouble) if trouble]
        if waiting_bytes > _MANY_BYTES:
            notices.append(
                f"more comes than can be judged at once: {waiting_bytes / 1e6:.0f} MB wait, and are shown later"
            )
        if self.dropped_count:
            notices.append(f"{self.dropped_count} facts are missing: counts are lower bounds")
        if self.quarantined_count:
            notices.append(
                f"{self.quarantined_count} frames or facts could not be read, the last: {clean(self.reasons[-1])}"
            )
        if self.refused_count:
            notices.append(f"{self.refused_count} refused, the last: {clean(self.refusal)}")
        notices += self._clocks(now_ns)
        notices += [self.failing] if self.failing else []
        notices += [clean(said) for other in self.others for said in other()]
        notices += [clean(said) for said in (self.retention_trouble, self.retired) if said]
        return Health(
            state="live" if self.fact_count else "listening",
            now_ns=now_ns,
            facts_per_s=float(sum(count for _, count in self._recent)),
            lag_ns=max((lag for _, lag in self._lag), default=0),
            dropped_count=self.dropped_count,
            quarantined_count=self.quarantined_count,
            emitters=emitters,
            store=store,
            endpoint=endpoint,
            notices=notices,
            lossy=[clean(service) for service, _ in self._lossy.most_common()],
        )
