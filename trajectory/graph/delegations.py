"""One agent giving work to another, as the fold knows it: both sides, the mode, the grade, the state, the texts.

Invariant: a delegation reads its spans and keeps nothing of its own, so it is as new as they are. Made by `pairing`, which
decides what is a delegation; read by detectors, views and exports.
"""

from typing import TYPE_CHECKING

from trajectory.graph.echoes import ended_ns, tellings, told
from trajectory.graph.span import Span
from trajectory.model.words import DelegationMode, Slot

if TYPE_CHECKING:
    from trajectory.graph.invocation import Invocation


class Delegation:
    """One agent giving work to another.

    `source` and `target` are invocations, None where only a name is known. `span` is the sender's side: a delegation or
    tool span, else the receiving agent's own span. `asked` is the model call that asked for it, where that is known apart.
    `is_shared`: the span put other agents to work too, so its arguments are not this one's task alone.
    Times in nanoseconds, 0 where it has not happened, or is not known.
    """

    __slots__ = (
        "asked",
        "grade",
        "is_shared",
        "mode",
        "reason",
        "source",
        "source_agent",
        "span",
        "target",
        "target_agent",
    )

    def __init__(
        self,
        source: "Invocation | None",
        target: "Invocation | None",
        span: Span,
        *,
        mode: str,
        grade: str,
        reason: str,
        source_agent: str = "",
        target_agent: str = "",
    ) -> None:
        self.source = source
        self.target = target
        self.span = span
        self.asked: Span | None = None
        self.is_shared = False
        self.mode = mode
        self.grade = grade
        self.reason = reason
        self.source_agent = source.agent if source is not None else source_agent
        self.target_agent = target.agent if target is not None else target_agent

    def __repr__(self) -> str:
        return f"<Delegation {self.source_agent} -> {self.target_agent} {self.mode} {self.grade}>"

    @property
    def delegation_id(self) -> bytes:
        """The sender's span, by which both sides know it."""
        return self.span.span_id

    @property
    def own_id(self) -> bytes:
        """By which it is told from all others: of a call that is shared, the target's span."""
        target = self.target_span
        return target.span_id if self.is_shared and target is not None else self.delegation_id

    @property
    def is_transfer(self) -> bool:
        """Whether control passed: nothing comes back to the sender."""
        return self.mode == DelegationMode.TRANSFER

    @property
    def target_span(self) -> Span | None:
        return self.target.span if self.target is not None else None

    @property
    def sent_ns(self) -> int:
        return self.span.start_ns

    @property
    def received_ns(self) -> int:
        return self.target.start_ns if self.target is not None else 0

    @property
    def returned_ns(self) -> int:
        """When the sender had its answer; where control passed, when the target was done."""
        if self.is_transfer and self.target is not None:
            return self.target.end_ns
        return ended_ns(self.span)

    @property
    def state(self) -> str:
        """`sent`, `received`, `returned`, `failed`, or `lost`: ended without anyone having taken it up."""
        target = self.target_span
        spans = [*tellings(self.span), *(tellings(target) if target is not None else ())]
        if any(span.is_error for span in spans):
            return "failed"
        if self.target is None:
            return "lost" if self.span.end_ns else "sent"
        return "returned" if self.returned_ns else "received"

    def task_digests(self) -> list[bytes]:
        """Where the task's text is, as the sender sent it; of a call that is shared, as each target got its own."""
        return (
            told(self.span, Slot.TASK)
            or (self.received_digests() if self.is_shared else [])
            or (told(self.span, Slot.ARGUMENTS) if self.span is not self.target_span else [])
            or (self.asked.digests(Slot.TASK) if self.asked is not None else [])
            or self.received_digests()
        )

    def received_digests(self) -> list[bytes]:
        """Where the task's text is, as the target says that it came."""
        return self.target.asked_digests() if self.target is not None else []

    def returned_digests(self) -> list[bytes]:
        """Where the answer's text is. Of a call that is shared it is each target's own, and where control passed, too: there the
        sender only gets a receipt."""
        answer = self.target.answer_digests() if self.target is not None else []
        result = self.result_digests()
        return (answer or result) if self.is_shared or self.is_transfer else (result or answer)

    def result_digests(self) -> list[bytes]:
        """Where that is which the sender's span brought back, of a call that is shared for all that it put to work."""
        return told(self.span, Slot.RETURNED) or (
            told(self.span, Slot.RESULT) if self.span is not self.target_span else []
        )
