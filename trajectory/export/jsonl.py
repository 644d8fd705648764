"""Our own JSONL as an export: every fact of a trace, with the bodies that they name, in one file.

Invariant: the file needs nothing beside it: each body that is at hand comes before the first fact that names it, once.
Called through `trajectory.export.contract`; the format is `trajectory.dialects.jsonl`.
"""

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from trajectory.dialects.jsonl import write_jsonl
from trajectory.export.contract import TRACE, Subject
from trajectory.graph.trace import Trace
from trajectory.model.fact import Batch, Fact, Payload
from trajectory.view.text import seen


class Jsonl:
    """Trajectory's own format, read back by `trajectory import`."""

    suffix = ".jsonl"
    of = frozenset({TRACE})

    def write(self, subject: Subject, out: BinaryIO) -> None:
        for line in write_jsonl(with_bodies(subject.batches(), subject.trace), subject.trace.trace_id):
            out.write(line if line.isascii() else seen(line.decode()).encode())


def with_bodies(batches: Iterable[Batch], trace: Trace) -> Iterator[Batch]:
    """The batches, each with the bodies that it is the first to name; a batch that brings its own keeps them."""
    known: set[bytes] = set()
    for batch in batches:
        own = {fact.digest for fact in batch.facts if isinstance(fact, Payload)}
        wanted = dict.fromkeys(d for fact in batch.facts for d in _named(fact) if d not in known and d not in own)
        known |= own | set(wanted)
        found = [(d, body) for d in wanted if (body := trace.body(d)) is not None]
        bodies: list[Fact] = [Payload(digest, *body) for digest, body in found]
        yield Batch(batch.source, batch.first_seq, [*bodies, *batch.facts])


def _named(fact: Fact) -> Iterator[bytes]:
    for digests in getattr(fact, "contents", {}).values():
        yield from digests


JSONL = Jsonl()
