"""The environment in which `trajectory run` starts a program, so that its agents are heard without a change to it.

Invariant: what the user has set stays; only what is empty is filled, and PYTHONPATH and NODE_OPTIONS are added to. Pure, but for
a look at the folder of the program's packages.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import trajectory.injected
from trajectory.cli.run_place import Place
from trajectory.injected.trajectory_activation import kind_of_python
from trajectory.model.words import RUN_ID
from trajectory.protocol.keys import KEY_FILE

_NODE = ("node", "npm", "npx", "pnpm", "yarn", "tsx", "bun")
_REGISTER = "@opentelemetry/auto-instrumentations-node/register"
# Each says "tell what was said, and what it was said with": the names that frameworks and conventions have for it.
_TELL_ALL = {
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "TRACELOOP_TRACE_CONTENT": "true",
    "TRACELOOP_TELEMETRY": "false",
    "ENABLE_INSTRUMENTATION": "true",
    "ENABLE_SENSITIVE_DATA": "true",
    "HAYSTACK_CONTENT_TRACING_ENABLED": "true",
    "SEMANTICKERNEL_EXPERIMENTAL_GENAI_ENABLE_OTEL_DIAGNOSTICS_SENSITIVE": "true",
}


def environment_for(
    command: Sequence[str], given: Mapping[str, str], there: Place, reports: str, run_id: str = "run", key: str = ""
) -> dict[str, str]:
    """`given`, wired to a collector and its receiver.

    `reports` is the folder in which each process of the program says what it could switch on, `run_id` what its traces are
    known by, `key` the path of the key file that opens the collector.
    """
    endpoint, otlp = there.endpoint, there.otlp
    injected = str(Path(trajectory.injected.__file__).parent)
    base = {
        "TRAJECTORY_ENDPOINT": endpoint,
        "OTEL_SERVICE_NAME": service_of(command),
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        **_TELL_ALL,
    }
    if otlp:
        base |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{otlp}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_TRACES_EXPORTER": "otlp",
            "TRACELOOP_BASE_URL": f"http://{otlp}",
        }
    wired = {**base, **{name: value for name, value in given.items() if value}}
    wired |= {
        "TRAJECTORY_ENDPOINT": endpoint,
        "TRAJECTORY_RUN": run_id,
        "OTEL_RESOURCE_ATTRIBUTES": ",".join(
            filter(None, (given.get("OTEL_RESOURCE_ATTRIBUTES", ""), f"{RUN_ID}={run_id}"))
        ),
        "TRAJECTORY_RUN_REPORTS": reports,
        "TRAJECTORY_RUN_PATHS": os.pathsep.join(_own_paths()),
        "TRAJECTORY_RUN_PYTHON": kind_of_python(),
        "PYTHONPATH": os.pathsep.join(filter(None, (injected, given.get("PYTHONPATH", "")))),
    }
    if key:
        wired[KEY_FILE] = str(Path(key).absolute())
    if speaks_node(command) and has_node_instrumentation(Path.cwd()):
        options = given.get("NODE_OPTIONS", "")
        wired.setdefault("OTEL_NODE_RESOURCE_DETECTORS", "env,host,os,process")  # no cloud is asked who it is
        wired["NODE_OPTIONS"] = f"{options} --require {_REGISTER}".strip() if _REGISTER not in options else options
    return wired


def _own_paths() -> list[str]:
    """Where this Trajectory and what it needs are installed; of an editable install the folder that it is in, too."""
    own = str(Path(trajectory.injected.__file__).parents[2])
    return list(dict.fromkeys([own, *(path for path in sys.path if path and Path(path).is_dir())]))


def service_of(command: Sequence[str]) -> str:
    """A name for the program: its script or module, else the command itself."""
    words = [Path(word).name for word in command]
    if words and words[0] in ("uv", "poetry", "pdm", "hatch") and len(words) > 2 and words[1] == "run":
        words = words[2:]
    if words and words[0].startswith(("python", "node", "tsx")):
        module = words[words.index("-m") + 1] if "-m" in words[:-1] else ""
        script = next((word for word in words[1:] if word.endswith((".py", ".js", ".mjs", ".cjs", ".ts"))), "")
        return module or Path(script).stem or words[0]
    return Path(words[0]).stem if words else "program"


def speaks_node(command: Sequence[str]) -> bool:
    return bool(command) and Path(command[0]).name in _NODE


def has_node_instrumentation(folder: Path) -> bool:
    """Whether Node's own instrumentation is installed for a program that is started in this folder."""
    return any(
        (place / "node_modules" / "@opentelemetry/auto-instrumentations-node").is_dir()
        for place in (folder, *folder.parents)
    )
