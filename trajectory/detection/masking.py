"""Findings, and whatever else quotes a trace, without the secrets that the quoted text held.

Invariant: what leaves here holds no secret that `secrets` knows, whole or a piece of `_PIECE_CHARS` of it. A quote is often cut,
or has lost the name or the address that made a password known as one, so the payloads are looked through as well: each once, when
a trace has its first finding. Called by the judge, so that a stranger's detector is covered, and by whoever quotes without one.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec

from trajectory.detection.secrets import Secret, in_formats, redacted, to_mask
from trajectory.graph.trace import Trace
from trajectory.model.fact import Evidence, Finding

_PIECE_CHARS = 8
_MIN_KNOWN_CHARS = 8  # a shorter one is masked where its own text makes it known
_MAX_KNOWN_COUNT = 1_000
_MAX_KNOWN_CHARS = 4_096  # of one
_MAX_READ_COUNT = 100_000
_MAX_BODY_BYTES = 256 * 1024


class Masking:
    """The secrets of one trace, and texts without them."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._following = trace.watch()
        self._read: set[bytes] = set()
        self._known: dict[str, Secret] = {}
        self._pieces: dict[str, str] = {}  # piece → kind

    def finding(self, finding: Finding) -> Finding:
        """A finding without them; itself, where it holds none."""
        self._look()
        finding = _named_safely(finding)
        texts = [finding.message, finding.value, *(e.text for e in finding.evidence)]
        own = {s.text: s for text in texts for s in _secrets(text)}
        if not own and not any(self._has_piece(text) for text in (*texts, *_texts(finding.attributes))):
            return finding
        secrets = [*own.values(), *self._known.values()]
        return msgspec.structs.replace(
            finding,
            message=self._without(finding.message, secrets),
            value=self._without(finding.value, secrets),
            evidence=[Evidence(e.span_id, self._without(e.text, secrets)) for e in finding.evidence],
            attributes=self._value(finding.attributes, secrets),
        )

    def text(self, text: str) -> str:
        """A text without them."""
        self._look()
        own = _secrets(text)
        return self._without(text, [*own, *self._known.values()]) if own or self._has_piece(text) else text

    def _look(self) -> None:
        """Looks through what came since it was last asked."""
        spans = self._trace.spans
        for span_id in self._following.take():
            span = spans.get(span_id)
            if span is None:
                continue
            if span.error_text:
                self._learn(to_mask(span.error_text))
            for slot in span.contents:
                self._read_all(span.digests(slot))
            for event in span.events:
                self._read_all(d for held in event.contents.values() for d in held)

    def _read_all(self, digests: Iterable[bytes]) -> None:
        for address in digests:
            if address in self._read or len(self._read) >= _MAX_READ_COUNT:
                continue
            body = self._trace.body(address)
            if body is not None:
                self._read.add(address)
                self._learn(in_formats(body[1][:_MAX_BODY_BYTES].decode("utf-8", "replace")))

    def _learn(self, secrets: Iterable[Secret]) -> None:
        for secret in secrets:
            for said in _parts(secret.text):
                if len(said) >= _MIN_KNOWN_CHARS and len(self._known) < _MAX_KNOWN_COUNT and said not in self._known:
                    self._known[said] = secret._replace(text=said)
                    self._pieces.update(dict.fromkeys(_pieces(said), secret.kind))

    def _has_piece(self, text: str) -> bool:
        return bool(self._pieces) and any(piece in self._pieces for piece in _pieces(text))

    def _without(self, text: str, secrets: list[Secret]) -> str:
        masked = redacted(text, secrets)
        if not self._has_piece(masked):
            return masked
        out: list[str] = []
        at = 0
        while at < len(masked):
            end = at
            while masked[end : end + _PIECE_CHARS] in self._pieces:
                end += 1
            if end > at:
                out.append(f"[{self._pieces[masked[at : at + _PIECE_CHARS]].replace('_', ' ')}]")
                at = end - 1 + _PIECE_CHARS
            else:
                out.append(masked[at])
                at += 1
        return "".join(out)

    def _value(self, value: Any, secrets: list[Secret]) -> Any:
        if isinstance(value, str):
            return self._without(value, secrets)
        if isinstance(value, list):
            return [self._value(v, secrets) for v in value]
        return {k: self._value(v, secrets) for k, v in value.items()} if isinstance(value, dict) else value


def _named_safely(finding: Finding) -> Finding:
    """A finding whose agents' names hold no whole secret. What only looks like a piece of one stays: people look for names."""
    names = masked(finding.agent), masked(finding.peer_agent)
    if names == (finding.agent, finding.peer_agent):
        return finding
    return msgspec.structs.replace(finding, agent=names[0], peer_agent=names[1])


def masked(text: str) -> str:
    """A text without the secrets that it holds whole, by its own words alone."""
    return redacted(text, list(_secrets(text)))


@lru_cache(maxsize=4096)
def _secrets(text: str) -> tuple[Secret, ...]:
    """What a quote holds. A detector says what it found again and again: each text is looked through once."""
    return tuple(to_mask(text))


def _parts(said: str) -> list[str]:
    """A secret as it may be quoted: its lines, without those that say where a key begins and ends."""
    lines = said[:_MAX_KNOWN_CHARS].replace("\\n", "\n").splitlines()
    return [part for line in lines if not (part := line.strip()).startswith("-----") or len(lines) == 1]


def _pieces(text: str) -> Iterable[str]:
    return (text[at : at + _PIECE_CHARS] for at in range(len(text) - _PIECE_CHARS + 1))


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for held in value.values() if isinstance(value, dict) else value:
            yield from _texts(held)
