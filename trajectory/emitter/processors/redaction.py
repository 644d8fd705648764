"""Takes secrets, and personal data if so asked, out of texts and facts, and puts placeholders there.

Invariant: JSON stays JSON, ids and digests stay as they are, and a text without a find comes out as the very object that went
in. Runs on the sender's thread, called by `chain`, which sees to it that a failure here lets no content through.
"""

from typing import Any

from trajectory.emitter.processors.patterns import Patterns
from trajectory.emitter.processors.placeholders import Placeholders
from trajectory.protocol.frames import WITH_CONTENTS

MAX_DEPTH = 100


class Redaction:
    """One user's redaction."""

    def __init__(self, personal: bool = False, placeholders: Placeholders | None = None) -> None:
        self._patterns = Patterns(personal)
        self._placeholders = placeholders or Placeholders()

    def suspects(self, data: bytes) -> bool:
        """Whether anything in the bytes, or in facts that were packed to them, could have to go."""
        return self._patterns.hint.search(data) is not None

    def data(self, data: bytes) -> bytes:
        """A body without what has to go."""
        pieces: list[bytes] = []
        end = 0
        for spot in self._patterns.spots(data):
            pieces += (data[end : spot.start], self._placeholder(spot.family, spot.kind, data[spot.start : spot.end]))
            end = spot.end
        return b"".join([*pieces, data[end:]]) if pieces else data

    def text(self, text: str) -> str:
        """A text without what has to go."""
        data = text.encode("utf-8", "replace")
        redacted = self.data(data)
        return text if redacted is data else redacted.decode("utf-8", "replace")

    def fact(self, fact: tuple[Any, ...]) -> tuple[Any, ...]:
        """A fact of a span without what has to go, in its names, texts and attributes."""
        last = len(fact) - 1 if fact[0] in WITH_CONTENTS and _is_contents(fact[-1]) else len(fact)
        fields = [field if at >= last else self._field(field) for at, field in enumerate(fact)]
        return tuple(fields)

    def attributes(self, attributes: dict[Any, Any], depth: int = 0) -> dict[str, Any]:
        """Attributes without what has to go, in names and in values."""
        return {self._name(key): self._value(self._name(key), value, depth) for key, value in attributes.items()}

    def _field(self, field: Any) -> Any:
        if isinstance(field, str):
            return self.text(field)
        return self.attributes(field) if isinstance(field, dict) else field

    def _name(self, key: Any) -> str:
        return self.text(key if isinstance(key, str) else str(key))

    def _value(self, name: str, value: Any, depth: int) -> Any:
        """A value by its type; a text whole where its name says that it is a secret."""
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if depth > MAX_DEPTH:
            raise RecursionError("attributes are nested too deeply")
        if isinstance(value, dict):
            return self.attributes(value, depth + 1)
        if isinstance(value, (list, tuple)):
            return [self._value(name, item, depth + 1) for item in value]
        if isinstance(value, (bytes, bytearray)):
            return self._named(name, bytes(value))
        text = value if isinstance(value, str) else repr(value)
        data = text.encode("utf-8", "replace")
        redacted = self._named(name, data)
        return text if redacted is data else redacted.decode("utf-8", "replace")

    def _named(self, name: str, data: bytes) -> bytes:
        redacted = self.data(data)
        if redacted is data and self._patterns.names_a_secret(name.encode("utf-8", "replace"), data):
            return self._placeholder("secret", "named", data)
        return redacted

    def _placeholder(self, family: str, kind: str, value: bytes) -> bytes:
        return self._placeholders.of(family, kind, value)


def _is_contents(field: Any) -> bool:
    """Whether the field holds digests by slot."""
    return isinstance(field, dict) and all(isinstance(digests, list) for digests in field.values())
