"""What is switched on in the programs that `trajectory run` starts, in pieces: what is missing there is told, not raised."""

import importlib
import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from opentelemetry import trace as api
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from trajectory.injected import trajectory_activation as activation

EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


@pytest.fixture(autouse=True)
def report(monkeypatch: pytest.MonkeyPatch) -> activation.Report:
    """Nothing is switched on yet, and what a test switches on is off after it."""
    fresh: activation.Report = {"instrumented": [], "trouble": [], "missing": []}
    monkeypatch.setattr(activation, "REPORT", fresh)
    monkeypatch.setattr(activation, "_names", set())
    monkeypatch.setattr(activation, "_begun", [])
    monkeypatch.setattr(TracerProvider, "__init__", TracerProvider.__init__)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    return fresh


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)


def test_without_opentelemetry_nothing_is_switched_on_and_that_is_told(
    monkeypatch: pytest.MonkeyPatch, report: activation.Report
) -> None:
    without(monkeypatch, "opentelemetry.sdk.trace")
    assert activation.begin_once()["trouble"] == [
        "OpenTelemetry's SDK is not installed there: pip install opentelemetry-sdk"
    ]
    assert report["instrumented"] == []


def test_without_trajectory_spans_leave_by_otlp_and_without_both_not_at_all(
    monkeypatch: pytest.MonkeyPatch, report: activation.Report
) -> None:
    class Exporter(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    without(monkeypatch, "trajectory.otel", EXPORTER)
    assert activation._provider() is None
    (said,) = report["trouble"]
    assert said.startswith("spans cannot leave it (") and said.endswith("-otlp-proto-http there")
    monkeypatch.setitem(sys.modules, EXPORTER, SimpleNamespace(OTLPSpanExporter=Exporter))  # type: ignore[arg-type]
    processor = activation._processor()
    assert isinstance(processor, BatchSpanProcessor) and "by OTLP, spans when they end" in report["instrumented"][0]
    processor.shutdown()


def test_a_provider_that_is_there_gets_our_processor_and_so_does_each_that_is_made_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []
    ours = SimpleNamespace(on_start=lambda span, parent_context=None: seen.append(span.name), on_end=lambda span: None,
                           _on_ending=lambda span: None, shutdown=lambda: None)  # fmt: skip
    monkeypatch.setattr(activation, "_processor", lambda: ours)
    present = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setattr(api, "get_tracer_provider", lambda: present)
    assert activation._provider() is present
    for number, provider in enumerate((present, TracerProvider(shutdown_on_exit=False))):
        provider.get_tracer("x").start_span(f"span {number}").end()
    assert seen == ["span 0", "span 1"]


def test_what_stands_behind_the_programs_own_packages_is_of_the_same_kind_of_interpreter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRAJECTORY_RUN_PATHS", os.pathsep.join(["/one", sys.path[0], "/two"]))
    before = [*sys.path]
    for kind, more in (("cpython-27 plan9", []), (activation.kind_of_python(), ["/one", "/two"])):
        monkeypatch.setenv("TRAJECTORY_RUN_PYTHON", kind)
        activation._reach_ours()
        assert sys.path == [*before, *more]
    assert not activation._can_load("no_such_package_at_all.otel") and activation._can_load("trajectory.otel")


def test_what_somebody_else_has_instrumented_is_left_alone(report: activation.Report) -> None:
    class Instrumentor:
        is_instrumented_by_opentelemetry = True

        def instrument(self, tracer_provider: Any) -> None:
            raise AssertionError("it is on already")

    activation._instrument("robots", SimpleNamespace(load=lambda: Instrumentor), None)
    assert report == {"instrumented": [], "trouble": [], "missing": []}


def test_a_module_that_is_there_already_is_acted_on_at_once_and_a_fault_of_it_is_told(
    monkeypatch: pytest.MonkeyPatch, report: activation.Report
) -> None:
    monkeypatch.setitem(sys.modules, "robots_for_tests", ModuleType("robots_for_tests"))
    asked: list[str] = []
    activation.when_imported("robots_for_tests", lambda module: asked.append(module.__name__))
    activation.when_imported("robots_for_tests", lambda module: module.Agent)
    assert asked == ["robots_for_tests"] and report["instrumented"] == ["robots_for_tests by itself"]
    assert report["trouble"] == ["robots_for_tests: AttributeError: module 'robots_for_tests' has no attribute 'Agent'"]


def test_a_module_that_is_waited_for_and_not_there_is_missed_as_without_us() -> None:
    activation.when_imported("robots_that_nobody_has", lambda module: None)
    with pytest.raises(ModuleNotFoundError, match="No module named 'robots_that_nobody_has'"):
        importlib.import_module("robots_that_nobody_has")


def test_a_model_that_is_told_of_by_the_framework_that_calls_it_is_not_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in activation.KNOWN:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "openai", ModuleType("openai"))
    assert activation.missing() == ["openai: pip install openinference-instrumentation-openai"]
    monkeypatch.setitem(sys.modules, "agents", ModuleType("agents"))
    monkeypatch.setattr(activation, "_names", {"openai_agents"})
    assert activation.missing() == []
    activation._names.clear()
    monkeypatch.setitem(sys.modules, "pydantic_ai", ModuleType("pydantic_ai"))  # it tells its model calls itself
    monkeypatch.setitem(sys.modules, "anthropic", ModuleType("anthropic"))
    monkeypatch.delitem(sys.modules, "agents")
    assert activation.missing() == []


def test_a_report_is_written_where_it_is_asked_for_and_nobody_minds_where_it_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("", str(tmp_path / "gone")):
        monkeypatch.setenv("TRAJECTORY_RUN_REPORTS", folder)
        activation._write()
        assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("TRAJECTORY_RUN_REPORTS", str(tmp_path))
    activation._write()
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_text())["trouble"] == [] and path.stat().st_mode & 0o777 == 0o600
