"""What a trace shows to the outside: where another trace may have been caused from here, and by what this one may have been.

Invariant: a trace's ends depend on the facts of that trace alone, hold digests and no content, and are few, so that they can
be kept for thousands of traces. Made by `graph.ends`, kept with a trace's summary, compared by `graph.stitching`.
"""

from typing import Any

import msgspec

KEY_BYTES = 8


class End(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A place where work may have come from, or gone to, another trace.

    `kind` is what it is known by: `message`, `task` (A2A's ids), `call` (a tool call's), `text` (what was asked, word for
    word), `made` (what a process or a workflow was made of). `key` is a digest of the value, empty where the place has none:
    then it may have any. `label` is the name of the call. `is_counted`: its trace knows it as a delegation already. Times are
    UTC nanoseconds, `end_ns` 0 while it is open.
    """

    kind: str
    key: bytes
    label: str = ""
    span_id: bytes = b""
    agent: str = ""
    start_ns: int = 0
    end_ns: int = 0
    is_counted: bool = False


class Pointer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A span link out of the trace: what it points at is a cause of it."""

    span_id: bytes
    to_trace_id: bytes
    to_span_id: bytes


class Ends(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The ends of one trace. `process`, `session` and `workers` are digests, empty where nothing is known.

    `workers` are the agents that worked in it, each with its service; `agent` is who worked first, `worker` its digest.
    `last_ns` is 0 while it is open. `is_whole`: it has ended, nothing in it is missing, and nothing was left out here.
    `is_answer`: its root handles a message, so something caused it.
    """

    started_ns: int = 0
    last_ns: int = 0
    is_open: bool = False
    is_whole: bool = False
    is_answer: bool = False
    process: bytes = b""
    session: bytes = b""
    agent: str = ""
    worker: bytes = b""
    span_id: bytes = b""  # of the root
    workers: list[bytes] = []
    gives: list[End] = []
    takes: list[End] = []
    pointers: list[Pointer] = []


def known(value: Any) -> str:
    """An id as text; empty where it is none: ids are texts, and some say that they are not there."""
    return value if isinstance(value, str) and value and not value.startswith("<") else ""
