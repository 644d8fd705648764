"""The life of a generator's span: when it is current, and what the generator yielded as the one output of its span.

Invariant: the span is current only while the generator runs; items are encoded when they are yielded, and at most MAX_BYTES
of them are kept. Text pieces are joined, everything else is a JSON list. Called by `calling`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trajectory.emitter.bodies import Said, said_encoded
from trajectory.emitter.current import Place, here
from trajectory.emitter.misuse import report
from trajectory.model import content

if TYPE_CHECKING:
    from trajectory.emitter.span import Span

MAX_BYTES = 1024 * 1024


class Items:
    """The items of one generator's life."""

    __slots__ = ("_all_text", "_pieces", "_returned", "_size_bytes")

    def __init__(self) -> None:
        self._pieces: list[Any] = []
        self._all_text = True
        self._size_bytes = 0
        self._returned: Any = None

    def add(self, item: Any) -> None:
        """Keeps what an item says now, while there is room."""
        if self._size_bytes >= MAX_BYTES:
            return
        try:
            piece: str | bytes = item if isinstance(item, str) else content.canonical_json(item)
        except Exception as fault:  # what a user's value raises while it is encoded
            report("item", "trajectory: an item of a generator could not be read: %r", fault)
            return
        self._all_text = self._all_text and isinstance(piece, str)
        self._size_bytes += len(piece)
        self._pieces.append(piece)

    def end(self, returned: Any) -> None:
        """Keeps what the generator returned; it is the output where nothing was yielded."""
        self._returned = returned

    def settle(self, span: "Span") -> None:
        """Gives the span what there is."""
        try:
            if self._pieces:
                span._result_body(self._body())
            elif self._returned is not None:
                span._result(self._returned)
        except Exception as fault:
            report("result", "trajectory: the result of %r could not be read: %r", span.name, fault)

    def _body(self) -> Said:
        if self._all_text:
            return said_encoded(content.TEXT, "".join(self._pieces).encode("utf-8", "replace"))
        written = (piece if isinstance(piece, bytes) else content.canonical_json(piece) for piece in self._pieces)
        return said_encoded(content.JSON, b"[" + b",".join(written) + b"]")


class Inside:
    """The generator's own context while it runs: where it stood at its last rest, and the consumer's back afterwards."""

    __slots__ = ("_consumer", "_own", "_span")

    def __init__(self, span: "Span") -> None:
        self._span = span
        self._own: Place | None = span
        self._consumer: Place | None = None

    def __enter__(self) -> None:
        self._consumer = here.get()
        here.set(self._own)

    def __exit__(self, *fault: object) -> None:
        self._own = here.get()
        here.set(self._consumer)
        self._consumer = None

    @contextmanager
    def life(self, items: Items) -> Iterator[None]:
        """The span from its start to its end, with the items as its output and the exception that ended it, if any."""
        ending: BaseException | None = None
        self._span._begin_apart()
        try:
            yield
        except BaseException as fault:
            ending = fault
            raise
        finally:
            items.settle(self._span)
            self._span.__exit__(None, ending, None)
