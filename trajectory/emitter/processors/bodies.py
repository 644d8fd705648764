"""Bodies on their way out: redacted, cut if so asked, and what became of their digests.

Invariant: a fact names a body by the digest that it left with. The memory of changed digests outlasts the tracer's own of what it
sent, so a digest of what was redacted never leaves. Called by `chain`.
"""

from typing import Any

from trajectory.emitter.bodies import CUT_BYTES, Body
from trajectory.emitter.contents import SENT_DIGESTS
from trajectory.model import content
from trajectory.protocol.frames import WITH_CONTENTS

Fact = tuple[Any, ...]


class Rewrites:
    """Which digest stands for which, for at least the last SENT_DIGESTS that were asked for; None: the body did not leave."""

    def __init__(self, limit: int = SENT_DIGESTS) -> None:
        self._limit = limit
        self._new: dict[bytes, Body | None] = {}
        self._old: dict[bytes, Body | None] = {}

    def __bool__(self) -> bool:
        return bool(self._new or self._old)

    def put(self, digest: bytes, body: Body | None) -> None:
        """From here on `body` (its data is not kept) stands for the digest."""
        self._new[digest] = None if body is None else body._replace(data=b"")
        if len(self._new) >= self._limit:
            self._old, self._new = self._new, {}

    def forget(self, digest: bytes) -> None:
        """The body leaves as it is now."""
        self._new.pop(digest, None)
        self._old.pop(digest, None)

    def contents(self, contents: dict[str, list[bytes]]) -> tuple[dict[str, list[bytes]], int]:
        """The contents by the digests that left, and the whole length of the longest body that was cut, or 0."""
        cut_bytes = 0
        rewritten: dict[str, list[bytes]] = {}
        for slot, digests in contents.items():
            rewritten[slot] = kept = []
            for digest in digests:
                known, body = self._find(digest)
                if not known:
                    kept.append(digest)
                elif body is not None:
                    kept.append(body.digest)
                    cut_bytes = max(cut_bytes, body.cut_bytes)
        return rewritten, cut_bytes

    def fact(self, fact: Fact) -> Fact:
        """The fact with its contents rewritten; the very fact where nothing changes."""
        if not self or fact[0] not in WITH_CONTENTS or not (contents := fact[-1]) or not isinstance(contents, dict):
            return fact
        rewritten, cut_bytes = self.contents(contents)
        if rewritten == contents:
            return fact
        attributes = fact[-2] if not cut_bytes else {**fact[-2], CUT_BYTES: max(cut_bytes, fact[-2].get(CUT_BYTES, 0))}
        return (*fact[:-2], attributes, rewritten)

    def _find(self, digest: bytes) -> tuple[bool, Body | None]:
        if digest in self._new:
            return True, self._new[digest]
        if digest in self._old:
            self.put(digest, self._old.pop(digest))
            return True, self._new.get(digest, self._old.get(digest))
        return False, None


def preview_of(media_type: str, data: bytes, most_bytes: int) -> Body:
    """A body as it is; of one that is longer its beginning as text, with a last line that names its length and its digest."""
    digest = content.digest(media_type, data)
    if len(data) <= most_bytes:
        return Body(digest, media_type, data)
    begins = data[:most_bytes].decode("utf-8", "ignore")
    preview = f"{begins}\n[cut: {len(data)} bytes of {media_type}, digest {digest.hex()}]".encode()
    return Body(content.digest(content.TEXT, preview), content.TEXT, preview, len(data))
