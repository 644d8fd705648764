"""The processors that a user gave, as one step: each sees what the one before it gave back, None ends it.

Invariant: a processor that raises, or gives back what is no fact, changes nothing and stops nothing; it is counted and reported
once. A span whose start was dropped is dropped whole. Called by `chain`.
"""

from collections.abc import Callable, Iterable
from typing import Any

from trajectory.emitter.bodies import Body
from trajectory.emitter.contents import SENT_DIGESTS
from trajectory.emitter.misuse import report
from trajectory.emitter.processors.bodies import Rewrites
from trajectory.emitter.processors.facts import Payload, SpanEnded, SpanStarted, named
from trajectory.model import content

GROUP = "trajectory.processors"


class Users:
    """Calls users' processors."""

    def __init__(self, processors: Iterable[Any]) -> None:
        self._processors = [loaded(one) if isinstance(one, str) else one for one in processors]
        self._bodies = Rewrites()
        self._unwanted: dict[bytes, None] = {}  # open spans whose start was dropped

    def __bool__(self) -> bool:
        return bool(self._processors)

    def applied(self, fact: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """What the processors make of a fact; None where it is dropped."""
        before = named(self._bodies.fact(fact))
        if before is None:
            return fact
        if self._is_unwanted(before):
            return None
        after: Any = before
        for processor in self._processors:
            after = self._one(processor, after)
            if after is None:
                break
        if isinstance(before, Payload):
            return self._body(before, after)
        if after is None:
            self._drop(before)
        return after  # type: ignore[no-any-return]

    def _one(self, processor: Callable[[Any], Any], fact: Any) -> Any:
        try:
            after = processor(fact)
            if after is not None and (
                type(after) is not type(fact) or (after[:3] != fact[:3] and not isinstance(fact, Payload))
            ):
                raise TypeError("a processor gives back a fact of the same kind and ids, or None")
        except Exception as fault:
            name = getattr(processor, "__qualname__", type(processor).__name__)
            report(f"processor {name}", "trajectory: processor %s failed, facts pass it unchanged: %r", name, fault)
            return fact
        return after

    def _is_unwanted(self, fact: Any) -> bool:
        if isinstance(fact, Payload) or fact.span_id not in self._unwanted:
            return False
        if isinstance(fact, SpanEnded):
            del self._unwanted[fact.span_id]
        return True

    def _drop(self, fact: Any) -> None:
        if isinstance(fact, SpanStarted):
            self._unwanted[fact.span_id] = None
            if len(self._unwanted) > SENT_DIGESTS:
                del self._unwanted[next(iter(self._unwanted))]

    def _body(self, before: Payload, after: Payload | None) -> Payload | None:
        """A body under the digest that it has now; facts that name it follow."""
        if after is None:
            self._bodies.put(before.digest, None)
            return None
        digest = content.digest(after.media_type, after.body)
        if digest == before.digest:
            self._bodies.forget(before.digest)
            return after._replace(digest=digest)
        self._bodies.put(before.digest, Body(digest, after.media_type, b""))
        return after._replace(digest=digest)


def withhold(fact: Any) -> Any:
    """A processor that lets no content through: ids, times and status alone."""
    if isinstance(fact, Payload):
        return None
    texts = {name: "withheld" for name in ("name", "agent", "message") if getattr(fact, name, "")}
    return fact._replace(attributes={}, **texts)


def loaded(name: str) -> Callable[[Any], Any]:
    """The processor that a package registered by this name; where there is none, one that withholds all content."""
    from importlib.metadata import entry_points

    try:
        (point,) = entry_points(group=GROUP, name=name)
        processor = point.load()
        return processor() if isinstance(processor, type) else processor  # type: ignore[no-any-return]
    except Exception as fault:  # a stranger's package may raise anything
        report("processors", "trajectory: no processor %r can be loaded, so no content leaves: %r", name, fault)
        return withhold
