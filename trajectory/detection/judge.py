"""All detectors over one trace, each kept from harming the others.

Invariant: a finding leaves here when it is new or has grown, and never twice alike; a detector that raises is counted, and
after three times is silent for this trace, and the rest go on. What it quotes leaves without the secrets in it. Called by the
collector: `observe` for each folded fact, `settle` at least each second while the trace changes or is live, and once at its end.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from trajectory.detection.contract import Detector, DetectorFactory
from trajectory.detection.masking import Masking
from trajectory.detection.reader import reader_of
from trajectory.graph.trace import Trace
from trajectory.model.fact import Fact, Finding

MAX_RAISED_COUNT = 3
MAX_FINDINGS_COUNT = 2000

Tell = Callable[[str, Exception], None]


class TraceJudge:
    """Judges one trace with a detector from each factory, in the order given.

    `raised` counts, by detector, how often it raised; `faults` holds the last reason in one line; `left_out_count` counts
    findings beyond `MAX_FINDINGS_COUNT`. `tell` hears of each fault, where it was, and once that there are findings beyond.
    Findings that the trace already holds (found before a restart) are not said again.
    """

    def __init__(self, trace: Trace, factories: Sequence[DetectorFactory], tell: Tell | None = None) -> None:
        self.trace = trace
        self._tell = tell
        self.raised: dict[str, int] = {}
        self.faults: dict[str, str] = {}
        self.left_out_count = 0
        self._masking = Masking(trace)
        self._said: dict[str, Finding] = {}
        self._detectors: list[Detector] = []
        self._readers: dict[type[Fact], list[Detector]] = {}  # by the type of fact that they observe
        for factory in factories:
            self._make(factory)

    def observe(self, fact: Fact) -> list[Finding]:
        """New and grown findings that this fact, already folded into the trace, gives rise to."""
        readers = self._readers.get(type(fact))
        if readers is None:
            readers = self._readers[type(fact)] = [d for d in self._detectors if _reads(d, type(fact))]
        found: list[Finding] = []
        for detector in readers:
            try:
                said = detector.observe(fact, self.trace)
                if said:  # most say nothing, at once
                    self._hear(said, detector, found)
            except Exception as fault:  # a stranger's detector may raise anything
                self._fault(detector, fault)
        return found

    def settle(self, now_ns: int) -> list[Finding]:
        """New and grown findings as of `now_ns`; for a trace with synthetic or past times, the trace's own end."""
        return [finding for found in self.settle_in_parts(now_ns) for finding in found]

    def settle_in_parts(self, now_ns: int) -> Iterator[list[Finding]]:
        """The same, what each detector finds by itself: a long trace takes long, and between two others may have their turn."""
        for detector in self._detectors:
            found: list[Finding] = []
            try:
                self._hear(detector.settle(now_ns, self.trace), detector, found)
            except Exception as fault:  # a stranger's detector may raise anything
                self._fault(detector, fault)
            yield found
        reader_of(self.trace).rest()

    def _make(self, factory: DetectorFactory) -> None:
        try:
            self._detectors.append(factory())
        except Exception as fault:  # a stranger's constructor may raise anything
            self._note(getattr(factory, "__name__", repr(factory)), fault)

    def _hear(self, said: Iterable[Finding], detector: Detector, found: list[Finding]) -> None:
        for finding in said:
            fresh = self._fresh(finding, detector.name)
            if fresh is not None:
                found.append(fresh)

    def _fault(self, detector: Detector, fault: Exception) -> None:
        self._note(detector.name, fault)
        if self.raised[detector.name] >= MAX_RAISED_COUNT:
            self._detectors = [d for d in self._detectors if d is not detector]
            self._readers = {}

    def _fresh(self, finding: Finding, detector_name: str) -> Finding | None:
        if not finding.detector:
            finding = msgspec.structs.replace(finding, detector=detector_name)
        finding = self._masking.finding(finding)
        key = finding.key
        known = self._said.get(key) or self.trace.findings.get(key)
        if known == finding:
            self._said[key] = finding
            return None
        if known is None and len(self._said) >= MAX_FINDINGS_COUNT:
            self.left_out_count += 1
            if self.left_out_count == 1 and self._tell is not None:
                self._tell(
                    "a run's findings", OverflowError(f"more than {MAX_FINDINGS_COUNT:,}, the others are not told")
                )
            return None
        self._said[key] = finding
        return finding

    def _note(self, name: str, fault: Exception) -> None:
        self.raised[name] = self.raised.get(name, 0) + 1
        self.faults[name] = f"{type(fault).__name__}: {fault}".splitlines()[0][:200]
        if self._tell is not None:
            self._tell(f"the detector {name}", fault)


def _reads(detector: Detector, kind: type[Fact]) -> bool:
    reads = getattr(detector, "reads", None)
    return reads is None or kind in reads
