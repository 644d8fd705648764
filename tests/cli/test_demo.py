"""The main job, end to end over real processes: the demo's story is found, and a killed collector loses nothing."""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.alerting.servers import http_server
from tests.cli.terminal import free_endpoint, serving, trajectory
from tests.cli.test_leaving import Window
from tests.demo.truth import truth
from tests.tui.pilots import driving
from trajectory.cli import main
from trajectory.cli.demo import _report_of, _settled, collector_process
from trajectory.collector.store_feed import StoreFeed
from trajectory.store.lock import writer_of
from trajectory.store.sqlite import open_reader

QUIET = ("--otlp-http", "off", "--otlp-grpc", "off")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "demo.db"
    done = trajectory("demo", "--headless", "--seed", "7", "--store", path)
    assert done.code == 0, done.err
    assert "cascade" in done.out
    return path


def test_the_demo_is_stored_as_it_happened(store: Path) -> None:
    (trace,) = trajectory("show", "", "--store", store, "--json").json_lines()
    told = truth(7)
    calls = {(d.source, d.target, d.mode): d.count for d in told.delegations}
    assert {(d["source"], d["target"], d["mode"]): d["count"] for d in trace["delegations"]} == calls
    assert {d["grade"] for d in trace["delegations"]} == {"observed"}
    assert {a["name"]: a["model_calls"] for a in trace["agents"]} == told.model_calls
    assert {t["name"]: (t["calls"], t["errors"]) for t in trace["tools"]} == told.tools


def test_the_findings_name_the_true_root_the_path_and_what_was_lost(store: Path) -> None:
    told = truth(7)
    (trace,) = trajectory("show", "", "--store", store, "--json").json_lines()
    spans = {span["span_id"]: span for span in trace["spans"]}
    found = trajectory("findings", "--store", store, "--json").json_lines()

    (cascade,) = [f for f in found if f["kind"] == "cascade"]
    assert (cascade["severity"], cascade["agent"]) == ("critical", told.root_agent)
    root = spans[cascade["root_span_id"]]
    assert (root["name"], root["agent"], root["status"]) == (told.root_tool, f"{told.root_agent}#2", "ok")
    agents = [spans[span_id]["agent"].partition("#")[0] for span_id in cascade["path"]]
    assert tuple(dict.fromkeys(agents)) == told.path
    assert cascade["path"][0] == cascade["root_span_id"]

    (silent,) = [f for f in found if f["kind"] == "tool.silent_failure" and f["severity"] != "info"]
    assert silent["span_id"] == cascade["root_span_id"]

    lost = [f for f in found if f["kind"] == "context.lost" and f["severity"] != "info"]
    between = {(f["peer_agent"], f["agent"]) for f in lost}
    assert between == {told.lost_between}
    assert all(any(words in f["value"] for f in lost) for words in told.lost)
    assert all(evidence["span_id"] in spans for f in found for evidence in f["evidence"])


@pytest.mark.parametrize("is_unicode", [True, False])
def test_the_last_line_under_signs_says_what_each_means_and_json_has_none(
    store: Path, is_unicode: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("output", "show"):
        monkeypatch.setattr(f"trajectory.cli.{module}.has_unicode", lambda: is_unicode)
    severities = "▲ critical  △ warning" if is_unicode else "! critical  ? warning"
    kinds = "▸ agent  █ model  ▓ tool  ⇢ delegation" if is_unicode else "> agent  # model  = tool  ~ delegation"
    for words, signs in (
        (["findings"], severities),
        (["findings", "--kind", "cascade"], severities.partition("  ")[0]),
        (["show", ""], f"{severities}  {kinds}"),
    ):
        assert main([*words, "--store", str(store)]) == 0
        shown = capsys.readouterr().out.splitlines()
        assert shown[-1] == f"signs: {signs}" and sum(line.startswith("signs:") for line in shown) == 1
        assert main([*words, "--store", str(store), "--json"]) == 0
        assert "signs:" not in capsys.readouterr().out
    assert main(["findings", "--kind", "none", "--store", str(store)]) == 0
    assert not capsys.readouterr().out


async def test_the_agent_that_failed_shows_on_its_page_what_it_was_not_told_and_the_page_that_was_none(
    store: Path,
) -> None:
    told = truth(7)
    feed = StoreFeed(open_reader(store), str(store))
    async with driving(feed, size=(120, 36)) as driver:
        await driver.press("enter", "colon", *told.root_agent, "number_sign", "2", "enter")
        await driver.beat(2)
        assert driver.where == "agent"
        shown = driver.text
        assert all(words in shown for words in ("3 of 5 items", "lost", "EUR", "fiscal"))
        page = next(line for line in shown.splitlines() if told.root_tool in line and "503" in line)
        silent = next(a for a in driver.app.screen.view.alerts if a.kind == "tool.silent_failure")  # type: ignore[attr-defined]
        assert "◆" in page and silent.alert_id in page
    feed.close()


def test_another_seed_tells_the_same_story_with_other_figures_and_people_where_they_ask_for_it(tmp_path: Path) -> None:
    policy = tmp_path / "alerts.toml"
    with http_server() as seen:
        policy.write_text(f'[channels.ops]\ntype = "webhook"\nurl = "{seen.url}"\n')
        done = trajectory("demo", "--json", "--seed", "3", "--store", tmp_path / "s.db", "--alerts", policy)
        last = {got.json["kind"]: got.json for got in seen.got}
    assert last["cascade"]["severity"] == "critical" and {"context.lost", "tool.silent_failure"} <= set(last)
    assert f"alerts to ops: {len(seen.got)} messages" in done.err
    refused = trajectory("demo", "--connect", "tcp://127.0.0.1:9", "--alerts", policy)
    assert refused.code == 2 and "--alerts goes without --connect" in refused.err
    (trace,) = done.json_lines()
    told = truth(3)
    (cascade,) = [f for f in trace["findings"] if f["kind"] == "cascade"]
    assert cascade["agent"] == told.root_agent
    assert told.wrong_figure in trace["answer"]


def test_a_collector_that_is_killed_in_the_middle_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, store, spool = free_endpoint(), tmp_path / "s.db", tmp_path / "spool"
    monkeypatch.setenv("TRAJECTORY_SPOOL_DIR", str(spool))
    command = [sys.executable, "-P", "-m", "trajectory", "demo", "--headless", "--pace", "0.3", "--connect", endpoint]
    with (
        serving(store, endpoint) as collector,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as demo,
    ):
        assert demo.stderr is not None
        while "the team works" not in (line := demo.stderr.readline()):
            assert line, "the demo ended early"
        wait_for_facts(store)
        collector.kill()
        collector.wait(10)
        with serving(store, endpoint):
            told = demo.communicate(timeout=60)[1]
            assert demo.returncode == 0 and "trajectory watch --" in told
            wait_until_empty(spool)  # where the new one was slow to come, agents left the end of their work there
    (trace,) = trajectory("show", "", "--store", store, "--json").json_lines()
    told = truth(0)
    assert {a["name"]: a["model_calls"] for a in trace["agents"]} == told.model_calls
    assert {t["name"]: (t["calls"], t["errors"]) for t in trace["tools"]} == told.tools
    assert trace["status"] == "done"
    assert "telemetry.gap" not in {f["kind"] for f in trace["findings"]}


def wait_until_empty(spool: Path) -> None:
    """Waits until the collector has taken up what processes left on disk when they ended."""
    deadline_s = time.monotonic() + 60
    while any(spool.glob("*.spool")):
        assert time.monotonic() < deadline_s, "what was left in the spool is not delivered"
        time.sleep(0.05)


def wait_for_facts(store: Path) -> None:
    """Waits until the collector has stored a part of the run."""
    for _ in range(400):
        rows = trajectory("traces", "--store", store, "--json").out
        if re.search(r'"steps": [1-9]', rows):
            return
    raise AssertionError("nothing was stored")


def test_a_demo_without_a_terminal_ends_by_itself_and_prints(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"  # where another collector takes OTLP: the demo wants none
        done = trajectory(
            "demo", "--seed", "7", XDG_DATA_HOME=str(tmp_path), TRAJECTORY_STORE="", TRAJECTORY_OTLP_HTTP=taken
        )
    assert done.code == 0, done.err
    assert "OTLP" not in done.err and "the collector:" not in done.err
    assert "Delegations" in done.out
    assert (tmp_path / "trajectory" / "demo.db").exists()
    assert (tmp_path / "trajectory" / "demo.db").stat().st_mode & 0o077 == 0


def test_import_goes_through_the_collector_that_writes_the_store(tmp_path: Path) -> None:
    endpoint, store = free_endpoint(), tmp_path / "s.db"
    log = tmp_path / "log.json"
    log.write_text('{"history": [{"content": "hi", "role": "assistant", "name": "a"}, {"content": "ho", "name": "b"}]}')
    with serving(store, endpoint):
        done = trajectory("import", log, "--store", store)
        assert done.code == 0, done.err
        assert endpoint in done.err
    assert len(trajectory("traces", "--store", store, "--json").json_lines()) == 1


def test_a_collector_with_a_lifeline_stops_when_its_starter_is_gone(tmp_path: Path) -> None:
    serve = [sys.executable, "-P", "-m", "trajectory", "serve", "--lifeline", "--bind", free_endpoint()]
    process = subprocess.Popen(
        [*serve, "--store", str(tmp_path / "s.db")],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None and process.stderr is not None
    assert process.stderr.readline().startswith("listening")
    process.stdin.close()
    assert process.wait(20) == 0
    process.stderr.close()


def test_the_demo_on_a_screen_shows_its_team_and_keeps_the_run_however_early_it_is_left(tmp_path: Path) -> None:
    words = ("demo", "--no-settings", "--pace", "0.05", "--store", tmp_path / "s.db")
    window = Window("-m", "trajectory", *words)
    try:
        window.read_until(b"revenue")
        window.write(b"q")
        window.read_until(f"The run is kept. Look again: trajectory watch --store {tmp_path / 's.db'}".encode())
        assert window.code() == 0
    finally:
        window.kill()
    assert [row["title"] for row in trajectory("traces", "--json", "--store", tmp_path / "s.db").json_lines()] == [
        "Q3 revenue memo"
    ]


def test_a_store_that_is_none_ends_the_demo_with_what_its_collector_said(tmp_path: Path) -> None:
    (tmp_path / "s.db").write_text("no store " * 900)
    done = trajectory("demo", "--headless", "--store", tmp_path / "s.db")
    assert done.code == 2 and done.err.startswith("trajectory demo: ") and "is not a Trajectory store" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_collector_that_does_not_end_when_it_is_asked_to_is_killed(tmp_path: Path) -> None:
    with collector_process(str(tmp_path / "s.db"), *QUIET, stop_s=0.05) as endpoint:
        pid, served = writer_of(tmp_path / "s.db") or (0, "")
        assert served == endpoint
        os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_run_whose_collector_is_elsewhere_or_gone_is_said_to_be_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    gone = free_endpoint()
    for is_json in (False, True):
        monkeypatch.setattr("trajectory.cli.demo._SETTLE_S", 0.1 if is_json else 0.0)
        assert _report_of(argparse.Namespace(trace_id="ab" * 16, answer="memo", json=is_json), gone) == 0
        shown = capsys.readouterr()
        assert shown.err == f"the run is abababab at {gone}: trajectory watch --connect {gone}\n"
        told = {"trace_id": "ab" * 16, "answer": "memo", "endpoint": gone}
        assert [json.loads(line) for line in shown.out.splitlines()] == [told] * is_json
    endpoint = free_endpoint()
    with serving(tmp_path / "s.db", endpoint, *QUIET):
        assert _settled(endpoint, "ab" * 16) is None  # nothing has come
