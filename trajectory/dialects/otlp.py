"""OTLP's export requests, in protobuf or JSON, as batches of our facts.

Invariant: a body that is a request at all loses nothing but the spans and records that cannot be read, and says which those
were. Called by the receiver and by `sniff`; pure.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from trajectory.dialects import logs, otlp_json, otlp_protobuf
from trajectory.dialects.raw import BadSpanError, RawLog, RawSpan
from trajectory.dialects.spans import Stored, facts_of
from trajectory.dialects.values import name_of
from trajectory.model.content import canonical_json, digest
from trajectory.model.fact import Batch, Fact, Source

Media = Literal["protobuf", "json"]
MAX_REASONS = 100


@dataclass(slots=True)
class ReadResult:
    """What a request held: a batch for each resource, and a line for each of the first spans that could not be read.

    `rejected_count` is how many those were in all.
    """

    batches: list[Batch] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)
    rejected_count: int = 0

    def add(self, resource: dict[str, Any], facts: list[Fact]) -> None:
        if facts:
            self.batches.append(Batch(source_of(resource), 0, facts))

    def read(self, items: "Iterable[RawSpan | BadSpanError] | Iterable[RawLog | BadSpanError]") -> Iterator[Any]:
        """What can be read of the items; the others are counted."""
        for item in items:
            if not isinstance(item, BadSpanError):
                yield item
                continue
            self.reject(str(item))

    def reject(self, reason: str) -> None:
        self.rejected_count += 1
        if len(self.quarantined) < MAX_REASONS:
            self.quarantined.append(reason)


def _all(span: RawSpan) -> bool:
    return True


def read_request(body: bytes, media: Media, is_wanted: Callable[[RawSpan], bool] = _all) -> ReadResult:
    """A trace export request as batches whose `first_seq` is 0: the caller numbers them. Only wanted spans are in them.

    Raises WireError where the body is no request: truncated, garbage, or another message.
    """
    is_protobuf = media == "protobuf"
    groups = otlp_protobuf.span_groups(body) if is_protobuf else otlp_json.span_groups(otlp_json.document_of(body))
    result = ReadResult()
    for resource, spans in groups:
        result.add(resource, span_facts(filter(is_wanted, result.read(spans)), result))
    return result


def read_logs(body: bytes, media: Media) -> ReadResult:
    """A logs export request, likewise: what belongs to spans, as `logs` reads it. Raises WireError."""
    is_protobuf = media == "protobuf"
    groups = otlp_protobuf.log_groups(body) if is_protobuf else otlp_json.log_groups(otlp_json.document_of(body))
    result = ReadResult()
    for resource, records in groups:
        result.add(resource, logs.facts_of(result.read(records)))
    return result


def check_metrics(body: bytes, media: Media) -> None:
    """Raises WireError where the body is no metrics export request. Nothing of one is kept."""
    if media == "protobuf":
        otlp_protobuf.check_metrics(body)
    else:
        otlp_json.check_metrics(otlp_json.document_of(body))


def span_facts(spans: Iterable[RawSpan], result: ReadResult) -> list[Fact]:
    """The facts of one source's spans, each body once, before the first fact that names it."""
    stored = Stored()
    facts: list[Fact] = []
    for span in spans:
        try:
            told = facts_of(span, stored)
        except Exception as fault:  # a fault of ours, on data that nobody has sent before: it costs this span alone
            result.reject(f"span {name_of(span.name)[:80]!r}: {type(fault).__name__}: {fault}")
            continue
        facts += stored.taken()
        facts += told
    return facts


def source_of(resource: dict[str, Any]) -> Source:
    """Who sent: told apart by service and instance, or by the whole resource where it names no instance."""
    identity: dict[str, Any] = {
        key: resource[key] for key in ("service.namespace", "service.name", "service.instance.id") if key in resource
    }
    if "service.instance.id" not in identity:
        identity = resource
    return Source(digest("otlp", canonical_json(identity)), digest("otlp-boot", canonical_json(resource)), resource)
