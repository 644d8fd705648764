"""`trajectory metrics`: the same numbers from a store, an old store and a running collector; unknown is said to be unknown."""

import json
import sqlite3
from pathlib import Path

import pytest

from tests.cli.terminal import free_endpoint, serving
from tests.collector.builders import Clock
from tests.scenarios import SOURCE, Scenario
from trajectory.cli import main
from trajectory.collector.pipeline import Pipeline
from trajectory.model.fact import Batch
from trajectory.model.words import INPUT_TOKENS, MODEL_NAME, OUTPUT_TOKENS
from trajectory.store.sqlite import open_writer

USED = {MODEL_NAME: "gpt-4o", INPUT_TOKENS: 1_000_000, OUTPUT_TOKENS: 0}


@pytest.fixture
def store(tmp_path: Path) -> str:
    run = Scenario()
    with run.agent("planner\x1b[31m", task="Find a hotel"):
        run.says("I ask.", attributes=USED)
        run.says("I ask.", attributes=USED | {MODEL_NAME: "our-own"})
        run.says("I wait.", attributes={MODEL_NAME: "silent"})
        with run.delegate("research", task="Find a hotel"):
            run.tool("search", {"city": "Lyon"}, error=("TimeoutError", "no answer"))
            run.says("H99.", attributes=USED | {MODEL_NAME: "our-own"})
            run.returns("H99")
        run.returns("Take H99.")
    path = str(tmp_path / "store.db")
    writer = open_writer(path)
    pipeline = Pipeline(writer, [], Clock())
    pipeline.store([Batch(SOURCE, 0, run.facts)])
    pipeline.fold([Batch(SOURCE, 0, run.facts)])
    pipeline.finish()
    writer.close()
    return path


def lines(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, object]]:
    assert main(["metrics", "--json", *words]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_model_has_its_calls_tokens_and_cost(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    known, unknown, silent = sorted(
        lines(capsys, "--by", "model", "--store", store), key=lambda line: str(line["name"])
    )
    assert (silent["name"], silent["calls"], silent["input_tokens"], silent["cached_tokens"]) == (
        "silent",
        1,
        None,
        None,
    )
    assert (known["name"], known["calls"], known["input_tokens"], known["cost_usd"]) == ("gpt-4o", 1, 1_000_000, 2.5)
    assert (unknown["name"], unknown["calls"], unknown["cost_usd"], unknown["cost_unknown"]) == ("our-own", 2, None, 2)


def test_a_table_says_how_many_costs_are_unknown_and_obeys_no_name(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["metrics", "--store", store]) == 0
    out = capsys.readouterr().out
    assert "$2.50 + 2 unknown" in out and "\x1b" not in out and "tool calls" in out
    assert main(["metrics", "--by", "model", "--store", store, "--agent", "planner\x1b[31m"]) == 0
    (silent,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("silent"))
    assert silent.split()[-5:] == ["·", "·", "·", "·", "unknown"]
    assert main(["metrics", "--by", "edge", "--store", store]) == 0
    assert "→ research" in capsys.readouterr().out
    assert main(["metrics", "--store", store, "--since", "1h"]) == 0  # the run lies elsewhere in time
    assert capsys.readouterr() == ("", "nothing has been counted in that time\n")


def test_the_run_the_agent_and_the_tool_can_be_asked_for(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    trace = Scenario().trace().trace_id.hex()[:6]
    (tool,) = lines(capsys, "--by", "tool", "--store", store, "--trace", trace, "--agent", "research")
    assert (tool["name"], tool["calls"], tool["errors"]) == ("search", 1, 1)
    assert "cost_usd" not in tool and lines(capsys, "--by", "tool", "--store", store, "--agent", "nobody") == []


def test_a_store_that_an_earlier_release_wrote_is_counted_now(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = [lines(capsys, "--by", by, "--store", store) for by in ("agent", "edge")]
    raw = sqlite3.connect(store)
    raw.executescript("DROP TABLE tallies; PRAGMA user_version = 3")
    raw.close()
    open_writer(store).close()
    after = [lines(capsys, "--by", by, "--store", store) for by in ("agent", "edge")]
    for each in before[1]:
        assert each["needed"] is not None
        each["needed"] = each["arrived"] = None  # what crossed is worked out by a collector
    assert after == before


def test_other_prices_count_the_same_work_anew(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = tmp_path / "prices.toml"
    theirs.write_text('["our-own"]\ninput = 1\noutput = 1\n')
    costs = {
        line["name"]: line["cost_usd"]
        for line in lines(capsys, "--by", "model", "--store", store, "--prices", str(theirs))
    }
    assert costs == {"gpt-4o": 2.5, "our-own": 2.0, "silent": None}
    assert lines(capsys, "--store", store, "--prices", str(theirs), "--since", "1h") == []
    theirs.write_text('["our-own"]\ninput = "much"\noutput = 1\n')
    assert main(["metrics", "--store", store, "--prices", str(theirs)]) == 2
    assert f"{theirs}:1: ['our-own']" in capsys.readouterr().err


def test_a_time_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["metrics", "--since", "soon"])
    assert "is no time" in capsys.readouterr().err


def test_findings_are_counted_in_a_table_of_their_own_and_more_than_are_shown_are_said(
    recorded_store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["metrics", "--by", "finding", "--store", str(recorded_store)]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split("\t") == ["finding", "count"] and "cascade" in {row.split("\t")[0] for row in rows}
    monkeypatch.setattr("trajectory.cli.metrics._LIMIT", 1)
    assert main(["metrics", "--by", "finding", "--store", str(recorded_store)]) == 0
    assert capsys.readouterr().err == f"{len(rows) - 1} more are not shown\n"


def test_a_collector_says_what_it_counted_and_takes_no_prices(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    here, endpoint, trace = lines(capsys, "--by", "model", "--store", store), free_endpoint(), Scenario().trace()
    with serving(Path(store), endpoint, "--otlp-http", "off", "--otlp-grpc", "off"):
        there = ("--connect", endpoint)
        assert lines(capsys, "--by", "model", "--trace", trace.trace_id.hex()[:6].upper(), *there) == here
        assert lines(capsys, "--since", "1h", *there) == []  # the run lies elsewhere in time
        for words, said in (
            (("--prices", "x"), "goes with --store"),
            (("--trace", "ffff"), "has no run that begins with"),
        ):
            assert main(["metrics", *there, *words]) == 2
            assert said in capsys.readouterr().err
