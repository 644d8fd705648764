"""How many parts a request has, told from its bytes: a small one takes two hundred times as much memory when it is read.

Invariant: of a body that could fill the memory nothing is made, and one as exporters send it costs no more than a look at its
bytes in C. Called by `requests`; pure.
"""

import re
from typing import Any

from trajectory.dialects.otlp import Media
from trajectory.receiver.bodies import RefusedError

MAX_PARTS = 1 << 20  # messages within messages: a span of 40 attributes has 81
_JSON_PARTS = 4 * MAX_PARTS  # values: JSON has four of them where protobuf has two messages
_TAGS = bytes(byte for byte in range(256) if byte & 7 == 2)  # each message within another begins with one of them
_SIGNS = b",:[{"  # before each value but the first stands one of them
_texts = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)


def check(body: bytes, media: Media, kind: Any) -> None:
    """Raises RefusedError where a body has too many parts; `kind` is the message that it should be. What is broken passes."""
    if media == "json":
        few = _has_few(body, _SIGNS, _JSON_PARTS) or _has_few(_texts.sub(b"", body), _SIGNS, _JSON_PARTS)
    else:
        few = _has_few(body, _TAGS, MAX_PARTS) or parts_in(body, kind.DESCRIPTOR, MAX_PARTS) <= MAX_PARTS
    if not few:
        raise RefusedError(413, "the body has more parts than are taken at once: send smaller batches")


def _has_few(body: bytes, signs: bytes, most: int) -> bool:
    return len(body) <= most or len(body) - len(body.translate(None, signs)) <= most


def parts_in(body: bytes, descriptor: Any, most: int) -> int:
    """How many messages are within a message of protobuf; more than `most` where they are more."""
    at, count = 0, 0
    within = [(len(body), _kinds(descriptor))]
    kinds_of = {descriptor.full_name: within[0][1]}
    try:
        while within and count <= most:
            end, kinds = within[-1]
            if at >= end:
                within.pop()
                continue
            tag, at = _number(body, at)
            match tag & 7:
                case 0:
                    _, at = _number(body, at)
                case 1:
                    at += 8
                case 2:
                    length, at = _number(body, at)
                    inner = kinds.get(tag >> 3)
                    if inner is None:
                        at += length
                        continue
                    count += 1
                    if inner.full_name not in kinds_of:
                        kinds_of[inner.full_name] = _kinds(inner)
                    within.append((min(end, at + length), kinds_of[inner.full_name]))
                case 5:
                    at += 4
    except IndexError:  # it is cut, and will be refused for that
        pass
    return count


def _kinds(descriptor: Any) -> dict[int, Any]:
    """The messages that one may have within it, by number."""
    return {field.number: field.message_type for field in descriptor.fields if field.message_type is not None}


def _number(body: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ends. Raises IndexError where the body does before."""
    byte = body[at]
    number, shift = byte & 0x7F, 7
    while byte & 0x80:
        at += 1
        byte = body[at]
        number |= (byte & 0x7F) << shift
        shift += 7
    return number, at + 1
