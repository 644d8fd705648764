"""A collector's own facts, what it found and what operators marked, until the store has them.

Invariant: they stand under one id, the same for every collector and every start, so whoever looks for findings reads those frames
alone; none is forgotten before it is stored, whatever the store raises. Used by the pipeline; the id by what tells of alerts.
"""

import os

from trajectory.model.fact import Batch, Fact, Finding, Found, Source, trace_of
from trajectory.model.hashing import blake2b
from trajectory.store.contract import Writer

OWN_ID = blake2b(b"trajectory.collector", digest_size=16).digest()


class OwnFacts:
    """Those that are not stored yet, and the findings that are not listed yet."""

    def __init__(self) -> None:
        self.source = Source(OWN_ID, os.urandom(16), {"service.name": "trajectory.collector"})
        self._seq = 0
        self._waiting: list[Fact] = []
        self._unlisted: list[Finding] = []

    def add(self, fact: Fact) -> None:
        """A fact that is to be stored."""
        self._waiting.append(fact)

    def add_listed(self, finding: Finding) -> None:
        """A finding whose fact is stored, and that is to be listed: of another store, imported with its trace."""
        self._unlisted.append(finding)

    def store(self, writer: Writer) -> tuple[int, list[Fact]]:
        """Stores what waits: its frame, and what it was; nothing of nothing. Raises StoreError."""
        facts = self._waiting
        if not facts:
            return 0, []
        frame = writer.append([Batch(self.source, self._seq, facts)])
        self._seq += len(facts)
        self._waiting = []
        self._unlisted += [fact.finding for fact in facts if isinstance(fact, Found)]
        return frame, facts

    def list_findings(self, writer: Writer) -> None:
        """Has the store list those findings that it does not list yet. Raises StoreError."""
        if self._unlisted:
            writer.save_findings(self._unlisted)
            self._unlisted = []

    def forget(self, trace_id: bytes) -> None:
        """Nothing of a trace that is gone is stored any more."""
        self._waiting = [fact for fact in self._waiting if trace_of(fact) != trace_id]
        self._unlisted = [finding for finding in self._unlisted if finding.trace_id != trace_id]
