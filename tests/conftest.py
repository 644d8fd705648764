"""What holds for every test: no process that it starts leaves facts in the spool of whoever runs the tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="session")
def _spool_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("spool")
    before = os.environ.get("TRAJECTORY_SPOOL_DIR")
    os.environ["TRAJECTORY_SPOOL_DIR"] = str(directory)
    yield directory
    if before is None:
        del os.environ["TRAJECTORY_SPOOL_DIR"]
    else:
        os.environ["TRAJECTORY_SPOOL_DIR"] = before
