"""`trajectory follow` against a real collector: what a coding agent writes is in its store, live, once."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cli.terminal import free_endpoint, serving, trajectory, until
from tests.dialects.coding_build import Claude, Clock, shop, text, use
from tests.dialects.test_codex import counted, spawned
from trajectory.cli.follow import Follower, _endpoint, _newest
from trajectory.cli.follow_way import Bell, Way
from trajectory.cli.session_logs import logs_under, session_of, sub_agents_of
from trajectory.cli.tailing import Tail
from trajectory.collector.keyring import Keyring
from trajectory.errors import ConfigError, WireError
from trajectory.model.fact import Batch, Fact, SpanStarted
from trajectory.store.lock import WriterLock


class Following:
    """A follower that runs, and what it has said by now."""

    def __init__(self, process: "subprocess.Popen[str]", said: Path) -> None:
        self.process = process
        self._said = said

    def said(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._said.read_text().splitlines()]

    def wait_for(self, event: str, count: int = 1) -> None:
        until(lambda: sum(line["event"] == event for line in self.said()) >= count, lambda: str(self.said()))


@contextmanager
def following(tmp_path: Path, endpoint: str, *words: str | Path) -> Iterator[Following]:
    said = tmp_path / f"said-{time.monotonic_ns()}"
    environment = {"CLAUDE_CONFIG_DIR": str(tmp_path / "claude"), "CODEX_HOME": str(tmp_path / "codex")}
    with said.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "trajectory", "follow", *map(str, words), "--connect", endpoint, "--json"],
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, text=True, env=os.environ | environment,
        )  # fmt: skip
    try:
        yield Following(process, said)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert "Traceback" not in err, err
    assert process.returncode == 0


def shown(store: Path, prefix: str = "") -> dict[str, Any]:
    (trace,) = trajectory("show", prefix, "--store", store, "--json").json_lines()
    return trace


def rows(store: Path) -> list[dict[str, Any]]:
    done = trajectory("traces", "--store", store, "--json")
    return done.json_lines() if done.code == 0 else []


def project(tmp_path: Path) -> Path:
    folder = tmp_path / "claude" / "projects" / "-home-me-shop"
    folder.mkdir(parents=True)
    return folder


def append(path: Path, lines: list[dict[str, Any]], *, cut: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    with path.open("ab") as file:
        file.write(data[: len(data) - cut])


def test_a_session_is_seen_while_it_is_written_with_a_sub_agents_file_that_appears(tmp_path: Path) -> None:
    store, endpoint, log = tmp_path / "s.db", free_endpoint(), project(tmp_path) / "s-1.jsonl"
    main, sub = shop()
    asked = next(i for i, line in enumerate(main.lines) if "Task" in json.dumps(line)) + 1
    with (
        serving(store, endpoint, "--otlp-http", "off", "--otlp-grpc", "off"),
        following(tmp_path, endpoint) as follower,
    ):
        append(log, main.lines[:4])
        follower.wait_for("live")
        until(lambda: [row for row in rows(store) if row["state"] == "live"])
        append(log, main.lines[4:asked])
        append(log.with_suffix("") / "subagents" / "agent-a1.jsonl", sub.lines, cut=30)
        follower.wait_for("following", 2)
        until(lambda: len(shown(store)["agents"]) == 2)
        trace = shown(store)
        assert trace["status"] == "live"  # though what it logs is long ago: the follower says that it goes on
        assert [d["grade"] for d in trace["delegations"]] == ["inferred"]
        with (log.with_suffix("") / "subagents" / "agent-a1.jsonl").open("ab") as file:
            file.write((json.dumps(sub.lines[-1]) + "\n").encode()[-30:])
        append(log, main.lines[asked:])
        until(lambda: shown(store)["status"] != "live")
        follower.process.send_signal(signal.SIGINT)
        assert follower.process.wait(20) == 0
    trace = shown(store)
    assert [d["grade"] for d in trace["delegations"]] == ["observed"]
    assert (trace["session_id"], trace["model_calls"], trace["input_tokens"]) == ("s-1", 5, 3926)


def test_following_after_an_import_and_again_doubles_nothing(tmp_path: Path) -> None:
    store, endpoint, log = tmp_path / "s.db", free_endpoint(), project(tmp_path) / "s-1.jsonl"
    main, sub = shop()
    append(log, main.lines)
    append(log.with_suffix("") / "subagents" / "agent-a1.jsonl", sub.lines)
    assert trajectory("import", log, "--store", store).code == 0
    before = shown(store)
    with serving(store, endpoint, "--otlp-http", "off", "--otlp-grpc", "off"):
        for _ in range(2):
            with following(tmp_path, endpoint, log) as follower:
                follower.wait_for("live")
    assert shown(store) == before
    assert len(rows(store)) == 1


def test_a_log_that_is_replaced_or_cut_is_read_anew(tmp_path: Path) -> None:
    store, endpoint, log = tmp_path / "s.db", free_endpoint(), project(tmp_path) / "s-1.jsonl"
    main, _ = shop()
    append(log, main.lines)
    with (
        serving(store, endpoint, "--otlp-http", "off", "--otlp-grpc", "off"),
        following(tmp_path, endpoint) as follower,
    ):
        follower.wait_for("live")
        other = Claude("s-2", clock=Clock(500))
        other.prompt("Something else")
        other.answer("z1", text("Yes."), stop="end_turn")
        log.write_bytes(other.text())
        follower.wait_for("restarted")
        follower.wait_for("trace")
        until(lambda: len(rows(store)) == 2)
    assert {row["title"] for row in rows(store)} == {"Something else", "Fix the price test. At most 3 files."}


def test_a_collector_that_comes_late_gets_everything(tmp_path: Path) -> None:
    store, endpoint, log = tmp_path / "s.db", free_endpoint(), project(tmp_path) / "s-1.jsonl"
    append(log, shop()[0].lines)
    with following(tmp_path, endpoint) as follower:
        follower.wait_for("following")
        with serving(store, endpoint, "--otlp-http", "off", "--otlp-grpc", "off"):
            follower.wait_for("live")
            assert len(rows(store)) == 1


def test_rollouts_of_codex_are_followed_with_the_threads_that_they_begin(tmp_path: Path) -> None:
    store, endpoint = tmp_path / "s.db", free_endpoint()
    day = tmp_path / "codex" / "sessions" / "2026" / "03" / "01"
    log, child = spawned()
    with (
        serving(store, endpoint, "--otlp-http", "off", "--otlp-grpc", "off"),
        following(tmp_path, endpoint) as follower,
    ):
        append(day / "rollout-2026-03-01T09-00-00-t-1.jsonl", log.lines)
        append(day / "rollout-2026-03-01T09-00-09-t-2.jsonl", child.lines)
        follower.wait_for("live")
        until(lambda: rows(store) and len(shown(store)["agents"]) == 2)
    assert [(d["source"], d["target"], d["grade"]) for d in shown(store)["delegations"]] == [
        ("Codex", "explorer", "observed")
    ]


def test_what_cannot_be_followed_is_said_in_a_line(tmp_path: Path) -> None:
    for words in (("follow", tmp_path / "absent.jsonl"), ("follow", "--store", tmp_path / "absent.db")):
        done = trajectory(*words)
        assert (done.code, len(done.err.strip().splitlines())) == (2, 1), done.err


class NoWay:
    """Nothing is sent on it."""

    is_free = is_empty = True
    stored_count = 0

    def hear(self) -> str:
        return ""


class Waits:
    """A bell that is rung for the end after so many waits, none of which takes time."""

    def __init__(self, count: int) -> None:
        self.seconds: list[float] = []
        self._count = count

    def wait(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return len(self.seconds) > self._count


class FullWay(NoWay):
    """As much is under way as may be, and nobody answers."""

    is_free = is_empty = False


def waits_of(path: Path, way: NoWay | None = None) -> list[float]:
    bell = Waits(5)
    Follower([path], way or NoWay(), is_json=False).run(bell)  # type: ignore[arg-type]
    return bell.seconds


def test_who_has_nothing_to_follow_waits_as_long_as_who_has_read_everything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    append(tmp_path / "notes.jsonl", [{"text": "no session log"}])
    assert waits_of(tmp_path / "folder")[1:] == waits_of(tmp_path / "notes.jsonl")[1:] == [0.25] * 5
    of_folder, of_file = capsys.readouterr().err.splitlines()
    assert of_folder.startswith(f"nothing is being written under {tmp_path / 'folder'}")
    assert of_file.startswith(f"{tmp_path / 'notes.jsonl'} is in no known format of session logs")


def test_who_may_send_no_more_waits_for_an_answer_and_reads_nothing(tmp_path: Path) -> None:
    append(tmp_path / "s-1.jsonl", shop()[0].lines)
    assert waits_of(tmp_path / "s-1.jsonl", FullWay())[1:] == [1.0] * 5


def test_a_bell_ends_a_wait_whenever_it_was_rung() -> None:
    bell = Bell()
    bell.ring()
    assert bell.wait(60) is False
    bell.end()
    bell.ring()
    assert bell.wait(60) is True
    assert bell.wait(0) is True


def test_a_tail_gives_each_byte_once_and_says_when_it_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tail = Tail(path)
    assert tail.read() == b"" and not tail.restarted
    path.write_bytes(b"one\n")
    assert (tail.read(), tail.read()) == (b"one\n", b"")
    with path.open("ab") as file:
        file.write(b"two\n")
    assert tail.read() == b"two\n" and not tail.restarted
    path.write_bytes(b"x\n")
    assert tail.read() == b"x\n" and tail.restarted
    (tmp_path / "new").write_bytes(b"longer than what was there\n")
    (tmp_path / "new").rename(path)
    assert tail.read() == b"longer than what was there\n" and tail.restarted
    path.unlink()
    assert tail.read() == b""


def test_a_log_that_grew_beyond_where_it_was_while_it_was_rewritten_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"first line\n")
    tail = Tail(path)
    tail.read()
    path.write_bytes(b"another line, and a longer one\n")
    assert tail.read().startswith(b"another") and tail.restarted


def test_of_too_many_logs_the_newest_are_followed_in_their_order(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("b", "a", "c")]
    for age_s, path in enumerate(paths):
        path.write_text("x")
        os.utime(path, (1000 - age_s, 1000 - age_s))
    assert _newest([*paths, tmp_path / "absent"], 2) == paths[:2]


def test_files_of_one_session_are_found_from_each_other(tmp_path: Path) -> None:
    folder = project(tmp_path)
    main, sub = shop()
    append(folder / "s-1.jsonl", main.lines)
    append(folder / "s-1" / "subagents" / "agent-a1.jsonl", sub.lines)
    append(folder / "agent-b1.jsonl", sub.lines)  # where versions before put them
    append(folder / "agent-c1.jsonl", Claude("s-9", "c1").lines or [{"type": "user", "sessionId": "s-9", "uuid": "x"}])
    assert sub_agents_of(folder / "s-1.jsonl") == [
        folder / "agent-b1.jsonl",
        folder / "s-1" / "subagents" / "agent-a1.jsonl",
    ]
    for log in sub_agents_of(folder / "s-1.jsonl"):
        assert session_of(log) == folder / "s-1.jsonl"
    assert len(logs_under(tmp_path / "claude" / "projects", 0.0)) == 4
    assert logs_under(tmp_path / "claude" / "projects", time.time() + 1000) == []
    assert logs_under(tmp_path / "absent", 0.0) == []


def test_a_link_that_leads_nowhere_hides_no_log_beside_it(tmp_path: Path) -> None:
    folder = project(tmp_path)
    append(folder / "s-1.jsonl", shop()[0].lines)
    for place, ending in ((folder, ".jsonl"), (folder.parent, "")):
        (place / f"gone{ending}").symlink_to(tmp_path / "absent")
        (place / f"circle{ending}").symlink_to(place / f"circle{ending}")
    assert logs_under(tmp_path / "claude" / "projects", 0.0) == [folder / "s-1.jsonl"]


def test_a_log_that_goes_while_its_folder_is_looked_at_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, scandir = project(tmp_path), os.scandir
    append(folder / "s-1.jsonl", shop()[0].lines)

    @contextmanager
    def then_gone(path: Path) -> Iterator[Iterator["os.DirEntry[str]"]]:
        (folder / "s-2.jsonl").write_text("{}")
        with scandir(path) as entries:
            found = list(entries)
        (folder / "s-2.jsonl").unlink()
        yield iter(found)

    monkeypatch.setattr(os, "scandir", then_gone)
    assert logs_under(folder, 0.0) == [folder / "s-1.jsonl"]


@pytest.mark.parametrize("named", ["session", "sub-agent", "both"])
def test_import_reads_a_session_whole_whichever_of_its_files_is_named(tmp_path: Path, named: str) -> None:
    folder = project(tmp_path)
    main, sub = shop()
    files = {"session": folder / "s-1.jsonl", "sub-agent": folder / "s-1" / "subagents" / "agent-a1.jsonl"}
    append(files["session"], main.lines)
    append(files["sub-agent"], sub.lines)
    chosen = list(files.values()) if named == "both" else [files[named]]
    assert trajectory("import", *chosen, "--store", tmp_path / "s.db").code == 0
    assert (len(rows(tmp_path / "s.db")), len(shown(tmp_path / "s.db")["agents"])) == (1, 2)


def test_import_reads_a_rollout_with_the_threads_that_it_began(tmp_path: Path) -> None:
    log, child = spawned()
    append(tmp_path / "rollout-x-t-1.jsonl", log.lines)
    append(tmp_path / "rollout-x-t-2.jsonl", child.lines)
    append(tmp_path / "rollout-x-t-3.jsonl", counted().lines)
    append(tmp_path / "notes.jsonl", [{"text": "no rollout"}])
    assert trajectory("import", tmp_path / "rollout-x-t-2.jsonl", "--store", tmp_path / "s.db").code == 0
    assert [agent["name"] for agent in shown(tmp_path / "s.db")["agents"]] == ["Codex", "explorer"]


def test_text_of_an_agent_reaches_no_terminal_uncleaned(tmp_path: Path) -> None:
    log = Claude()
    log.prompt("\x1b]0;owned\x07\x1b[2J Fix")
    log.answer("m1", text("\x1b[31mred"), use("c1", "\x1b[5mBash", command="\x1b[2J"), stop="tool_use")
    log.result("c1", "\x1b[2Jdone")
    append(tmp_path / "s.jsonl", log.lines)
    assert trajectory("import", tmp_path / "s.jsonl", "--store", tmp_path / "s.db").code == 0
    for words in (("traces",), ("show", "")):
        assert "\x1b" not in trajectory(*words, "--store", tmp_path / "s.db").out


class Refusing(NoWay):
    """Everything is refused."""

    def hear(self) -> str:
        return "the collector has no room"


def test_what_a_collector_refuses_is_read_again_and_in_the_end_given_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(WireError, match="the collector has no room"):
        waits_of(tmp_path / "folder", Refusing())
    assert capsys.readouterr().err.splitlines().count("the collector has no room; beginning anew") == 2


class Keeping(NoWay):
    """Keeps what is sent on it."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    def send(self, batches: list[Batch]) -> None:
        self.facts += [fact for batch in batches for fact in batch.facts]

    def agents(self) -> set[str]:
        return {fact.agent for fact in self.facts if isinstance(fact, SpanStarted)} - {""}


def test_a_sub_agent_whose_call_does_not_show_up_is_told_of_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main, sub = shop()
    log = project(tmp_path) / "s-1.jsonl"
    append(log, main.lines[:2])
    append(log.with_suffix("") / "subagents" / "agent-a1.jsonl", sub.lines)
    told = []
    for held_s in (1e9, -1.0):
        monkeypatch.setattr("trajectory.cli.follow._HELD_S", held_s)
        way = Keeping()
        waits_of(log, way)
        told.append(len(way.agents()))
    assert told[1] == told[0] + 1


def test_of_too_many_logs_those_that_nobody_writes_are_let_go_and_read_anew_when_somebody_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("trajectory.cli.follow._MAX_FILES", 1)
    paths = [tmp_path / name for name in ("a.jsonl", "b.jsonl")]
    for number, path in enumerate(paths):
        log = Claude(f"s-{number}")
        log.prompt(f"Do {number}")
        append(path, log.lines)
    os.utime(paths[1], (1, 1))
    follower = Follower([tmp_path], Keeping(), is_json=True)  # type: ignore[arg-type]

    def follow() -> list[str]:
        follower._looked_s = 0.0
        follower.run(Waits(2))  # type: ignore[arg-type]
        said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return [Path(line["path"]).name for line in said if line["event"] == "following"]

    assert follow() == ["a.jsonl"]
    os.utime(paths[0], (1, 1))
    assert follow() == []  # it is not looked at while there is room
    os.utime(paths[1])
    assert follow() == ["b.jsonl"]
    os.utime(paths[1], (1, 1))
    follow()
    os.utime(paths[0])
    assert follow() == ["a.jsonl"]


def test_a_collector_that_does_not_answer_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("trajectory.cli.follow_way._SILENCE_S", -1.0)
    answers: list[Callable[[str], None]] = []
    carrier = SimpleNamespace(bring=lambda batches, answer: answers.append(answer))
    way = Way(carrier, "tcp://there:5570", lambda: None)  # type: ignore[arg-type]
    way.send([])
    assert (way.hear(), way.hear()) == ("", "")
    said = "no collector answers at tcp://there:5570: waiting for one (trajectory serve)\n"
    assert capsys.readouterr().err == said
    answers[0]("no room")
    assert way.hear() == "no room" and way.is_empty and capsys.readouterr().err == ""


def test_the_collector_of_a_store_is_found_by_the_store(tmp_path: Path) -> None:
    asked, lock = (
        argparse.Namespace(store=str(tmp_path / "s.db"), connect=None),
        WriterLock(tmp_path / "s.db", "tcp://127.0.0.1:*"),
    )
    with pytest.raises(ConfigError, match="chose its port itself: name what it said with --connect"):
        _endpoint(asked)
    lock.served_at("tcp://127.0.0.1:5999")
    assert _endpoint(asked) == "tcp://127.0.0.1:5999"
    lock.release()


def test_a_collector_with_keys_is_followed_into_with_one(tmp_path: Path) -> None:
    store, endpoint, log = tmp_path / "s.db", free_endpoint(), project(tmp_path) / "s-1.jsonl"
    keys = Keyring(tmp_path / "keys")
    keys.begin()
    keys.add("me", "emit")
    append(log, shop()[0].lines)
    with serving(store, endpoint, "--keys", str(keys.directory), "--otlp-http", "off", "--otlp-grpc", "off"):
        with following(tmp_path, endpoint, log, "--key", keys.directory / "me.key") as follower:
            follower.wait_for("live")
        assert len(rows(store)) == 1


def test_a_folder_has_no_bytes_to_follow(tmp_path: Path) -> None:
    assert Tail(tmp_path).read() == b""
