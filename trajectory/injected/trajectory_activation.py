"""Switches on the OpenTelemetry instrumentations that are installed, and brings what they say to a collector.

Invariant: a package is instrumented once, by the family that says most about agents; every step that fails is reported and leaves
the rest to go on. Standard library and what is installed beside it; called by `sitecustomize` and by `trajectory.instrument`.
"""

import atexit
import importlib
import importlib.abc
import importlib.metadata
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

GROUP = "opentelemetry_instrumentor"
_BEST = "openinference-"
_OFFICIAL = ("-v2", "google-genai")  # OpenTelemetry's own GenAI packages; Traceloop's share their prefix
# A module that a program imports, and the package that tells its spans; "" where it tells them itself.
KNOWN = {
    "agents": "openinference-instrumentation-openai-agents", "langchain_core": "openinference-instrumentation-langchain",
    "crewai": "openinference-instrumentation-crewai", "autogen_core": "", "pydantic_ai": "", "google.adk": "",
    "smolagents": "openinference-instrumentation-smolagents", "llama_index.core": "openinference-instrumentation-llama-index",
    "dspy": "openinference-instrumentation-dspy", "haystack": "openinference-instrumentation-haystack",
    "agno": "openinference-instrumentation-agno", "beeai_framework": "openinference-instrumentation-beeai",
    "strands": "", "agent_framework": "", "semantic_kernel": "", "litellm": "openinference-instrumentation-litellm",
    "openai": "openinference-instrumentation-openai", "anthropic": "openinference-instrumentation-anthropic",
    "mistralai": "openinference-instrumentation-mistralai", "groq": "openinference-instrumentation-groq",
    "google.genai": "openinference-instrumentation-google-genai",
}  # fmt: skip
# Those whose spans also tell the calls of a module: with them nothing is missing.
_COVERED = {
    "openai": ("agents", "litellm", "langchain_core", "pydantic_ai"), "litellm": ("crewai", "smolagents"),
    "anthropic": ("pydantic_ai",), "mistralai": ("pydantic_ai",), "groq": ("pydantic_ai",),
    "google.genai": ("pydantic_ai", "google.adk"),
}  # fmt: skip

Report = dict[str, list[str]]
REPORT: Report = {"instrumented": [], "trouble": [], "missing": []}
_names: set[str] = set()
_begun: list[bool] = []


def begin_once() -> Report:
    """Brings the spans of this process's SDK to the collector, and instruments what can be, the first time that it is called.

    Answers what was done, in words; what is missing is looked at anew each time.
    """
    if not _begun:
        _begun.append(True)
        _begin()
    REPORT["missing"] = missing()
    return REPORT


def _begin() -> None:
    provider = _provider()
    if provider is None:
        return
    _natives()
    for name, entry in sorted(_chosen().items()):
        _instrument(name, entry, provider)


# --- the provider ---------------------------------------------------------------------------------------------------------


def _provider() -> Any:
    """The process's tracer provider with our processor in it, as every provider that is made from here on has it."""
    try:
        trace: Any = importlib.import_module("opentelemetry.trace")
        sdk = importlib.import_module("opentelemetry.sdk.trace")
    except ImportError:
        REPORT["trouble"].append("OpenTelemetry's SDK is not installed there: pip install opentelemetry-sdk")
        return None
    processor = _processor()
    if processor is None:
        return None
    present = trace.get_tracer_provider()
    if hasattr(present, "add_span_processor"):
        present.add_span_processor(processor)
    _join_each(sdk.TracerProvider, processor)
    if hasattr(present, "add_span_processor"):
        return present
    provider = sdk.TracerProvider()
    trace.set_tracer_provider(provider)
    if hasattr(
        trace, "_TRACER_PROVIDER_SET_ONCE"
    ):  # a provider that the program sets itself takes its place, as without us
        trace._TRACER_PROVIDER_SET_ONCE = type(trace._TRACER_PROVIDER_SET_ONCE)()
    return provider


def _join_each(kind: Any, processor: Any) -> None:
    begins = kind.__init__

    def begin_joined(self: Any, *args: Any, **kwargs: Any) -> None:
        begins(self, *args, **kwargs)
        self.add_span_processor(processor)

    kind.__init__ = begin_joined


def _processor() -> Any:
    """Trajectory's processor, live from each span's start; where it does not load there, OTLP's own exporter."""
    if not _can_load("trajectory.otel"):
        _reach_ours()
    try:
        from trajectory.otel import SpanProcessor

        return SpanProcessor()
    except Exception as fault:
        reason = f"{type(fault).__name__}: {fault}"
    try:
        exporter = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        export = importlib.import_module("opentelemetry.sdk.trace.export")
    except ImportError:
        REPORT["trouble"].append(
            f"spans cannot leave it ({reason}): pip install opentelemetry-exporter-otlp-proto-http there"
        )
        return None
    REPORT["instrumented"].append("by OTLP, spans when they end: Trajectory is not installed there")
    return export.BatchSpanProcessor(exporter.OTLPSpanExporter(), schedule_delay_millis=200)


def _can_load(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _reach_ours() -> None:
    """Behind the program's own packages, those of the Trajectory that started it, where the interpreters are of one kind."""
    paths, kind = os.environ.get("TRAJECTORY_RUN_PATHS", ""), os.environ.get("TRAJECTORY_RUN_PYTHON", "")
    if paths and kind == kind_of_python():
        sys.path.extend(path for path in paths.split(os.pathsep) if path not in sys.path)


def kind_of_python() -> str:
    """What has to be the same for one's extension modules to load in the other."""
    return f"{sys.implementation.cache_tag} {sys.platform}"


# --- instrumentations -----------------------------------------------------------------------------------------------------


def _chosen() -> dict[str, Any]:
    """One entry point for each package that can be instrumented, by the preferred family."""
    off = {name.strip() for name in os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")}
    chosen: dict[str, tuple[int, Any]] = {}
    for entry in importlib.metadata.entry_points(group=GROUP):
        name, rank = _subject_of(entry.name), _rank(entry)
        if name in off or entry.name in off or "*" in off:
            continue
        if name not in chosen or rank < chosen[name][0]:
            chosen[name] = (rank, entry)
    return {name: entry for name, (_, entry) in chosen.items()}


def _subject_of(name: str) -> str:
    return name.lower().replace("-", "_").removesuffix("_v2").removesuffix("_instrumentor")


def _rank(entry: Any) -> int:
    distribution = _distribution_of(entry)
    if distribution.startswith(_BEST):
        return 0
    return 1 if any(mark in distribution for mark in _OFFICIAL) else 2


def _distribution_of(entry: Any) -> str:
    return str(entry.dist.name).lower() if getattr(entry, "dist", None) is not None else ""


def _instrument(name: str, entry: Any, provider: Any) -> None:
    try:
        instrumentor = entry.load()()
        conflict = getattr(instrumentor, "_check_dependency_conflicts", lambda: None)()
        if conflict is not None:
            return  # what it instruments is not installed, or of another version
        if getattr(instrumentor, "is_instrumented_by_opentelemetry", False):
            return
        instrumentor.instrument(tracer_provider=provider)
    except Exception as fault:
        REPORT["trouble"].append(f"{name} ({_distribution_of(entry)}): {type(fault).__name__}: {fault}"[:300])
        return
    _names.add(name)
    version = entry.dist.version if getattr(entry, "dist", None) is not None else ""
    REPORT["instrumented"].append(f"{name} by {_distribution_of(entry)} {version}".strip())


# --- what tells its spans itself ------------------------------------------------------------------------------------------


def _natives() -> None:
    """Frameworks that tell spans only when asked to are asked when the program imports them."""
    when_imported("pydantic_ai", lambda module: module.Agent.instrument_all())


def when_imported(name: str, act: Callable[[ModuleType], Any]) -> None:
    """Does something with a module when it has been imported; at once where it has been."""

    def acted(module: ModuleType) -> None:
        try:
            act(module)
            REPORT["instrumented"].append(f"{name} by itself")
        except Exception as fault:
            REPORT["trouble"].append(f"{name}: {type(fault).__name__}: {fault}"[:300])

    if name in sys.modules:
        acted(sys.modules[name])
    else:
        sys.meta_path.insert(0, _Watch(name, acted))


class _Watch(importlib.abc.MetaPathFinder):
    """Finds a module as it would be found without, and sees it loaded."""

    def __init__(self, name: str, act: Callable[[ModuleType], None]) -> None:
        self._name = name
        self._act = act

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        loader = spec.loader if spec is not None else None
        if loader is not None and hasattr(loader, "exec_module"):
            execute = loader.exec_module

            def executed(module: ModuleType) -> None:
                execute(module)
                self._act(module)

            loader.exec_module = executed  # type: ignore[method-assign]
        return spec


# --- the report -----------------------------------------------------------------------------------------------------------


def missing() -> list[str]:
    """What the program imported that nobody tells of, each with the package that would."""
    told = {name.replace("_", "") for name in _names}
    found = []
    for module, package in KNOWN.items():
        subject = package.removeprefix("openinference-instrumentation-").replace("-", "")
        covers = _COVERED.get(module, ())
        if not package or module not in sys.modules or subject in told:
            continue
        if any(cover in sys.modules and _is_told(cover, told) for cover in covers):
            continue
        found.append(f"{module}: pip install {package}")
    return found


def _is_told(module: str, told: set[str]) -> bool:
    package = KNOWN[module]
    return not package or package.removeprefix("openinference-instrumentation-").replace("-", "") in told


def report() -> None:
    """Writes the report where `trajectory run` reads it, now and once more when the process ends."""
    _write()
    atexit.register(_write)


def _write() -> None:
    folder = os.environ.get("TRAJECTORY_RUN_REPORTS", "")
    if not folder:
        return
    REPORT["missing"] = missing()
    try:
        path = Path(folder) / f"{os.getpid()}.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(REPORT))
    except OSError:
        return
