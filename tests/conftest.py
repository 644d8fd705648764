"""What holds for every test: no process that it starts uses the spool, the settings or the OTLP ports of whoever runs the tests,
each reads the bytecode that another has written, no example of Hypothesis has to be quick, and what was loaded for all of them
is not searched for garbage again and again."""

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

from tests.recorded import write_store

# Hundreds of processes start here, and compiling is half of what a start costs.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
set_hypothesis_home_dir(
    Path(__file__).parents[1] / ".pytest_cache" / "hypothesis"
)  # and no folder of its own beside the code
# How fast something is, benchmarks measure; what strangers send is fuzzed for half an hour a mouth, apart from this.
settings.register_profile("trajectory", deadline=None, max_examples=50)
settings.load_profile("trajectory")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: some tests wait for other processes, and meanwhile another has its turn."""
    return (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) + 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Each worker first loads the tests beginning elsewhere: what one has compiled the others read, and all are ready sooner."""
    worker = getattr(session.config, "workerinput", None)
    if worker is None or session.config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    names = sorted(".".join(path.with_suffix("").parts) for path in _modules_of_tests())
    begin = int(worker["workerid"].removeprefix("gw")) * len(names) // worker["workercount"]
    for name in names[begin:] + names[:begin]:
        with contextlib.suppress(Exception, pytest.skip.Exception):  # pytest loads it once more, and tells
            importlib.import_module(name)


def _modules_of_tests() -> Iterator[Path]:
    here = Path(__file__).parents[1]
    return (path.relative_to(here) for path in here.glob("tests/**/test_*.py"))


def pytest_collection_finish() -> None:
    """Each full look for garbage would go through all modules and tests that are loaded: a fifth of a test's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


@pytest.fixture(autouse=True, scope="session")
def _places_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("spool")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAJECTORY_SPOOL_DIR", str(directory))
        patch.setenv("XDG_CONFIG_HOME", str(directory))
        patch.setenv("XDG_STATE_HOME", str(directory))
        patch.setenv("TRAJECTORY_OTLP_HTTP", "off")
        patch.setenv("TRAJECTORY_OTLP_GRPC", "off")
        yield directory


@pytest.fixture(scope="session")
def recorded_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the demo and four small runs, for whoever only looks."""
    return write_store(tmp_path_factory.mktemp("recorded") / "recorded.db")
