"""Every command on a real store: what it prints, and the one line that it prints where it cannot go on."""

import contextlib
import io
import json
import os
import re
import shutil
import socket
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.broken_runs import Part, messages
from tests.cli.terminal import Done, free_endpoint, serving, trajectory
from tests.collector.builders import SOURCE, TRACE, ended, started
from tests.collector.test_joined import told
from trajectory.cli import COMMANDS, main
from trajectory.cli.output import duration
from trajectory.cli.places import data_dir, settings_file, state_dir
from trajectory.cli.receiving import is_local_place, tell_places
from trajectory.model.fact import Batch, Source
from trajectory.store.sqlite import open_writer

CHAT = {
    "run_id": "r1",
    "question": "How many? At most 3.",
    "steps": [
        {"i": 0, "agent": "human", "role": "user", "content": "How many? At most 3."},
        {"i": 1, "agent": "Orchestrator", "role": "Orchestrator (thought)", "content": "I will ask."},
        {"i": 2, "agent": "Orchestrator", "role": "Orchestrator (-> WebSurfer)", "content": "Please count, at most 3."},
        {"i": 3, "agent": "WebSurfer", "role": "WebSurfer", "content": "I see \x1b[31m2\x1b[0m of [bold]them[/bold]."},
        {"i": 4, "agent": "Orchestrator", "role": "Orchestrator (final)", "content": "2"},
    ],
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    log = folder / "chat.jsonl"
    log.write_text(json.dumps(CHAT) + "\n")
    done = trajectory("import", log, "--store", folder / "s.db")
    assert done.code == 0, done.err
    return folder / "s.db"


def refused(done: Done) -> str:
    """The one line with which a command gave up."""
    assert done.code == 2
    assert "Traceback" not in done.err
    lines = done.err.strip().splitlines()
    assert len(lines) == 1, done.err
    return lines[0]


def test_every_command_explains_itself() -> None:
    for name in COMMANDS:
        done = trajectory(name, "--help")
        assert done.code == 0
        assert done.out.startswith(f"usage: trajectory {name}")


def test_a_version_is_one_line() -> None:
    assert trajectory("--version").out == "trajectory 0.1.0\n"


def test_search_says_where_something_was_said(store: Path) -> None:
    hits = trajectory("search", "see them", "--store", store, "--json").json_lines()
    assert {hit["text"][hit["start"] : hit["end"]] for hit in hits} == {"see"}
    assert "WebSurfer" in {hit["agent"] for hit in hits} and {hit["title"] for hit in hits} == {"How many? At most 3."}
    (row,) = trajectory("traces", "--store", store, "--json").json_lines()
    assert {hit["trace_id"] for hit in hits} == {row["trace_id"]}
    shown = trajectory("search", '"SEE" bold', "--store", store)
    assert "WebSurfer" in shown.out and "»see«" in shown.out and "\x1b" not in shown.out
    assert len(trajectory("search", "at most", "--store", store, "--limit", "1", "--json").json_lines()) == 1


def test_search_says_when_nothing_says_it_and_refuses_what_is_no_word(store: Path) -> None:
    done = trajectory("search", "x*) OR (y", "--store", store)
    assert (done.code, done.out) == (0, "") and "nothing says" in done.err
    assert "no word" in refused(trajectory("search", '"*', "--store", store))
    assert "at most" in refused(trajectory("search", "x" * 2000, "--store", store))
    assert "no store" in refused(trajectory("search", "x", "--store", store.parent / "absent.db"))


def test_traces_lists_what_was_imported(store: Path) -> None:
    (row,) = trajectory("traces", "--store", store, "--json").json_lines()
    assert (row["agents"], row["delegations"], row["state"]) == (2, 1, "done")
    assert "How many" in trajectory("traces", "--store", store).out


def test_show_json_holds_the_fixed_keys(store: Path) -> None:
    (trace,) = trajectory("show", "", "--store", store, "--json").json_lines()
    assert {"trace_id", "session_id", "agents", "delegations", "tools", "errors", "status"} <= trace.keys()
    assert {"model_calls", "input_tokens", "output_tokens"} <= trace.keys()
    assert trace["delegations"] == [
        {"source": "Orchestrator", "target": "WebSurfer", "mode": "call", "grade": "declared", "count": 1}
    ]
    fields = {"name", "spans", "model_calls", "tool_calls", "input_tokens", "output_tokens"}
    assert all(fields <= agent.keys() for agent in trace["agents"])


def test_show_says_why_agents_that_only_spoke_in_turn_have_no_delegations(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "name": name, "content": f"{name} has looked at it."}
        for name in ("writer", "critic", "writer")
    ]
    log = tmp_path / "chat.json"
    log.write_text(json.dumps({"history": turns}))
    assert trajectory("import", log, "--store", tmp_path / "s.db").code == 0
    lines = trajectory("show", "", "--store", tmp_path / "s.db").out.splitlines()
    (said,) = [line for line in lines if "no delegation was recorded" in line]
    assert "none of these 2 agents works under another" in said and "trajectory.delegate" in said


def test_show_tells_how_well_work_was_handed_over_and_null_where_it_is_not_known(store: Path) -> None:
    (trace,) = trajectory("show", "", "--store", store, "--json").json_lines()
    (edge,) = trace["effectiveness"]["edges"]
    assert (edge["source"], edge["target"], edge["delegations"]) == ("Orchestrator", "WebSurfer", 1)
    assert edge["cost_usd"] is edge["took_ns"] is None  # the log has neither
    agents = {agent["name"]: agent for agent in trace["effectiveness"]["agents"]}
    assert agents["Orchestrator"]["took"] is None
    assert agents["Orchestrator"]["gave"] == agents["WebSurfer"]["took"]
    assert "SENT" in trajectory("show", "", "--store", store).out


def test_blame_json_holds_the_fixed_keys_and_scores_that_sum_to_one(store: Path) -> None:
    trace_id = json.loads(trajectory("traces", "--store", store, "--json").out)["trace_id"]
    for more in ([], ["--top", "2"], ["--causal"]):
        blame = json.loads(trajectory("blame", trace_id[:8], "--store", store, "--json", *more).out)
        assert blame["trace_id"] == trace_id
        assert sum(c["score"] for c in blame["candidates"]) == pytest.approx(1)
        assert [c["rank"] for c in blame["candidates"]] == list(range(1, len(blame["candidates"]) + 1))
        assert {"agent", "span_id", "step", "reasons"} <= blame["candidates"][0].keys()
    assert len(blame["candidates"]) == 4


def test_blame_reads_as_a_ranking_and_prints_text_of_agents_as_text(store: Path) -> None:
    done = trajectory(
        "blame", json.loads(trajectory("traces", "--store", store, "--json").out)["trace_id"], "--store", store
    )
    assert "no verdict" in done.out
    assert "  1. " in done.out and "WebSurfer" in done.out
    assert "\x1b[31m" not in done.out


def test_text_of_agents_prints_as_text(store: Path) -> None:
    page = trajectory("show", "", "--store", store).out
    assert "\x1b" not in page
    assert "[bold]them[/bold]" in page


def test_a_filter_that_does_not_parse_names_the_column(store: Path) -> None:
    assert "column 5" in refused(trajectory("traces", "--filter", "err>", "--store", store))


def test_a_file_is_imported_once_however_often(store: Path) -> None:
    before = trajectory("show", "", "--store", store, "--json").out
    assert trajectory("import", store.parent / "chat.jsonl", "--store", store).code == 0
    assert trajectory("show", "", "--store", store, "--json").out == before


def test_a_bad_file_costs_nothing_but_itself(tmp_path: Path, store: Path) -> None:
    (tmp_path / "bad.json").write_text('{"resourceSpans": [{"scopeSpans": ')
    done = trajectory("import", tmp_path / "bad.json", store.parent / "chat.jsonl", "--store", tmp_path / "s.db")
    assert done.code == 2
    assert "bad.json" in done.err
    assert len(trajectory("traces", "--store", tmp_path / "s.db", "--json").json_lines()) == 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty", b"", "empty"),
        ("junk", bytes(range(256)) * 9, "neither text nor OTLP"),
        ("cut.json", b'{"resourceSpans": [', "cut"),
        ("cut.gz", b"\x1f\x8b\x08\x00\x00", "gzip"),
        ("newer.jsonl", b'{"format": "trajectory", "version": 99}\n', "version"),
    ],
)
def test_a_file_of_no_known_format_is_refused_with_its_path(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    done = trajectory("import", tmp_path / name, "--store", tmp_path / "s.db")
    assert done.code == 2
    assert said in done.err
    assert name in done.err
    assert "Traceback" not in done.err


def test_a_store_that_is_not_there_or_not_ours_is_refused(tmp_path: Path) -> None:
    assert "no store at" in refused(trajectory("traces", "--store", tmp_path / "none.db"))
    (tmp_path / "text.db").write_text("hello " * 1000)
    assert "not a Trajectory store" in refused(trajectory("show", "a", "--store", tmp_path / "text.db"))
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE notes (text)")
    assert "another program" in refused(trajectory("findings", "--store", tmp_path / "other.db"))
    assert "directory" in refused(trajectory("traces", "--store", tmp_path))


def test_an_unknown_or_ambiguous_trace_is_refused(store: Path) -> None:
    assert "no trace" in refused(trajectory("show", "ffffffffffff", "--store", store)).lower()


def test_what_is_mistyped_is_answered_with_what_is_nearest_and_nothing_is_run(store: Path) -> None:
    trace_id = trajectory("traces", "--store", store, "--ids").out.strip()
    mistyped = trace_id[:4] + ("0" if trace_id[4] != "0" else "1") + trace_id[5:12]
    for words, nearest in {
        ("serv", "--store", "x"): "serve",
        ("ls", "--jsn"): "traces",
        ("keys", "ad", "me"): "add",
        ("traces", "--jsn"): "--json",
        ("graph", trace_id, "--of", "delegation"): "delegations",
        ("show", mistyped, "--store", store): trace_id[:12],
        ("show", "how many", "--store", store): trace_id[:12],  # its title
        ("alerts", "test", "opps", "--policy", Path(__file__).parents[2] / "examples" / "alerts.toml"): "ops",
    }.items():
        done = trajectory(*words)
        assert (done.code, done.out) == (2, "")
        assert done.err.endswith(f"; did you mean {nearest}?\n"), (words, done.err)
    done = trajectory("traces", "--filter", "agent:websurfr", "--store", store)
    assert (done.code, done.out) == (0, "") and done.err.endswith("; did you mean WebSurfer?\n")
    assert "did you mean" not in trajectory("xyzzy").err + trajectory("show", "ffffffffffff", "--store", store).err


@pytest.mark.parametrize("suffix", ["graphml", "gexf", "dot", "mmd", "json", "svg"])
@pytest.mark.parametrize("of", ["delegations", "spans"])
def test_a_graph_is_written_in_the_format_of_its_suffix(tmp_path: Path, store: Path, suffix: str, of: str) -> None:
    path = tmp_path / f"g.{suffix}"
    assert main(["graph", "", "--of", of, "-o", str(path), "--store", str(store)]) == 0
    assert path.stat().st_size > 100
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("suffix", ["jsonl", "otlp.json", "otlp.pb", "trace.json", "md"])
def test_a_trace_is_written_in_the_format_of_its_suffix(tmp_path: Path, store: Path, suffix: str) -> None:
    path = tmp_path / f"t.{suffix}"
    assert main(["export", "", "-o", str(path), "--store", str(store)]) == 0
    assert path.stat().st_size > 100


@pytest.mark.parametrize("suffix", ["jsonl", "otlp.json", "otlp.pb"])
def test_what_is_exported_reads_back_as_the_same_team(tmp_path: Path, store: Path, suffix: str) -> None:
    path = tmp_path / f"t.{suffix}"
    assert main(["export", "", "-o", str(path), "--store", str(store)]) == 0
    assert main(["import", str(path), "--store", str(tmp_path / "again.db")]) == 0
    (first,) = trajectory("show", "", "--json", "--store", store).json_lines()
    (again,) = trajectory("show", "", "--json", "--store", tmp_path / "again.db").json_lines()
    for key in ("trace_id", "agents", "delegations", "tools", "model_calls", "errors", "status", "title"):
        assert again[key] == first[key], key


def test_an_unknown_suffix_names_the_known_ones(tmp_path: Path, store: Path) -> None:
    assert ".graphml" in refused(trajectory("graph", "", "-o", tmp_path / "g.xyz", "--store", store))


def test_the_dashboard_needs_a_terminal(store: Path) -> None:
    assert "terminal" in refused(trajectory("watch", "--store", store))


def test_open_follows_a_link_and_nothing_else(store: Path) -> None:
    trace_id = trajectory("traces", "--ids", "--store", store).out.split()[0]
    assert "/ID behind /span" in refused(trajectory("open", f"trajectory://{trace_id}/file/1", "--store", store))
    assert "terminal" in refused(trajectory("open", f"trajectory://{trace_id}?t=1s&v=timeline", "--store", store))


def test_serve_refuses_an_address_that_others_reach(tmp_path: Path) -> None:
    assert "127.0.0.1" in refused(trajectory("serve", "--bind", "tcp://0.0.0.0:5570", "--store", tmp_path / "s.db"))


def test_doctor_names_what_is_wrong_and_its_mend(tmp_path: Path) -> None:
    (tmp_path / "bad.db").write_text("no store " * 900)
    done = trajectory("doctor", "--store", tmp_path / "bad.db", "--connect", "tcp://127.0.0.1:9", "--json")
    checks = {check["name"]: check for check in done.json_lines()}
    assert done.code == 1
    assert checks["store"]["state"] == "bad"
    assert checks["collector"]["mend"] == "start one: trajectory serve"
    assert checks["python"]["state"] == "ok"


def test_a_list_has_whole_fields_with_a_tab_between_for_a_program_and_columns_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    listed = trajectory("traces", "--store", store).out.splitlines()
    (row,) = [dict(zip(listed[0].split("\t"), line.split("\t"), strict=True)) for line in listed[1:]]
    assert (row["STATE"], row["AGENTS"], row["TITLE"]) == ("done", "2", CHAT["question"])

    words = ["doctor", "--store", str(store), "--connect", "tcp://127.0.0.1:9"]
    main(words)
    checks = [line.split("\t") for line in capsys.readouterr().out.splitlines()[1:]]
    assert {len(fields) for fields in checks} == {4} and not any(f.endswith(" ") for fields in checks for f in fields)
    monkeypatch.setattr("trajectory.cli.output.is_terminal", lambda: True)
    monkeypatch.setattr("trajectory.cli.doctor.is_terminal", lambda: True)
    monkeypatch.setattr("os.get_terminal_size", lambda *_: os.terminal_size((60, 24)))
    main(words)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 60
    assert all(
        "".join(said.split()) in "".join(shown.split())
        for _, name, *told in checks
        if name != "terminal"
        for said in told
    )


def test_a_hand_off_without_arguments_says_why_it_cannot_be_judged(tmp_path: Path) -> None:
    spoken = json.dumps(
        [{"role": "user", "parts": [{"type": "text", "content": "Refund order 4711, at most 30 EUR."}]}]
    )
    told = [
        ("", "invoke_agent triage", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "triage"}),
        ("1", "chat", {"gen_ai.operation.name": "chat", "gen_ai.input.messages": spoken}),
        ("1", "execute_tool", {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "transfer_to_billing"}),
        ("1", "invoke_agent billing", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "billing"}),
        ("4", "chat", {"gen_ai.operation.name": "chat", "gen_ai.input.messages": spoken}),
    ]
    spans = [
        {
            "traceId": "ab" * 16, "spanId": f"{number:016x}", "parentSpanId": parent and parent.zfill(16), "name": name,
            "startTimeUnixNano": str(10**18 + number * 1000), "endTimeUnixNano": str(10**18 + number * 1000 + 900),
            "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()],
        }
        for number, (parent, name, attributes) in enumerate(told, 1)
    ]  # fmt: skip
    capture = tmp_path / "otlp.json"
    capture.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}))
    assert trajectory("import", capture, "--store", tmp_path / "s.db").code == 0
    page = trajectory("show", "", "--store", tmp_path / "s.db").out
    (line,) = [line for line in page.splitlines() if "not observable" in line]
    assert line.startswith("  not observable: work was handed on without a task, or none was captured")
    assert "check" not in line


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_every_command(shell: str) -> None:
    script = trajectory("completion", shell).out
    assert all(name in script for name in COMMANDS)


def test_a_reader_that_has_had_enough_is_no_fault(store: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    import subprocess
    import sys

    command = [sys.executable, "-P", "-m", "trajectory", "show", "", "--store", str(store)]
    with subprocess.Popen(command, stdout=write, stderr=subprocess.PIPE, text=True) as process:
        os.close(write)
        _, err = process.communicate(timeout=60)
    assert err == ""
    assert process.returncode == 0


def test_a_pipe_is_read_once_and_one_without_a_writer_is_empty(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert "empty" in trajectory("import", fifo, "--store", tmp_path / "s.db").err
    holder = os.open(fifo, os.O_RDWR)
    os.write(holder, json.dumps(CHAT).encode())
    descriptor = os.open(fifo, os.O_RDONLY)
    os.close(holder)
    import subprocess
    import sys

    command = [sys.executable, "-P", "-m", "trajectory", "import", "/dev/stdin", "--store", str(tmp_path / "s.db")]
    done = subprocess.run(command, stdin=descriptor, capture_output=True, text=True, timeout=60, check=False)
    os.close(descriptor)
    assert done.returncode == 0, done.stderr
    assert "1 trace" in done.stderr


def test_a_file_of_countless_lines_that_are_nothing_is_refused_at_its_first() -> None:
    import tracemalloc

    from trajectory.dialects.sniff import read_file
    from trajectory.errors import ImportFormatError

    data = b"{}\n" * 300_000
    tracemalloc.start()
    with pytest.raises(ImportFormatError, match=r"line 1|:1"):
        read_file(data, "x.jsonl")
    assert tracemalloc.get_traced_memory()[1] < 10 * len(data)
    tracemalloc.stop()


def test_a_filter_finds_runs_by_their_agents(store: Path) -> None:
    assert len(trajectory("traces", "--store", store, "--ids", "--filter", "agent:websurfer").out.split()) == 1
    assert trajectory("traces", "--store", store, "--ids", "--filter", "agent:coder").out == ""


def test_a_filter_looks_beyond_the_newest_runs(tmp_path: Path) -> None:
    log = tmp_path / "many.jsonl"
    chats = [{"run_id": f"r{n}", "question": f"question {n}", "steps": CHAT["steps"]} for n in range(520)]
    log.write_text("".join(json.dumps(chat) + "\n" for chat in chats))
    assert trajectory("import", log, "--store", tmp_path / "s.db").code == 0
    rows = trajectory("traces", "--store", tmp_path / "s.db", "--json", "--limit", "9999").json_lines()
    assert len(rows) == 520
    last = trajectory(
        "traces", "--store", tmp_path / "s.db", "--ids", "--limit", "1", "--filter", f"id:{rows[-1]['trace_id']}"
    )
    assert last.out.strip() == rows[-1]["trace_id"]


def test_an_output_that_knows_ascii_alone_is_written_all_the_same(store: Path) -> None:
    for words in (("traces",), ("show", "", "--spans"), ("findings",)):
        done = trajectory(*words, "--store", store, PYTHONIOENCODING="ascii")
        assert (done.code, "Traceback" in done.err) == (0, False)
    (row,) = trajectory("show", "", "--store", store, "--json", PYTHONIOENCODING="ascii").json_lines()
    assert row["agents"][0]["name"] == "Orchestrator"


def test_a_trace_is_deleted_by_its_beginning_and_only_where_nobody_writes(tmp_path: Path) -> None:
    log, store = tmp_path / "chat.jsonl", tmp_path / "s.db"
    log.write_text("".join(json.dumps({**CHAT, "run_id": name}) + "\n" for name in ("r1", "r2", "r3")))
    assert trajectory("import", log, "--store", store).code == 0
    first, second, third = trajectory("traces", "--ids", "--store", store).out.split()
    with serving(store, free_endpoint()):
        assert "is being written by process" in refused(trajectory("traces", "--delete", first, "--store", store))
    done = trajectory("traces", "--delete", first[:20], second, first, "--store", store)
    assert done.code == 0 and done.out.split() == [first, second]
    assert trajectory("traces", "--ids", "--store", store).out.split() == [third]
    assert "no trace" in refused(trajectory("traces", "--delete", first, "--store", store))
    assert "unique beginning" in refused(trajectory("traces", "--delete", "", "--store", store))
    assert trajectory("show", third, "--store", store).code == 0


def test_an_import_into_another_store_says_how_to_list_that_store(store: Path, tmp_path: Path) -> None:
    log = tmp_path / "chat.jsonl"
    log.write_text(json.dumps(CHAT) + "\n")
    said = trajectory("import", log, "--store", tmp_path / "t.db").err
    assert f"trajectory traces --store {tmp_path / 't.db'}" in said
    assert "0 traces" not in trajectory("import", tmp_path / "none", "--store", tmp_path / "t.db").err


def test_what_is_found_in_an_imported_log_is_told_without_its_secrets(tmp_path: Path) -> None:
    key, password = "AKIA" + "Q7RK2LW9ZT4XN8VB", "hunter7-Trombone-Q9x"
    said = [
        ("human", "human", f"Copy the table. It must go to postgres://app:{password}@db/x only, never to {key}."),
        ("Orchestrator", "Orchestrator (-> Coder)", f"Copy the table, and tell people that {password} opens it."),
        ("Coder", "Coder", "```python\ncopy()\n```"),
        ("Orchestrator", "Orchestrator (-> ComputerTerminal)", "Run it."),
        (
            "ComputerTerminal",
            "ComputerTerminal",
            f"exitcode: 1 (execution failed)\nCode output: Traceback (most recent call last):\nOSError: {password}, {key}",
        ),
        ("Orchestrator", "Orchestrator (final)", "Done."),
    ]
    steps = [{"i": n, "agent": agent, "role": role, "content": text} for n, (agent, role, text) in enumerate(said)]
    log = tmp_path / "chat.jsonl"
    log.write_text(json.dumps({"run_id": "r2", "question": said[0][2], "steps": steps}))
    assert trajectory("import", log, "--store", tmp_path / "s.db").code == 0
    told = [trajectory("findings", "--store", tmp_path / "s.db", *more).out for more in ((), ("--json",))]
    told.append(trajectory("blame", "", "--store", tmp_path / "s.db", "--json").out)
    (shown,) = trajectory("show", "", "--store", tmp_path / "s.db", "--json").json_lines()
    told.append(json.dumps(shown["findings"]))
    assert "[url password]" in told[1]
    kind = json.loads(told[1].splitlines()[0])["kind"]
    assert trajectory("findings", "--kind", kind[:-1], "--store", tmp_path / "s.db").err.endswith(
        f"; did you mean {kind}?\n"
    )
    assert not any(password in out or key in out for out in told)


def test_findings_come_along_with_an_exported_trace(tmp_path: Path) -> None:
    fails = {"i": 4, "agent": "Computer_terminal", "role": "user", "content": "exitcode: 1 (execution failed)"}
    log = tmp_path / "chat.jsonl"
    log.write_text(json.dumps({**CHAT, "steps": [*CHAT["steps"], fails]}) + "\n")
    for path, store in ((log, "a.db"), (tmp_path / "e.jsonl", "b.db")):
        assert trajectory("import", path, "--store", tmp_path / store).code == 0
        trajectory("export", "", "-o", tmp_path / "e.jsonl", "--store", tmp_path / store)
    first, again = (trajectory("findings", "--store", tmp_path / f"{name}.db", "--json").json_lines() for name in "ab")
    assert first and again == first


def test_the_gravest_finding_of_a_trace_comes_first(recorded_store: Path) -> None:
    listed = trajectory("traces", "--store", recorded_store, "--json").json_lines()
    (demo,) = [trace["trace_id"] for trace in listed if trace["title"] == "Q3 revenue memo"]
    said = trajectory("findings", demo, "--store", recorded_store).out.splitlines()
    assert [line[0] for line in said if line[:1] in ("▲", "△", "▽")] == ["▲", "△", "△", "△"]


def test_no_command_at_all_is_answered_with_what_there_is() -> None:
    done = trajectory()
    assert (done.code, done.out) == (2, "") and all(name in done.err for name in COMMANDS)


def test_a_part_of_a_run_is_shown_with_the_run_that_it_is_a_part_of(tmp_path: Path) -> None:
    run = messages(1, 0)
    with closing(open_writer(str(tmp_path / "s.db"))) as writer:
        told(run, store=writer)  # type: ignore[arg-type]
    ids = [part.trace_id.hex() for part in run.parts]
    (first,) = trajectory("show", ids[0], "--store", tmp_path / "s.db", "--json").json_lines()
    assert sorted(first["run"]["trace_ids"]) == sorted(ids) and {each["is"] for each in first["joined"]} == {"effect"}
    each = [trajectory("show", one, "--store", tmp_path / "s.db", "--json").json_lines()[0] for one in ids]
    assert first["run"]["model_calls"] == sum(one["model_calls"] for one in each)
    assert {agent["name"] for agent in first["run"]["agents"]} >= {
        agent["name"] for one in each for agent in one["agents"]
    }
    pages = [trajectory("show", one, "--store", tmp_path / "s.db").out for one in ids]
    assert all(f"begins with {ids[0][:12]}" in page and "3 traces" in page for page in pages)
    assert f"caused {ids[1][:12]}" in pages[0] and f"caused by {ids[0][:12]}" in pages[1]


def test_what_batches_the_work_of_two_runs_is_a_part_of_neither_and_says_what_caused_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = [Part(bytes([number]) * 16, Source(bytes([number]) * 16, b"b" * 16)) for number in (1, 2, 3)]
    for at_s, part in enumerate(parts):
        part.span(1, "agent", f"agent-{at_s}", at_s, 0.5, agent=f"agent-{at_s}")
    for cause in parts[:2]:
        parts[2].link(1, cause, 1)
    with closing(open_writer(str(tmp_path / "s.db"))) as writer:
        told(SimpleNamespace(parts=parts), store=writer)  # type: ignore[arg-type]
    assert main(["show", "0303", "--store", str(tmp_path / "s.db")]) == 0
    lines = capsys.readouterr().out.splitlines()
    run = lines[lines.index("Run") + 1 :][:2]
    assert {line.split()[2] for line in run} == {"01" * 6, "02" * 6} and all("caused by" in line for line in run)
    assert main(["show", "0303", "--store", str(tmp_path / "s.db"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["run"] is None and len(shown["joined"]) == 2


def test_of_many_spans_the_first_are_shown_and_how_to_see_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(open_writer(str(tmp_path / "s.db"))) as writer:
        writer.append([Batch(SOURCE, 0, [started(number + 1, kind="tool") for number in range(70)])])
    assert main(["show", "", "--store", str(tmp_path / "s.db")]) == 0
    assert "10 more: --spans prints all" in capsys.readouterr().out
    assert main(["blame", "", "--store", str(tmp_path / "s.db"), "--top", "3"]) == 0


def test_a_run_of_which_no_step_was_captured_has_nothing_to_rank(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(open_writer(str(tmp_path / "s.db"))) as writer:
        writer.append([Batch(SOURCE, 0, [ended(1)])])
    for words in (["--json"], []):
        assert main(["blame", "", "--store", str(tmp_path / "s.db"), *words]) == 0
        shown = capsys.readouterr()
        assert shown.err == "nothing to rank: no step of this trace was captured\n"
    assert shown.out.splitlines()[-1] == f"trace {TRACE.hex()}"


def test_several_traces_that_begin_alike_are_named_and_none_is_guessed(recorded_store: Path) -> None:
    assert "several traces start with ''" in refused(trajectory("show", "", "--store", recorded_store))


@pytest.mark.parametrize(
    "words", [("traces", "--limit", "0"), ("search", "x", "--limit", "many"), ("watch", "--web", "--port", "70000")]
)
def test_a_number_that_is_none_is_refused(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(list(words))
    assert re.search(r"is not a (whole number above 0|port)$", capsys.readouterr().err.strip())


def test_an_empty_store_says_where_the_runs_of_the_demo_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    open_writer(str(tmp_path / "s.db")).close()
    demo = data_dir() / "demo.db"
    for is_there in (False, True):
        if is_there:
            demo.parent.mkdir()
            demo.touch()
        assert main(["traces", "--store", str(tmp_path / "s.db")]) == 0
        assert (f"the demo's runs are in another store: --store {demo}" in capsys.readouterr().err) == is_there


def test_places_are_where_the_environment_says_else_under_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for base in ("CONFIG", "STATE", "DATA"):
        monkeypatch.setenv(f"XDG_{base}_HOME", f"/x/{base}")
    assert [*map(str, (settings_file(), state_dir(), data_dir()))] == [
        "/x/CONFIG/trajectory/settings.toml", "/x/STATE/trajectory", "/x/DATA/trajectory",
    ]  # fmt: skip
    for base in ("CONFIG", "STATE", "DATA"):
        monkeypatch.delenv(f"XDG_{base}_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert [*map(str, (settings_file(), state_dir(), data_dir()))] == [
        "/home/me/.config/trajectory/settings.toml", "/home/me/.local/state/trajectory", "/home/me/.local/share/trajectory",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ns", "said"),
    [(0, "·"), (1_500, "1.5 µs"), (250_000_000, "250 ms"), (59_940_000_000, "59.9 s"), (61_000_000_000, "1:01 min")],
)
def test_a_duration_has_its_unit(ns: int, said: str) -> None:
    assert duration(ns) == said


def test_what_is_pinned_is_listed(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = str(shutil.copy(store, tmp_path / "s.db"))
    (trace_id,) = trajectory("traces", "--ids", "--store", store).out.split()
    assert main(["pin", trace_id[:8], "--store", copy]) == 0
    capsys.readouterr()
    assert main(["pin", "--store", copy]) == 0
    assert capsys.readouterr().out == f"WHAT\tNAME\ntrace\t{trace_id}\n"
    monkeypatch.setattr("trajectory.cli.output.is_terminal", lambda: True)
    monkeypatch.setattr("os.get_terminal_size", lambda *_: os.terminal_size((80, 24)))
    assert main(["pin", "--store", copy]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["WHAT", "NAME"], ["trace", trace_id]]


def test_an_import_says_which_detector_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        name = "broken"

        def observe(self, fact: object, trace: object) -> tuple[()]:
            return ()

        def settle(self, now_ns: int, trace: object) -> tuple[()]:
            raise OSError("no table")

    monkeypatch.setattr("trajectory.detection.contract.registered_detectors", lambda tell: [Broken])
    (tmp_path / "chat.jsonl").write_text(json.dumps(CHAT) + "\n")
    assert main(["import", str(tmp_path / "chat.jsonl"), "--store", str(tmp_path / "s.db")]) == 0
    assert "something failed here, the last in the detector broken: OSError: no table" in capsys.readouterr().err


def test_an_import_says_what_it_read_how_far_it_is_and_what_it_could_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    span = {"traceId": "ab" * 16, "spanId": "cd" * 8, "name": "chat", "startTimeUnixNano": "1790000000000000000"}
    paths = [tmp_path / "one.jsonl", tmp_path / "two\x1b[2J.jsonl"]
    for path in paths:
        lines = [{"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}, *[{"resourceLogs": []}] * 8]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = ["import", *map(str, paths), "--store", str(tmp_path / "s.db")]
    assert main([*words, "--json"]) == 0
    shown = capsys.readouterr()
    told = [json.loads(line) for line in shown.out.splitlines()]
    assert [each["path"] for each in told] == [*map(str, paths)] and all(len(each["traces"]) == 1 for each in told)
    assert [len(each["notes"]) for each in told] == [
        8,
        8,
    ] and f"{paths[0]}: and 3 more that could not be read" in shown.err
    assert "\x1b" not in shown.err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert main(words) == 0
    said = capsys.readouterr().err
    assert "1 of 2  one.jsonl" in said and "2 of 2  two[2J.jsonl" in said
    monkeypatch.setattr("trajectory.cli.importing.MAX_FILE_BYTES", 100)
    assert main(words) == 2
    assert "larger than 0 MiB: split it and import the parts" in capsys.readouterr().err


def test_a_place_for_otlp_that_is_taken_is_refused_where_it_was_asked_for_and_else_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        words = ("serve", "--bind", free_endpoint(), "--store", tmp_path / "s.db", "--otlp-http", "off")
        assert f"--otlp-grpc: {taken}" in refused(trajectory(*words, "--otlp-grpc", taken))
    said = SimpleNamespace(http="", grpc="", http_trouble="", grpc_trouble=f"{taken} is taken")
    with contextlib.redirect_stderr(io.StringIO()) as err:
        tell_places(said, print)  # type: ignore[arg-type]
    assert err.getvalue() == f"no OTLP over gRPC: {taken} is taken; choose another place with --otlp-grpc\n"
    assert [is_local_place(f"{host}:1") for host in ("localhost", "127.0.0.9", "[::1]", "10.0.0.7", "example.org")] == [
        True, True, True, False, False,
    ]  # fmt: skip
