"""What several tests of the dashboard are given: a disk on which nothing more can be written."""

from collections.abc import Iterator

import pytest


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file grows by a byte while a test runs; new ones can be made."""
    resource = pytest.importorskip("resource")
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))
