"""Where what came in is worked off: frames from the journal into the store, the fold and the judgement; questions answered.

Invariant: a record is settled when its facts are in the store, each once, whatever was settled before a crash; what is folded is
stored. Nothing that a frame, the store or a fold brings about is raised. Owned by the collector's one loop.
"""

from collections.abc import Callable

from trajectory.collector import watching
from trajectory.collector.pipeline import Pipeline
from trajectory.collector.publish import Publisher
from trajectory.collector.turns import Turns
from trajectory.errors import StoreError, TrajectoryError, WireError
from trajectory.protocol import codec, frames
from trajectory.protocol.codec import AskFrame, TellFrame
from trajectory.store.journal import JournalReader, Position
from trajectory.store.settling import Settling
from trajectory.view.views import View

ROUND_FACTS = 2048  # between two looks at who asks
_AGAIN_NS = 1_000_000_000  # before a store that failed is tried again


class Desk:
    """Settles a journal and answers from what is folded. `now_ns` is the wall clock."""

    def __init__(
        self, pipeline: Pipeline, publisher: Publisher, journal: JournalReader, now_ns: Callable[[], int]
    ) -> None:
        self._pipeline = pipeline
        self._publisher = publisher
        self._journal = journal
        self._now_ns = now_ns
        self._turns = Turns(journal)
        self._settling = Settling(pipeline.writer.next_seq)
        self._again_ns = 0
        self._is_damage_told = False

    @property
    def position(self) -> Position:
        """So far the journal is settled."""
        return self._journal.position

    @property
    def waiting_bytes(self) -> int:
        """What came in and is not settled."""
        return self._journal.waiting_bytes()

    def settle(self, until: Position | None) -> bool:
        """Stores and folds the next frames of the journal, ROUND_FACTS or a little more; False where there was nothing to do.

        `until` is how far it is written, None where nobody writes it any more.
        """
        if 0 < self._again_ns - self._now_ns() <= _AGAIN_NS:  # more: the clock was set back
            return False
        vitals = self._pipeline.vitals
        try:
            self._turns.look(until)
            taken = self._turns.take(ROUND_FACTS // frames.MAX_FACTS)
            batches = [batch for record in taken for batch in self._settling.batches(record)]
            if batches:
                self._pipeline.store(batches)
            if taken:
                self._turns.settled()
                vitals.trouble, self._again_ns = "", 0
        except StoreError as fault:
            vitals.trouble = f"{fault}. Nothing is lost: what came in waits on disk."
            self._again_ns = self._now_ns() + _AGAIN_NS
            self._turns.put_back()
            self._settling.forget()
            return False
        if self._journal.damaged_count and not self._is_damage_told:
            self._is_damage_told = True
            vitals.quarantined("the journal does not read as it was written: is its disk failing?")
        vitals.reasons.extend(self._settling.unread)
        self._settling.stored()
        if batches:
            self._pipeline.fold(batches)
        return bool(taken)

    def answer(self, frame: bytes) -> bytes:
        """The frame that answers a watcher's."""
        vitals = self._pipeline.vitals
        try:
            asked = codec.read_frame(frame)
            if not isinstance(asked, (AskFrame, TellFrame)):
                raise WireError("that is no question")
            return watching.answer(asked.request_id, self._said(asked))
        except TrajectoryError as fault:
            if isinstance(fault, WireError):
                vitals.quarantined(str(fault))
            return frames.refused(str(fault))
        except Exception as fault:  # whatever hostile data makes of our rows: this answer fails, the collector goes on
            vitals.faulted("a view", fault)
            return frames.refused(f"this cannot be shown: {type(fault).__name__}")

    def finish(self) -> None:
        """At the end, when nobody writes the journal any more: it goes, unless something of it could not be stored."""
        if not len(self._turns) and not self._again_ns:
            self._journal.finish()

    def close(self) -> None:
        self._journal.close()

    def _said(self, ask: AskFrame | TellFrame) -> View | None:
        if isinstance(ask, AskFrame):
            return self._publisher.answer(watching.read_query(ask.query), ask.since_version)
        self._pipeline.mark(watching.read_mark(ask.marked))
        return None
