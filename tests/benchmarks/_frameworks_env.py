"""An environment of its own for each framework, kept between runs: these packages are large, and none of them is ours.

Invariant: an environment is used only if it was installed to its end, for the very packages that are asked for. It lies in the
folder that TRAJECTORY_BENCH_ENVIRONMENTS names, else in the user's cache; delete it to begin anew. Used by `frameworks`.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks import AbsentError

_INSTALL_S = float(os.environ.get("TRAJECTORY_BENCH_INSTALL_S", "600"))
_ALWAYS = ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")


def environments() -> Path:
    """The folder of all of them."""
    given = os.environ.get("TRAJECTORY_BENCH_ENVIRONMENTS")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given else cache / "trajectory-benchmarks" / "environments"


def environment(name: str, packages: tuple[str, ...]) -> tuple[str, float]:
    """The Python of the environment with these packages, and the seconds that installing took; 0 where it was there.

    Raises AbsentError where they cannot be had within TRAJECTORY_BENCH_INSTALL_S (600 s).
    """
    wanted = (*packages, *_ALWAYS)  # in this order: pip then gives way with what only we want
    mark = hashlib.sha256("\n".join((sys.version, *sorted(wanted))).encode()).hexdigest()[:12]
    room = environments() / f"{name}-{mark}"
    python, done = str(room / "bin" / "python"), room / "installed"
    if done.exists():
        return python, 0.0
    began_s = time.monotonic()
    shutil.rmtree(room, ignore_errors=True)
    room.parent.mkdir(parents=True, exist_ok=True)
    try:
        _run([sys.executable, "-m", "venv", str(room)], began_s)
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        _run([*install, "--cache-dir", str(environments() / "pip-cache"), *wanted], began_s)
    except subprocess.TimeoutExpired:
        raise AbsentError(f"{name} could not be installed within {_INSTALL_S:.0f} s") from None
    except subprocess.CalledProcessError as fault:
        raise AbsentError(f"{name} could not be installed: {fault.stderr.strip()[-300:]}") from None
    done.touch()
    return python, time.monotonic() - began_s


def versions(python: str, *packages: str) -> str:
    """`name version` of these packages in an environment, the first ones in front."""
    asked = "import importlib.metadata as m, sys; print(', '.join(f'{p} {m.version(p)}' for p in sys.argv[1:]))"
    names = [package.partition("[")[0] for package in packages]
    ended = subprocess.run([python, "-c", asked, *names], capture_output=True, text=True, timeout=60)
    return ended.stdout.strip() or ", ".join(names)


def _run(command: list[str], began_s: float) -> None:
    left_s = max(1.0, _INSTALL_S - (time.monotonic() - began_s))
    subprocess.run(command, capture_output=True, text=True, timeout=left_s, check=True)
