"""A collector and its receiver's process, real sockets on free ports, shared by the tests of a module."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.receiver.room import Room
from trajectory.collector.server import Collector
from trajectory.receiver.beside import ReceiverProcess, Settings


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    store = Path(tmp_path_factory.mktemp("receiver")) / "store"
    collector = Collector(str(store), (), "tcp://127.0.0.1:*")
    thread = threading.Thread(target=collector.run, daemon=True)
    thread.start()
    receiver = ReceiverProcess(Settings(collector.endpoint, "127.0.0.1:0", "127.0.0.1:0"))
    try:
        yield Room(collector, receiver)
    finally:
        receiver.close()
        collector.stop()
        thread.join(30)
