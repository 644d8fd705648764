"""What facts hold, on the sender's thread: each body encoded and sent once, before the first fact that names it.

Invariant: what comes out names bodies by their digests, and every body that it names came out before. Called by the processors'
chain, first and last of all, and by the collector in memory so that tests see the same.
"""

from typing import Any

from trajectory.emitter.bodies import CUT_BYTES, Body, Said, body_of, is_text
from trajectory.emitter.misuse import report
from trajectory.model.lists import LIST, SHORTEST, Lists, list_of
from trajectory.protocol.frames import PAYLOAD, SPAN_EVENT, WITH_CONTENTS

SENT_DIGESTS = 65_536
KNOWN_BYTES = 2 * 1024 * 1024  # of text whose digest is remembered, and at most as much again

Fact = tuple[Any, ...]


class Contents:
    """Which bodies were sent, and the digests of the texts that were said last: a conversation says them at every call."""

    def __init__(self, sent_count: int = SENT_DIGESTS) -> None:
        self._sent_count = sent_count
        self._sent: dict[bytes, None] = {}  # the least recently named one is first
        self._known: dict[Said, Body] = {}
        self._known_before: dict[Said, Body] = {}
        self._known_bytes = 0

    def told(self, fact: Fact) -> list[Fact]:
        """The fact as it names its bodies, behind those that were not sent yet."""
        if fact[0] not in WITH_CONTENTS or not fact[-1]:
            return [fact]
        try:
            return self._told(fact)
        except Exception as fault:  # not a fact of a span's: whoever made it by hand shall not stop the others
            report("contents", "trajectory: what a fact holds could not be read; it goes as it is: %r", fault)
            return [fact]

    def _told(self, fact: Fact) -> list[Fact]:
        told: list[Fact] = []
        cut_bytes = 0
        contents: dict[str, list[bytes]] = {}
        for slot, those in fact[-1].items():
            contents[slot] = digests = []
            for one in those:
                if type(one) is bytes:  # a digest already
                    digests.append(one)
                    continue
                body = self._body(one)
                if body is None:
                    continue
                if not self._is_sent(body.digest):
                    body = body if body.data else body_of(one)
                    told.append((PAYLOAD, body.digest, body.media_type, body.data))
                digests.append(body.digest)
                cut_bytes = max(cut_bytes, body.cut_bytes)
        attributes = {**fact[-2], CUT_BYTES: cut_bytes} if cut_bytes else fact[-2]
        told.append((*fact[:-2], attributes, contents))
        return told

    def forget(self, digest: bytes) -> None:
        """This body is sent anew when it is named again."""
        self._sent.pop(digest, None)

    def forget_all(self) -> None:
        """Every body is sent anew: the store that answers now may not have the earlier ones."""
        self._sent.clear()

    def _is_sent(self, digest: bytes) -> bool:
        is_sent = digest in self._sent
        if is_sent:
            del self._sent[digest]
        self._sent[digest] = None
        if len(self._sent) > self._sent_count:
            del self._sent[next(iter(self._sent))]
        return is_sent

    def _body(self, one: Said) -> Body | None:
        """The body; without its data where the same text was said before."""
        if not is_text(one):
            return _encoded(one)
        known = self._known.get(one)
        if known is None:
            fresh = None
            known = self._known_before.get(one)
            if known is None and (fresh := _encoded(one)) is not None:
                known = fresh._replace(data=b"")
            if known is not None:
                self._remember(one, known)
            return fresh or known
        return known

    def _remember(self, one: Said, body: Body) -> None:
        self._known[one] = body
        self._known_bytes += one[0]
        if self._known_bytes > KNOWN_BYTES or len(self._known) > self._sent_count:
            self._known_before, self._known = self._known, {}
            self._known_bytes = 0


class Listing:
    """Names the many bodies of a slot by one list, which extends an earlier list where it can."""

    def __init__(self) -> None:
        self._lists = Lists()

    def listed(self, fact: Fact) -> list[Fact]:
        """The fact behind the lists that it needs and that were not sent yet. An event's contents stay as they are."""
        listed: list[Fact] = []
        given = fact[-1] if fact[0] in WITH_CONTENTS and fact[0] != SPAN_EVENT else None
        if given and max(map(len, given.values())) >= SHORTEST:
            contents = {}
            for slot, digests in given.items():
                contents[slot] = digests
                if len(digests) >= SHORTEST:
                    entry, body = self._lists.entry(digests)
                    contents[slot] = [entry]
                    if body:
                        listed.append((PAYLOAD, list_of(entry), LIST, body))
            fact = (*fact[:-1], contents)
        listed.append(fact)
        return listed

    def forget_all(self) -> None:
        """Lists begin anew: the store that answers now may not have the earlier ones."""
        self._lists.clear()


def _encoded(one: Said) -> Body | None:
    try:
        return body_of(one)
    except Exception as fault:  # nothing of the user's is left in it, so this is ours
        report("body", "trajectory: a body could not be encoded and is left out: %r", fault)
        return None
