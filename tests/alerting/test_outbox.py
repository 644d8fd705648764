"""Rules of what is sent: nothing is lost over restarts, nothing overtakes, a storm is a handful, and failures end somewhere."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tests.collector.builders import Clock, finding
from trajectory.alerting.alerts import alert_key
from trajectory.alerting.book import kept_alerts
from trajectory.alerting.channels.contract import Refused, Unsent
from trajectory.alerting.channels.mail import Options as MailOptions
from trajectory.alerting.channels.mail import mail_of
from trajectory.alerting.channels.pagerduty import event_of
from trajectory.alerting.channels.slack import body_of
from trajectory.alerting.channels.webhook import version_4
from trajectory.alerting.incidents import Incident
from trajectory.alerting.message import Message, message_json
from trajectory.alerting.outbox import MAX_TRIES, Outbox, dead_letters, standings
from trajectory.alerting.policy_file import parse_policy
from trajectory.alerting.state import State, incidents_in, read_state, state_of
from trajectory.collector.own import OWN_ID
from trajectory.errors import StoreError
from trajectory.messenger.courier import Courier, Failure, attempt
from trajectory.messenger.dispatch import Dispatch
from trajectory.model.fact import Batch, Fact, Finding, Found, Gap, Marked, Source
from trajectory.view.rows import Health
from trajectory.view.views import AlertsQuery

OWN = Source(OWN_ID, b"boot-of-a-test-1", {})
HOOK = '[channels.{}]\ntype = "webhook"\nurl = "http://127.0.0.1:9"\n'
POLICY = HOOK.format("ops") + "per_minute = 5\n"


class Frames:
    """A store of findings: each call of `add` is a frame."""

    def __init__(self) -> None:
        self.frames: list[list[Fact]] = []

    def add(self, *facts: Fact) -> None:
        self.frames.append(list(facts))

    def found(self, *found: Finding, at_ns: int) -> None:
        self.add(*(Found(at_ns, one) for one in found))

    def last_frame(self) -> int:
        return len(self.frames)

    def batches_of(self, emitter_id: bytes, after_frame: int, until_frame: int) -> Iterator[Batch]:
        return (Batch(OWN, 0, facts) for facts in self.frames[after_frame:until_frame])

    def facts(self, trace_id: bytes) -> Iterator[Batch]:
        yield Batch(Source(b"e" * 16, b"b" * 16, {"service.name": "svc"}), 0, [])


class Scripted:
    """A channel that does as scripted, then takes all. It is its own courier, without a thread."""

    def __init__(self, *script: Exception) -> None:
        self.got: list[Message] = []
        self.script = list(script)
        self.is_idle, self.since_s = True, 0.0
        self._done: list[tuple[object, Failure | None]] = []

    def send(self, message: Message) -> None:
        if self.script:
            raise self.script.pop(0)
        self.got.append(message)

    def give(self, letter: object) -> None:
        from trajectory.alerting.secret import Vault

        self._done.append((letter, attempt(self, letter, Vault())))  # type: ignore[arg-type]
        self.is_idle = False

    def done(self) -> tuple[object, Failure | None] | None:
        self.is_idle = True
        return self._done.pop() if self._done else None

    def said(self) -> list[tuple[str, str]]:
        return [(message.action, message.key) for message in self.got]


class Desk:
    """A store, a state and channels, driven by hand."""

    def __init__(self, folder: Path, text: str = POLICY, **channels: Scripted) -> None:
        self.clock, self.frames = Clock(), Frames()
        self.path = folder / "store.alerts"
        self.policy = parse_policy(text)
        self.channels = channels or {"ops": Scripted()}
        self.begin()

    def begin(self) -> None:
        self.state = State(self.path)
        couriers: dict[str, Courier] = dict(self.channels)  # type: ignore[arg-type]
        self.dispatch = Dispatch(
            self.frames, self.state, self.policy, couriers, self.clock, 0, Outbox(self.state, lambda: 1.0)
        )

    def again(self) -> None:
        """A restart after a kill: what was under way is forgotten."""
        self.state.close()
        for channel in self.channels.values():
            channel._done, channel.is_idle = [], True
        self.begin()

    def find(self, *found: Finding) -> None:
        self.frames.found(*found, at_ns=self.clock())
        self.run()

    def run(self, seconds: float = 0.0, steps: int = 20) -> None:
        self.clock.passes(seconds)
        for _ in range(steps):
            self.dispatch.step()

    def incidents(self) -> list[Incident]:
        return self.dispatch.incidents.all


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def many(count: int, each: int = 1) -> list[Finding]:
    """Findings in runs of their own, so many of each agent."""
    return [finding(n + 1, agent=f"agent-{n // each}", trace_id=n.to_bytes(16, "big")) for n in range(count)]


def test_an_incident_is_told_when_it_opens_and_when_it_is_over_under_one_key(folder: Path) -> None:
    desk = Desk(folder)
    desk.find(*(finding(n) for n in range(1, 9)))
    desk.run(3_600)
    ((opened, key), (closed, same)) = desk.channels["ops"].said()
    assert (opened, closed) == ("open", "close") and key == same
    ids = [message.id for message in desk.channels["ops"].got]
    assert len(set(ids)) == 2 and all(one.startswith(key) for one in ids)
    assert desk.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("policy", [POLICY, POLICY + "[[rule]]\ngroup_by = ['kind']\n"], ids=["apart", "grouped"])
def test_a_storm_of_ten_thousand_findings_makes_a_handful_of_messages_that_tell_of_all(
    folder: Path, policy: str
) -> None:
    desk = Desk(folder, policy)
    storm = many(10_000, each=5)
    for at in range(0, 10_000, 2_500):
        desk.frames.found(*storm[at : at + 2_500], at_ns=desk.clock())
        desk.run(steps=2)
    desk.run(30, steps=2)
    got = list(desk.channels["ops"].got)
    desk.run(61, steps=4)
    told = sum(1 + message.others for message in desk.channels["ops"].got)
    if "group_by" in policy:
        assert len(desk.channels["ops"].got) == 1 and desk.incidents()[0].count >= 4_096
    else:
        assert len(desk.channels["ops"].got) <= 3 and told == 2_000
        assert f"and {got[-1].others:,} more" in got[-1].line
    desk.run(7_200, steps=4)
    desk.run(61, steps=4)
    keys = {key for action, key in desk.channels["ops"].said() if action == "open"}
    assert {key for action, key in desk.channels["ops"].said() if action == "close"} == keys
    assert standings(desk.state.database)[0].waiting == 0


def test_after_a_kill_at_any_instant_everything_is_told_once_or_twice_by_the_same_id_and_in_order(folder: Path) -> None:
    desk = Desk(folder, POLICY.replace("5", "600"))
    ids: dict[str, int] = {}
    for number, one in enumerate(many(12)):
        desk.frames.found(one, at_ns=desk.clock())
        desk.dispatch.step()
        if number % 2:
            desk.again()
    desk.run(1)
    desk.again()
    desk.run(7_200)
    for message in desk.channels["ops"].got:
        ids[message.id] = ids.get(message.id, 0) + 1
    assert set(ids.values()) <= {1, 2} and len(ids) == 24
    by_key: dict[str, list[str]] = {}
    for action, key in desk.channels["ops"].said():
        by_key.setdefault(key, []).append(action)
    assert all(actions == sorted(actions, reverse=True) for actions in by_key.values())


def test_what_a_transaction_did_not_reach_is_looked_at_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(folder)
    monkeypatch.setattr(desk.state, "keep", lambda *_: (_ for _ in ()).throw(sqlite3.OperationalError("disk full")))
    with pytest.raises(StoreError):
        desk.find(finding(1))
    assert desk.channels["ops"].got == [] and desk.incidents() == []
    monkeypatch.undo()
    desk.run()
    assert len(desk.channels["ops"].got) == 1 and desk.incidents()[0].count == 1


def test_failures_rest_longer_and_longer_and_a_letter_that_is_never_taken_is_a_dead_one(folder: Path) -> None:
    desk = Desk(folder, ops=Scripted(*(Unsent("HTTP 500") for _ in range(MAX_TRIES + 5))))
    desk.find(finding(1))
    rests = []
    for _ in range(12):
        before = len(desk.channels["ops"].script)
        waited = 0
        while len(desk.channels["ops"].script) == before:
            desk.run(1, steps=3)
            waited += 1
        rests.append(waited)
    assert rests == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert "alerts to ops wait (1): HTTP 500, tried 13 times" in desk.dispatch.notices()[0]
    for _ in range(MAX_TRIES):
        desk.run(301, steps=3)
    assert dead_letters(desk.state.database)[0][0::3] == ("ops", "HTTP 500")
    assert any("were given up" in notice for notice in desk.dispatch.notices())


def test_a_message_that_is_refused_holds_up_no_other_and_one_that_asks_for_a_pause_gets_it(folder: Path) -> None:
    desk = Desk(folder, ops=Scripted(Refused("HTTP 400"), Unsent("HTTP 429", 90.0)))
    desk.find(*many(2))
    assert desk.channels["ops"].got == [] and len(dead_letters(desk.state.database)) == 1
    desk.run(89)
    assert desk.channels["ops"].got == []
    desk.run(1)
    assert len(desk.channels["ops"].got) == 1


def test_what_a_minute_has_no_room_for_waits_for_the_next_one(folder: Path) -> None:
    desk = Desk(folder, POLICY.replace("5", "1"))
    desk.find(finding(1, agent="a"))
    desk.find(finding(2, agent="b"))
    assert [message.agent for message in desk.channels["ops"].got] == ["a"]
    desk.run(61)
    assert [message.agent for message in desk.channels["ops"].got] == ["a", "b"]


def test_a_digest_of_what_is_over_by_now_is_told_to_be_over(folder: Path) -> None:
    desk = Desk(folder, POLICY.replace("5", "1"), ops=Scripted(Unsent("HTTP 429", 3_000.0)))
    first, *others = many(4)
    desk.find(first)
    desk.find(*others)
    desk.run(2_000)
    assert desk.incidents() == [] and desk.channels["ops"].got == []
    for _ in range(8):
        desk.run(301)
    said = desk.channels["ops"].said()
    opened = [key for action, key in said if action == "open"]
    assert sorted(said) == sorted([*(("open", key) for key in opened), *(("close", key) for key in opened)])
    assert sum(1 + message.others for message in desk.channels["ops"].got if message.action == "open") == 4
    assert standings(desk.state.database)[0].waiting == 0


def test_what_was_given_up_is_named_at_its_alert(folder: Path) -> None:
    desk = Desk(folder, ops=Scripted(Refused("HTTP 400")))
    desk.find(finding(1))
    view = kept_alerts(desk.path, AlertsQuery(), desk.clock(), Health())
    assert view is not None
    assert [(row.told, row.untold) for row in view.open] == [(["ops"], [("ops", "HTTP 400")])]


def test_a_service_is_known_again_after_it_was_forgotten_and_no_other_fact_is_a_finding(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trajectory.messenger.dispatch._MAX_SERVICES", 1)
    desk = Desk(folder)
    desk.frames.add(Gap(desk.clock(), 1, "queue_full"))  # said in the collector's name, by whoever
    desk.find(*many(2), *many(2))
    assert [(one.service, one.count) for one in desk.incidents()] == [("svc", 1)] * 2


def test_one_channel_in_trouble_holds_up_no_other(folder: Path) -> None:
    hung, dead, well = Scripted(), Scripted(*(Unsent("closed early") for _ in range(99))), Scripted()
    hung.done = lambda: None  # type: ignore[method-assign]
    text = "".join(HOOK.format(name) for name in ("hung", "dead", "well"))
    desk = Desk(folder, text, hung=hung, dead=dead, well=well)
    desk.find(*many(3))
    assert len(well.got) == 3 and len(hung.got) == 1 and dead.got == []
    hung.since_s = 999.0
    assert any("nothing has come back for 999 s" in notice for notice in desk.dispatch.notices())


def test_in_quiet_hours_only_critical_ones_are_told_and_the_others_behind_them(folder: Path) -> None:
    desk = Desk(folder, POLICY + '[[quiet]]\nfrom = "00:00"\nto = "23:59"\n')
    desk.clock.at_ns = 1_790_035_200_000_000_000 // 86_400_000_000_000 * 86_400_000_000_000 + 3_600_000_000_000
    desk.find(finding(1, "a", severity="warning"), finding(2, "b", severity="critical"))
    assert [message.kind for message in desk.channels["ops"].got] == ["b"]
    desk.run(23 * 3_600 - 30)
    assert ("open", "a") in [(message.action, message.kind) for message in desk.channels["ops"].got]


def test_severity_decides_who_is_told_and_what_is_muted_or_acknowledged_is_not_told_again(folder: Path) -> None:
    text = HOOK.format("pager") + HOOK.format("ops") + '[severity]\ncritical = ["pager"]\nwarning = ["ops"]\n'
    desk = Desk(folder, text, pager=Scripted(), ops=Scripted())
    known = finding(1, agent="a")
    desk.find(known, finding(2, agent="b", severity="warning"))
    assert [len(channel.got) for channel in desk.channels.values()] == [1, 1]
    desk.frames.add(Marked(known.trace_id, desk.clock(), alert_key(known), "acknowledge"))
    desk.find(finding(3, agent="a"))
    assert [message.action for message in desk.channels["pager"].got] == ["open", "acknowledge"]
    assert [one.shown_state(desk.clock()) for one in desk.incidents()] == ["acknowledged", "open"]


def test_no_secret_in_evidence_or_in_a_name_is_told_or_kept_also_not_of_what_was_given_up(folder: Path) -> None:
    secret = "sk-ant-api03-" + "Zm9vYmFyYmF6cXV4" * 6 + "AA"
    text = HOOK.format("dead") + HOOK.format("ops")
    desk = Desk(folder, text, dead=Scripted(Refused("HTTP 400")), ops=Scripted())
    desk.find(
        finding(1, message=f"it wrote {secret}", agent=f"agent {secret}", peer_agent=f"peer {secret}", value=secret)
    )
    (message,) = desk.channels["ops"].got
    assert "it wrote [" in message.text and "agent [" in message.agent and dead_letters(desk.state.database)
    bodies = [message_json(message), body_of(message), event_of(message, "key"), version_4(message)]
    options = msgspec.convert({"host": "x", "to": ["a@b"], "from": "a@b"}, MailOptions)
    every = [*map(str, bodies), mail_of(message, options).get_content()]
    assert all(secret[:20] not in said and message.link in said for said in every)
    assert not [path for path in folder.iterdir() if secret[:20].encode() in path.read_bytes()]


def test_a_clock_that_jumps_loses_nothing(folder: Path) -> None:
    desk = Desk(folder, ops=Scripted(Unsent("HTTP 500")))
    desk.clock.passes(365 * 86_400)
    desk.find(*many(2))
    desk.clock.passes(-365 * 86_400)
    desk.run(1)
    desk.run(1)
    assert len(desk.channels["ops"].got) == 2


def test_a_second_process_with_the_same_state_is_told_who_has_it_and_a_foreign_file_is_left_alone(folder: Path) -> None:
    desk = Desk(folder)
    with pytest.raises(
        StoreError, match=r"store.alerts is being written by process \d+: stop it \(kill \d+\), or name another state"
    ):
        State(desk.path)
    desk.find(finding(1))
    reading = read_state(desk.path)
    assert reading is not None
    with closing(reading):
        assert [one.count for one in incidents_in(reading, closed=False)] == [1]
    desk.state.close()
    other = folder / "other"
    with closing(sqlite3.connect(other)) as foreign:
        foreign.execute("CREATE TABLE mine (a)")
    (folder / "link").symlink_to(desk.path)
    with pytest.raises(StoreError, match=r"the state of alerts in .*link cannot be opened: "):
        State(folder / "link")
    newer = folder / "newer"
    State(newer).close()
    with closing(sqlite3.connect(newer)) as raw:
        raw.execute("PRAGMA user_version = 99")
    for opened in (State, read_state):
        with pytest.raises(StoreError, match="was written by a newer Trajectory: upgrade"):
            opened(newer)
    before = other.read_bytes()
    with pytest.raises(StoreError, match=r"is no state of alerts"):
        State(other)
    assert other.read_bytes() == before
    (folder / "damaged").write_bytes(b"no database at all " * 500)
    for opened in (State, read_state):
        with pytest.raises(StoreError, match=r"is no state of alerts.*move it away, and alerts begin anew"):
            opened(folder / "damaged")
    assert state_of(Path("/a/b.db")) == Path("/a/b.db.alerts")


def test_what_is_older_than_its_first_beginning_is_nobodys_concern(folder: Path) -> None:
    frames = Frames()
    frames.found(finding(1), at_ns=1)
    with closing(State(folder / "s")) as state:
        channel = Scripted()
        dispatch = Dispatch(frames, state, parse_policy(POLICY), {"ops": channel}, Clock(), 1)  # type: ignore[dict-item]
        for _ in range(3):
            dispatch.step()
        assert dispatch.incidents.all == [] and channel.got == []


def test_what_is_no_file_is_no_state_and_an_empty_one_stays_empty(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match="no regular file"):
        read_state(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    assert read_state(tmp_path / "empty") is None
    assert (tmp_path / "empty").stat().st_size == 0


def test_a_damaged_text_is_told_as_a_damaged_state(folder: Path) -> None:
    desk = Desk(folder)
    desk.find(finding(1))
    desk.state.close()
    with closing(sqlite3.connect(desk.path)) as raw:
        (body,) = raw.execute("SELECT body FROM incidents").fetchone()
        at = body.index(alert_key(finding(1)).encode())
        raw.execute("UPDATE incidents SET body = ?", (body[:at] + b"\xff" + body[at + 1 :],))
        raw.commit()
    reading = read_state(desk.path)
    assert reading is not None
    with closing(reading), pytest.raises(StoreError, match=r"is damaged.*alerts begin anew"):
        incidents_in(reading, closed=False)


class Slow(Scripted):
    """A channel that says nothing of a letter until it is let."""

    is_held = True

    def done(self) -> tuple[object, Failure | None] | None:
        return None if self.is_held else super().done()


def test_a_policy_that_changes_while_a_letter_is_under_way_sends_nothing_twice(folder: Path) -> None:
    slow, after = Slow(), Scripted()
    desk = Desk(folder, ops=slow)
    first, second = many(2)
    desk.find(first)
    assert desk.dispatch.is_waiting
    desk.dispatch.use(desk.policy, {"ops": after})  # type: ignore[dict-item]
    desk.find(second)
    assert after.got == []  # until it is known what became of the first
    slow.is_held = False
    desk.run()
    assert (len(slow.got), len(after.got)) == (1, 1) and slow.said() != after.said()
    assert not desk.dispatch.is_waiting


def test_alerts_for_a_channel_that_the_policy_no_longer_has_are_told_and_kept(folder: Path) -> None:
    slow, other = Slow(), Scripted()
    desk = Desk(folder, ops=slow)
    for one in many(2):
        desk.find(one)
    without = parse_policy(POLICY.replace("ops", "night"))
    desk.dispatch.use(without, {"night": other})  # type: ignore[dict-item]
    slow.is_held = False
    desk.run()
    assert desk.dispatch.notices() == ["1 alerts wait for ops, a channel that the policy no longer has"]
    desk.dispatch.use(desk.policy, {"ops": slow})  # type: ignore[dict-item]
    desk.run()
    assert len(slow.got) == 2 and desk.dispatch.notices() == []
