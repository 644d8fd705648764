"""The story that every program plays, and its stage: what the agents are told, what the tools do, who is told of the truth.

Runs inside each framework's own environment, so it needs OpenTelemetry and the standard library only. Invariant: a program adds
no span and no attribute of its own; what is on the wire is what the framework and its instrumentation put there. The stage
(`_frameworks_stage`) is told when each run begins and how it ended, and counts the model's calls itself.
"""

import asyncio
import gc
import inspect
import json
import os
import sys
import traceback
import urllib.request
from collections.abc import Callable
from typing import Any

STAGE = os.environ["STORY_STAGE"]
MODEL_URL, MODEL = STAGE + "/v1", "gpt-4.1"
KEY = "none-needed"
INSTRUMENTATION = os.environ.get("STORY_INSTRUMENTATION", "openinference")
SESSION = "oakfield-session-7"
QUESTION = (
    "Pump P-7 at Oakfield vibrates. Find the cause and order the part that mends it. "
    "The part must be lead-free and may cost at most 400 EUR."
)
DUTIES = {
    "dispatcher": "You take the customer's request and give the work to your colleagues.",
    "diagnostician": "You find out what is wrong with a machine from its sensors.",
    "buyer": "You order spare parts.",
}
INSTRUCTIONS = {name: f"Your desk: {name}. {duty}" for name, duty in DUTIES.items()}

_played: dict[str, Any] = {"variant": "", "tools": []}
_loop = asyncio.Runner()  # one for all runs: clients keep their connections


def read_sensor(machine: str) -> str:
    """Reads the sensors of a machine."""
    _played["tools"].append("read_sensor")
    if _played["variant"] == "raise":
        raise ConnectionError("the sensor bus does not answer")
    if _played["variant"] == "soft":
        return "Error: 503 sensor gateway unavailable"
    return "Vibration 11 mm/s at the shaft seal; the seal leaks."


def order_part(part: str) -> str:
    """Orders a spare part."""
    _played["tools"].append("order_part")
    return f"Ordered: {part}. Order number 5521."


def provider() -> Any:
    """The tracer provider, set as the global one, that sends to the stage."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    made = TracerProvider()
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=STAGE + "/v1/traces")))
    trace.set_tracer_provider(made)
    return made


def play(shapes: dict[str, Callable[[], Any]], traced: Any) -> None:
    """Plays every shape in every variant that it has; a shape is a function, or a coroutine function, that runs the team."""
    wanted = os.environ.get("STORY_RUNS", "").split()
    for shape, run in shapes.items():
        for variant in ("ok", "raise", "soft") if shape == "handoff" else ("ok", "raise", "soft", "lost"):
            if wanted and f"{shape}-{variant}" not in wanted:
                continue
            _played.update(variant=variant, tools=[])
            _tell("begin", {"run": f"{shape}-{variant}"})
            outcome, said = "done", ""
            try:
                ended = run()
                said = str(_loop.run(ended) if inspect.iscoroutine(ended) else ended)
            except Exception as fault:
                outcome, said = "failed", f"{type(fault).__name__}: {fault}"
                if os.environ.get("STORY_LOUD"):
                    traceback.print_exc()
            gc.collect()  # some spans end only when a generator is thrown away
            traced.force_flush()
            print(f"{shape}-{variant}: {outcome}: {said[:150]!r}", file=sys.stderr)
            _tell("end", {"tools": _played["tools"], "outcome": outcome, "said": said[:1000]})
    _loop.close()
    traced.shutdown()


def _tell(word: str, told: dict[str, Any]) -> None:
    request = urllib.request.Request(f"{STAGE}/{word}", json.dumps(told).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()
