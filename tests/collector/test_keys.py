"""A collector with keys, over real sockets: who is let in, what each role may do, and how fast a wrong key is told."""

import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import zmq

from tests.collector.builders import SOURCE, TRACE, SaysOnEnd, finding, started, wait_for
from trajectory.collector.guard import Guard
from trajectory.collector.importing import WireDelivery
from trajectory.collector.keyring import Keyring
from trajectory.collector.own import OWN_ID
from trajectory.collector.remote import RemoteFeed
from trajectory.collector.server import Collector
from trajectory.emitter import credentials, link
from trajectory.emitter.delivery import WireDelivery as Sending
from trajectory.emitter.identity import identity_of
from trajectory.emitter.misuse import forget_reports
from trajectory.emitter.sender import Timing
from trajectory.errors import ConfigError, TrajectoryError, WireError
from trajectory.model.fact import Batch, Fact, Found, Marked
from trajectory.protocol.codec import decode_fact, encode, read_frame
from trajectory.protocol.frames import FACTS, PROTOCOL_VERSION
from trajectory.protocol.keys import VARIABLES, ClientKeys, client_keys, new_secret, public_of
from trajectory.view.feed import NotAdmitted
from trajectory.view.views import RunsQuery, RunsView

QUICK = Timing(gather_s=0.005, idle_s=0.01, beat_s=0.05, refused_s=0.1, farewell_s=0.1)
SOON_S = 5.0  # a fault of keys is told at once; only silence takes the whole patience of ten seconds


@pytest.fixture(autouse=True)
def _no_keys_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_reports()
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    made = Keyring(tmp_path / "keys")
    made.begin()
    return made


def key(keyring: Keyring, role: str, name: str = "") -> ClientKeys:
    """A new client's keys, as it reads them from the file that it was given."""
    keys = client_keys(str(keyring.add(name or role, role)))
    assert keys is not None
    return keys


@contextmanager
def serving(folder: Path, keyring: Keyring | None) -> Iterator[Collector]:
    collector = Collector(str(folder / "store"), [SaysOnEnd], "tcp://127.0.0.1:*", keyring)
    thread = threading.Thread(target=collector.run, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.stop()
        thread.join(20)
        assert not thread.is_alive()


def ask(endpoint: str, keys: ClientKeys | None) -> RunsView:
    feed = RemoteFeed(endpoint, timeout_s=10, keys=keys)
    try:
        view = feed.pull(RunsQuery(), -1)
    finally:
        feed.close()
    assert isinstance(view, RunsView)
    return view


def emit(endpoint: str, keys: ClientKeys | None) -> None:
    with WireDelivery(endpoint, keys) as delivery:
        delivery([Batch(SOURCE, 0, [started(1)])])


def told(fault: type[Exception], act: Callable[[], object]) -> str:
    """The one line with which something fails, soon."""
    began_s = time.monotonic()
    with pytest.raises(fault) as told:
        act()
    assert time.monotonic() - began_s < SOON_S
    assert "\n" not in str(told.value)
    return str(told.value)


def test_who_sends_after_a_refused_handshake_is_told_and_never_waits_for_good(tmp_path: Path, keyring: Keyring) -> None:
    with serving(tmp_path, keyring) as collector:
        for _ in range(3):
            _send_late(collector.endpoint)
            _ask_late(collector.endpoint)


def _send_late(endpoint: str) -> None:
    with WireDelivery(endpoint) as delivery:
        assert delivery._handshakes.monitor.poll(10_000), "the collector refused nobody"
        assert "asks for a key" in told(WireError, lambda: delivery([Batch(SOURCE, 0, [started(1)])]))


def _ask_late(endpoint: str) -> None:
    feed = RemoteFeed(endpoint, timeout_s=10)
    assert feed._connect()[1].monitor.poll(10_000), "the collector refused nobody"
    assert "asks for a key" in told(NotAdmitted, lambda: feed.pull(RunsQuery(), -1))
    feed.close()


def test_a_connection_that_is_refused_between_a_look_and_a_send_is_told_as_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise zmq.Again

    looked = {"pulls": iter([True]), "delivers": iter([True])}  # one could send, and by now one cannot
    monkeypatch.setattr(zmq.Socket, "send", gone)
    feed = RemoteFeed("tcp://127.0.0.1:9", timeout_s=10)
    _, handshakes = feed._connect()
    handshakes.wait = lambda left_s, events: next(looked["pulls"], False)
    handshakes.fault = lambda: "it asks for a key"
    assert told(NotAdmitted, lambda: feed.pull(RunsQuery(), -1)) == "it asks for a key"
    feed.close()
    with WireDelivery("tcp://127.0.0.1:9") as delivery:
        delivery._handshakes.wait = lambda left_s, events: next(looked["delivers"], False)
        delivery._handshakes.fault = lambda: "it asks for a key"
        assert told(WireError, lambda: delivery([Batch(SOURCE, 0, [started(1)])])) == "it asks for a key"


def test_an_emitters_key_writes_and_cannot_read(tmp_path: Path, keyring: Keyring) -> None:
    emitter = key(keyring, "emit")
    with serving(tmp_path, keyring) as collector:
        emit(collector.endpoint, emitter)
        assert "may emit and not read" in told(TrajectoryError, lambda: ask(collector.endpoint, emitter))
        feed = RemoteFeed(collector.endpoint, timeout_s=10, keys=emitter)
        assert "may emit and not read" in told(TrajectoryError, lambda: feed.mark("ab" * 16, "k", "mute"))
        feed.close()
        assert collector.pipeline.vitals.fact_count == 1


def test_a_watchers_key_reads_and_cannot_write(tmp_path: Path, keyring: Keyring) -> None:
    watcher = key(keyring, "watch")
    with serving(tmp_path, keyring) as collector:
        assert ask(collector.endpoint, watcher).rows == []
        assert "may watch and not emit" in told(WireError, lambda: emit(collector.endpoint, watcher))
        health = ask(collector.endpoint, watcher).health
        assert collector.pipeline.vitals.fact_count == 0 and health.quarantined_count == 0
        assert any("1 refused, the last: this key" in notice for notice in health.notices)


def test_an_admins_key_does_both(tmp_path: Path, keyring: Keyring) -> None:
    admin = key(keyring, "admin")
    with serving(tmp_path, keyring) as collector:
        emit(collector.endpoint, admin)
        wait_for(lambda: len(ask(collector.endpoint, admin).rows) == 1, lambda: None, "the run that was sent")


def test_the_collectors_own_process_is_let_in(tmp_path: Path, keyring: Keyring) -> None:
    with serving(tmp_path, keyring) as collector:
        own = collector.own_keys
        assert own is not None
        emit(collector.endpoint, own)
        wait_for(lambda: len(ask(collector.endpoint, own).rows) == 1, lambda: None, "the run that was sent")


def strangers(keyring: Keyring) -> dict[str, ClientKeys | None]:
    known = key(keyring, "admin", "known")
    return {
        "does not know this key": ClientKeys(new_secret(), known.server),
        "not the collector that this key is for": ClientKeys(known.secret, public_of(new_secret())),
        "asks for a key": None,
    }


def test_whoever_has_no_right_key_is_told_so_at_once_and_nothing_of_it_is_stored(
    tmp_path: Path, keyring: Keyring
) -> None:
    with serving(tmp_path, keyring) as collector:
        for said, keys in strangers(keyring).items():
            assert said in told(NotAdmitted, lambda keys=keys: ask(collector.endpoint, keys))
            assert said in told(WireError, lambda keys=keys: emit(collector.endpoint, keys))
        assert collector.pipeline.vitals.fact_count == 0
        assert "unknown key" in collector.pipeline.vitals.refusal


def test_a_key_for_a_collector_that_takes_none_is_told(tmp_path: Path, keyring: Keyring) -> None:
    keys = key(keyring, "admin")
    with serving(tmp_path, None) as collector:
        assert "takes no keys" in told(NotAdmitted, lambda: ask(collector.endpoint, keys))
        assert "takes no keys" in told(WireError, lambda: emit(collector.endpoint, keys))


def test_a_key_that_is_added_counts_at_once_and_a_revoked_one_on_open_connections_too(
    tmp_path: Path, keyring: Keyring
) -> None:
    with serving(tmp_path, keyring) as collector:
        watcher = key(keyring, "watch")
        feed = RemoteFeed(collector.endpoint, timeout_s=10, keys=watcher)
        assert feed.pull(RunsQuery(), -1) is not None
        keyring.revoke("watch")
        said: list[str] = []

        def pull() -> None:
            try:
                feed.pull(RunsQuery(), -1)
            except TrajectoryError as fault:
                said.append(str(fault))

        wait_for(lambda: bool(said), pull, "the revoked key still reads")
        assert "revoked" in said[0]
        feed.close()
        assert "does not know this key" in told(NotAdmitted, lambda: ask(collector.endpoint, watcher))
        assert ask(collector.endpoint, key(keyring, "watch")).rows == []


def test_a_collector_that_is_to_have_keys_does_not_begin_without(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="trajectory keys init"):
        Collector(str(tmp_path / "store"), [], "tcp://127.0.0.1:*", Keyring(tmp_path / "none"))


# --- the emitter -------------------------------------------------------------------------------------------------------


class Origin:
    """What a sender asks of its tracer."""

    def pulse(self) -> None:
        return None

    def now_ns(self) -> int:
        return 1

    def forget_sent(self) -> None:
        return None


@contextmanager
def sending(endpoint: str, key_file: Path) -> Iterator[Sending]:
    credentials.name_key(endpoint, str(key_file))
    delivery = Sending(lambda: identity_of("test", {}), endpoint, Origin(), QUICK)
    delivery.put((2, b"t" * 16, b"s" * 8, 1, 0))
    try:
        yield delivery
    finally:
        delivery.close(0.2)


def test_an_emitter_sends_with_the_key_that_was_named(tmp_path: Path, keyring: Keyring) -> None:
    path = keyring.add("agents", "emit")
    with serving(tmp_path, keyring) as collector, sending(collector.endpoint, path) as delivery:
        assert delivery.flush(10)


def test_an_emitter_with_a_wrong_key_says_so_once_keeps_its_facts_and_sends_when_the_key_is_right(
    tmp_path: Path, keyring: Keyring, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "REFUSED_S", 0.05)
    elsewhere = Keyring(tmp_path / "elsewhere")
    elsewhere.begin()
    path = elsewhere.add("agents", "emit")
    right = keyring.add("agents", "emit")
    with (
        caplog.at_level(logging.WARNING, "trajectory"),
        serving(tmp_path, keyring) as collector,
        sending(collector.endpoint, path) as delivery,
    ):
        wait_for(lambda: bool(caplog.records), lambda: delivery.flush(0.05), "nothing is said of the wrong key")
        assert not delivery.flush(0.2)
        assert [record.message for record in caplog.records if "key is for" in record.message]
        assert len(caplog.records) == 1
        path.write_bytes(right.read_bytes())
        assert delivery.flush(10)


def test_an_emitter_whose_key_file_is_missing_says_which_and_goes_on(
    tmp_path: Path, keyring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "late.key"
    with (
        caplog.at_level(logging.WARNING, "trajectory"),
        serving(tmp_path, keyring) as collector,
        sending(collector.endpoint, path) as delivery,
    ):
        wait_for(lambda: bool(caplog.records), lambda: delivery.flush(0.05), "nothing is said of the missing file")
        assert str(path) in caplog.records[0].message
        keyring.add("late", "emit").rename(path)
        assert delivery.flush(10)


# --- the keyring -------------------------------------------------------------------------------------------------------


def test_keys_are_for_their_owner_alone(keyring: Keyring) -> None:
    keyring.add("a.b-c_d", "emit")
    assert stat.S_IMODE(keyring.directory.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in keyring.directory.iterdir()}
    assert modes == dict.fromkeys(["server.key", "a.b-c_d.key", "a.b-c_d.pub"], 0o600)


@pytest.mark.parametrize("name", ["", ".", "../x", "a/b", "server", "-x", "x" * 65, "é", "a\nb"])
def test_a_name_is_never_a_path(keyring: Keyring, name: str) -> None:
    before = sorted(keyring.directory.parent.rglob("*"))
    for act in (lambda: keyring.add(name, "emit"), lambda: keyring.revoke(name), lambda: keyring.file_of(name)):
        with pytest.raises(ConfigError):
            act()
    assert sorted(keyring.directory.parent.rglob("*")) == before


def test_no_key_is_ever_overwritten(keyring: Keyring) -> None:
    keyring.add("one", "emit")
    before = {path: path.read_bytes() for path in keyring.directory.iterdir()}
    for act in (keyring.begin, lambda: keyring.add("one", "admin")):
        with pytest.raises(ConfigError):
            act()
    assert {path: path.read_bytes() for path in keyring.directory.iterdir()} == before


def test_a_key_whose_file_others_can_read_or_that_is_damaged_may_do_nothing(keyring: Keyring) -> None:
    for name in ("open", "damaged", "good"):
        keyring.add(name, "admin")
    (keyring.directory / "open.pub").chmod(0o644)
    (keyring.directory / "damaged.pub").write_text("ROLE=admin\nPUBLIC=12\n")
    assert {client.name: client.role for client in keyring.clients()} == {"open": "", "damaged": "", "good": "admin"}


@pytest.mark.parametrize("written", ["plain", "long array", "wide tag"])
@pytest.mark.parametrize("fact", [Found(1, finding()), Marked(TRACE, 1, "key", "mute")], ids=["finding", "mark"])
def test_who_may_emit_may_neither_mark_nor_judge(keyring: Keyring, fact: Fact, written: str) -> None:
    guard = Guard(keyring)
    packed = encode(fact)
    if written == "long array":  # the same in other words of msgpack
        packed = b"\xdc\x00" + bytes([packed[0] & 0x0F]) + packed[1:]
    elif written == "wide tag":
        packed = packed[:1] + b"\xcd\x00" + packed[1:]
    assert decode_fact(packed) == fact

    def said(keys: ClientKeys, *facts: bytes, by: bytes = b"e" * 16) -> str:
        frame = msgspec.msgpack.encode([PROTOCOL_VERSION, FACTS, by, b"b" * 16, 0, [msgspec.Raw(f) for f in facts]])
        return guard.refusal(public_of(keys.secret).hex(), read_frame(frame))

    harmless = encode(started(1))
    for role, may in (("emit", False), ("admin", True)):
        keys = key(keyring, role)
        guard._look()
        assert said(keys, harmless) == ""
        assert ("neither judge nor mark" not in said(keys, harmless, packed)) is may
        assert ("neither judge nor mark" not in said(keys, harmless, by=OWN_ID)) is may


def test_a_keyring_that_has_no_place_is_told_and_one_that_is_gone_lets_nobody_in(
    tmp_path: Path, keyring: Keyring
) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(ConfigError, match="cannot be made: Not a directory"):
        Keyring(tmp_path / "file" / "keys").begin()
    keyring.add("one", "emit")
    path = keyring.directory / "one.pub"
    path.write_text(path.read_text().replace("ROLE=emit", "ROLE=king"))
    assert [(client.name, client.role) for client in keyring.clients()] == [("one", "")]
    before_ns = keyring.changed_ns()
    keyring.directory.rename(tmp_path / "moved")
    assert before_ns and keyring.clients() == [] and keyring.changed_ns() == 0
    with pytest.raises(ConfigError):
        keyring.add("two", "emit")
    keyring.directory.mkdir()
    keyring.directory.joinpath(f".one.key.{os.getpid()}").mkdir()
    (tmp_path / "moved" / "server.key").rename(keyring.directory / "server.key")
    with pytest.raises(ConfigError, match=r"one\.key cannot be written: File exists"):
        keyring.add("one", "emit")


def test_a_guard_that_never_listened_is_closed_like_any(keyring: Keyring) -> None:
    guard = Guard(keyring)
    guard.close()
    assert guard.let_in() == []
