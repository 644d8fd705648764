"""Runs before the program: switches on what is installed there, then makes way for the program's own `sitecustomize`.

Invariant: whatever goes wrong here is written to the report, the program starts as it would without, and nothing of this
folder can be imported by accident.
"""

import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path

_HERE = str(Path(__file__).resolve().parent)


def _begin() -> None:
    import trajectory_activation as activation  # type: ignore[import-not-found]  # it stands beside this, on the path

    try:
        activation.begin_once()
    except Exception as fault:
        activation.REPORT["trouble"].append(f"nothing was switched on: {type(fault).__name__}: {fault}")
    activation.report()


def _make_way() -> None:
    """Runs the `sitecustomize` that stands behind this one on the path, if there is one."""
    sys.path[:] = [place for place in sys.path if str(Path(place or ".").resolve()) != _HERE]
    found = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if found is not None and found.loader is not None:
        module = importlib.util.module_from_spec(found)
        sys.modules["sitecustomize"] = module
        found.loader.exec_module(module)


if os.environ.get("TRAJECTORY_RUN"):
    _begin()
_make_way()
