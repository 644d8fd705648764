"""What a span costs the agent: beside the OpenTelemetry SDK, and with a long message beside a short one.

Invariant: both sides run the same loop in processes of their own, turn by turn, into a sink that answers at once, and every
span counted arrived there.
"""

from collections.abc import Callable

from tests.benchmarks import AbsentError, Row
from tests.benchmarks._peers import interpreter_with
from tests.benchmarks._rounds import (
    REPOSITORY,
    ROUNDS,
    Child,
    Figures,
    Target,
    asked,
    interleaved,
    module,
    noted,
    percent,
    scaled,
    times,
)

NAME = "emit"
GOAL = "a span costs the agent's thread 7 % of what OpenTelemetry's costs it, and a long message hardly more than a short one"
LEARNED = (
    "Start and end of a span as one function each, contents held and encoded on the sender's thread: a quarter less"
    " on the calling thread. Kept.",
    "The ratio goes with the machine: the state before and this one, read in turn, were 13.1 and 14.0 beside 10.9 and 9.6 %; "
    "read alone this one was 12.4 and 12.5. Its own 3.6 to 3.9 µs were 4.6 to 4.8 before.",
)
PEERS = ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")
SHORT_BYTES, LONG_BYTES = 231, 10_240


def run() -> list[Row]:
    """Rows against OpenTelemetry where it can be installed, then those of messages."""
    rows: list[Row] = []
    with Child(module("_sink")) as sink:
        try:
            rows += _against_otel(sink)
        except AbsentError as reason:
            rows.append(Row("span", "against OpenTelemetry", f"not measured: {reason}", "", False))
        rows += _messages(sink)
    return rows


def _against_otel(sink: Child) -> list[Row]:
    count = scaled(20_000)
    python = interpreter_with(*PEERS)
    worker = [
        python,
        str(REPOSITORY / "tests" / "benchmarks" / "_emit_otel.py"),
        str(sink.ready["http_port"]),
        str(count),
    ]
    sink.ask("counts")

    def otel() -> Figures:
        figures = asked(worker)
        arrived = sink.ask("counts")["otlp_spans"]
        if arrived != count + 201:
            raise AbsentError(f"{arrived} of {count + 201} OpenTelemetry spans arrived")
        return figures

    taken = interleaved({"ours": _ours(sink, "span", count, 0), "otel": otel})
    ours, theirs = taken["ours"], taken["otel"]
    rows = []
    for name, text, target in (
        ("thread_ns", "CPU of the calling thread", Target(0.12, 0.07, percent)),
        ("process_ns", "CPU of the whole process", Target(0.10, 0.05, percent)),
    ):
        compared = (
            f"of an OpenTelemetry SDK span + BatchSpanProcessor + OTLP/HTTP: {ours[name]:,.0f} / {theirs[name]:,.0f} ns, "
            f"median of {ROUNDS} times {count:,} spans of 8 attributes"
        )
        rows.append(target.row("span", text, ours[name] / theirs[name], compared))
    return rows


def _messages(sink: Child) -> list[Row]:
    """A model call with one message: each is another text, so each is sent."""
    count = scaled(2000)
    sides = {
        f"{what} {size}": _ours(sink, what, count, size)
        for what in ("message", "attribute")
        for size in (SHORT_BYTES, LONG_BYTES)
    }
    taken = interleaved(sides)
    rows = []
    for what in ("message", "attribute"):
        short, long = (taken[f"{what} {size}"]["thread_ns"] for size in (SHORT_BYTES, LONG_BYTES))
        compared = (
            f"the CPU of the calling thread that {SHORT_BYTES} B cost: {long:,.0f} / {short:,.0f} ns, "
            f"median of {ROUNDS} times {count:,}"
        )
        if what == "message":
            rows.append(Target(2.0, 1.2, times).row("10 KB message", "model call", long / short, compared))
        else:
            rows.append(noted("10 KB text", "attribute of a span", f"{times(long / short)} {compared}"))
    return rows


def _ours(sink: Child, what: str, count: int, size: int) -> Callable[[], Figures]:
    return lambda: asked(module("_emit_ours", sink.ready["endpoint"], what, count, size))
