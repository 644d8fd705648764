"""Who emits: the ids and the resource of this process, under OpenTelemetry's resource names.

Invariant: a boot id is drawn anew at each call, so that (emitter, boot, sequence) is never used twice. Called by the tracer
at its start and after a fork.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from trajectory.model.hashing import blake2b
from trajectory.model.words import RUN_ID, SERVICE_NAME

ID_BYTES = 16


class Identity(NamedTuple):
    """The wire's `Source`: `emitter_id` tells processes apart, `boot_id` the lives of one."""

    emitter_id: bytes
    boot_id: bytes
    resource: dict[str, Any]


def identity_of(service: str, resource: Mapping[str, Any]) -> Identity:
    """This process as a source, with what the user says about it on top."""
    import platform  # these two cost the agent's thread 15 ms, and the sender's nobody anything
    import socket

    host, pid = socket.gethostname(), os.getpid()
    boot_id = os.urandom(ID_BYTES)
    known = {
        SERVICE_NAME: service,
        "service.instance.id": boot_id.hex(),
        "host.name": host,
        "process.pid": pid,
        "process.runtime.name": sys.implementation.name,
        "process.runtime.version": platform.python_version(),
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "trajectory",
    }
    if run_id := os.environ.get("TRAJECTORY_RUN"):
        known[RUN_ID] = run_id
    emitter_id = blake2b(f"{host}\0{service}\0{pid}".encode("utf-8", "replace"), digest_size=ID_BYTES).digest()
    return Identity(emitter_id, boot_id, {**known, **resource})


def default_service() -> str:
    """The service's name as the environment, the program's file or the notebook's says it."""
    named = os.environ.get("TRAJECTORY_SERVICE") or os.environ.get("OTEL_SERVICE_NAME")
    if named:
        return named
    script = _stem(sys.argv[0]) if sys.argv else ""
    if script == "ipykernel_launcher":  # Jupyter names the notebook here
        return _stem(os.environ.get("JPY_SESSION_NAME", "")) or "notebook"
    return script if script and not script.startswith("-") else "python"


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]  # noqa: PTH119, PTH122
