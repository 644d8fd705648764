"""What was said is found in every trace that holds it, indexed or not, and is gone with the trace."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.store.builders import OTHER, SOURCE, TRACE_A, TRACE_B, TRACE_C, ended, payload, started
from tests.store.memory import MemoryStore
from tests.store.test_store_format import BODY, restore
from trajectory.errors import QueryError
from trajectory.model.content import JSON, MESSAGE, TEXT, digest, encode_message
from trajectory.model.fact import Batch, Fact, Payload, SpanEnded, SpanEvent, SpanStarted
from trajectory.model.lists import LIST, Lists
from trajectory.store import indexing, searching, stretches
from trajectory.store.sqlite import open_reader, open_writer
from trajectory.store.words import Question, body_words, said_by
from trajectory.store.writer import SqliteWriter


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def writer(path: Path) -> Iterator[SqliteWriter]:
    opened = open_writer(path)
    yield opened
    opened.close()


def message(text: str) -> Payload:
    media_type, body = encode_message({"role": "user", "content": text})
    return Payload(digest(media_type, body), media_type, body)


def say(writer: Any, *facts: Fact) -> None:
    writer.append([Batch(SOURCE, writer.next_seq(SOURCE.emitter_id, SOURCE.boot_id), list(facts))])


def say_in(writer: Any, trace_id: bytes, *bodies: Payload) -> None:
    say(writer, *bodies, started(trace_id, contents=[body.digest for body in bodies]))


def found(store: Any, text: str) -> set[bytes]:
    """The traces that a search finds; both ways of asking agree."""
    traces = set(store.traces_saying(text, 100)[0])
    if not isinstance(store, MemoryStore):
        assert {hit.trace_id for hit in store.search(text).hits} == traces
    return traces


def test_bodies_names_events_and_errors_are_found_indexed_or_not(writer: SqliteWriter) -> None:
    say_in(writer, TRACE_A, message("a quiet hotel\nin Lyon"))
    say(
        writer,
        started(TRACE_B, name="book_hotel"),
        SpanEnded(TRACE_B, b"s" * 8, 9, 0, "error", "refused: Oslo is full"),
    )
    say(writer, SpanEvent(TRACE_C, b"s" * 8, 5, 0, "exception", attributes={"exception.message": "no such city Oslo"}))
    for _ in range(2):
        assert found(writer, "hotel") == {TRACE_A, TRACE_B}
        assert found(writer, "hotel lyon") == {TRACE_A}
        assert found(writer, "OSLO") == {TRACE_B, TRACE_C}
        assert found(writer, "refus") == {TRACE_B}
        assert found(writer, '"city oslo"') == {TRACE_C}
        assert found(writer, '"oslo city"') == found(writer, "otel") == found(writer, "bergen") == set()
        assert writer.index()


def test_a_hit_names_the_span_its_agent_and_the_place_in_the_text(writer: SqliteWriter) -> None:
    body = message("please book a room " * 20 + "near the harbour" + " or elsewhere" * 20)
    say(writer, started(TRACE_A, at_ns=7, name="plan"))
    say(writer, body, SpanEnded(TRACE_A, b"s" * 8, 9, 0, "ok", contents={"output": [body.digest]}))
    for _ in range(2):
        (hit,) = writer.search("harbour").hits
        assert (hit.trace_id, hit.span_id, hit.at_ns, hit.name, hit.kind) == (TRACE_A, b"s" * 8, 9, "plan", "agent")
        assert hit.text[hit.start : hit.end] == "harbour" and len(hit.text) < 200
        writer.index()


def test_a_body_that_many_traces_name_is_a_hit_in_each(writer: SqliteWriter) -> None:
    say_in(writer, TRACE_A, payload("the same words"))
    writer.index()
    say(writer, started(TRACE_B, contents=[payload("the same words").digest]))
    writer.index()
    assert found(writer, "same") == {TRACE_A, TRACE_B}


def test_what_a_list_names_is_found_by_the_trace_that_names_the_list(writer: SqliteWriter) -> None:
    known, bodies, facts = Lists(), [payload(f"turn {n} of it") for n in range(12)], []
    for length in (5, 9, 12):
        entry, body = known.entry([one.digest for one in bodies[:length]])
        media_type = "application/vnd.trajectory.list"
        facts += [*bodies[:length], Payload(digest(media_type, body), media_type, body)]
        facts.append(started(TRACE_A if length < 12 else TRACE_B, contents=[entry]))
    say(writer, *facts)
    for _ in range(2):
        assert found(writer, '"turn 3"') == {TRACE_A, TRACE_B}
        assert found(writer, '"turn 11"') == {TRACE_B}
        writer.index()


def test_a_body_that_comes_after_it_was_named_is_found(writer: SqliteWriter) -> None:
    late = payload("better late")
    say(writer, started(TRACE_A, contents=[late.digest]))
    writer.index()
    writer.append([Batch(OTHER, 0, [late, started(TRACE_B, contents=[late.digest])])])
    writer.index()
    assert found(writer, "late") == {TRACE_A, TRACE_B}
    writer.delete_trace(TRACE_B)
    assert writer.payload(late.digest) == (TEXT, b"better late")
    assert found(writer, "late") == {TRACE_A}


def test_what_is_deleted_is_found_no_more_and_no_word_of_it_is_left_in_the_files(
    path: Path, writer: SqliteWriter
) -> None:
    own = [digest(TEXT, bytes([n])).hex() for n in range(200)]
    for n in range(200):
        say_in(writer, bytes([n + 1]) * 16, payload(f"common words and {own[n]}"))
    writer.index()
    assert found(writer, own[17]) == {bytes([18]) * 16}
    writer.delete_trace(bytes([18]) * 16)
    assert found(writer, own[17]) == set()
    assert len(writer.traces_saying("common", 500)[0]) == 199
    assert found(writer, own[18]) == {bytes([19]) * 16}
    assert writer._database.number("SELECT count(*) FROM stretches WHERE NOT has_words") == 0
    index = b"".join(block for (block,) in writer._database.rows("SELECT block FROM words_data"))
    files = b"".join(entry.read_bytes() for entry in path.parent.iterdir())
    # The index shortens what words have in common with the one before.
    assert [n for n in range(200) if own[n][6:].encode() not in index] == [17]
    assert own[17][6:].encode() not in files


def test_bodies_go_with_the_last_trace_that_names_them(writer: SqliteWriter) -> None:
    shared, own = payload("shared by two"), payload("only its own")
    say_in(writer, TRACE_A, shared, own)
    say(writer, started(TRACE_B, contents=[shared.digest]))
    writer.delete_trace(TRACE_A)
    assert writer.payload(own.digest) is None and writer.payload(shared.digest) is not None
    writer.delete_trace(TRACE_B)
    assert writer.payload(shared.digest) is None
    assert writer._database.number("SELECT count(*) FROM names") == 0


def test_an_index_is_taken_up_where_a_killed_writer_left_it(path: Path) -> None:
    for n in range(12):
        writer = open_writer(path)
        say_in(writer, bytes([n + 1]) * 16, payload(f"word number{n:02} here"))
        if n % 3 == 0:
            writer.index(0)
        writer._database.close()  # as a kill does: nothing of `close` happens
        writer._writer_lock.release()
    reader = open_reader(path)
    assert [found(reader, f"number{n:02}") for n in range(12)] == [{bytes([n + 1]) * 16} for n in range(12)]
    reader.close()


def test_a_store_of_the_first_format_catches_up(path: Path) -> None:
    restore(path)
    writer = open_writer(path)
    writer.index()
    assert found(writer, '"do the same thing"') == {TRACE_A}
    writer.delete_trace(TRACE_A)
    assert found(writer, "thing") == set() and writer.payload(BODY.digest) is None
    writer.close()


def test_without_words_all_is_looked_through_and_words_come_later(path: Path) -> None:
    writer = open_writer(path, with_words=False)
    say_in(writer, TRACE_A, payload("find me"))
    writer.index()
    assert writer._database.rows("SELECT 1 FROM sqlite_master WHERE name = 'words'") == []
    assert found(writer, "find") == {TRACE_A}
    writer.close()
    writer = open_writer(path)
    writer.index()
    assert writer._database.number("SELECT count(*) FROM words WHERE words MATCH 'find'") == 1
    assert found(writer, "find") == {TRACE_A}
    writer.close()


def test_a_python_without_full_text_search_looks_through_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "MAKE_WORDS", "CREATE VIRTUAL TABLE words USING fts5_is_not_here(text)")
    writer = open_writer(path)
    say_in(writer, TRACE_A, payload("find me"))
    assert writer.index()
    assert found(writer, "find") == {TRACE_A}
    writer.delete_trace(TRACE_A)
    assert found(writer, "find") == set()
    writer.close()


def test_words_of_another_release_are_made_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = open_writer(path)
    say_in(writer, TRACE_A, payload("find me"))
    writer.index()
    writer.close()
    monkeypatch.setattr(indexing, "WORDS_VERSION", stretches.WORDS_VERSION + 1)
    writer = open_writer(path)
    assert writer.index()
    assert found(writer, "find") == {TRACE_A}
    writer.close()


def test_a_damaged_row_costs_the_index_itself_only(path: Path) -> None:
    writer = open_writer(path)
    say_in(writer, TRACE_A, payload("first"))
    say_in(writer, TRACE_B, payload("second"))
    writer.close()
    raw = sqlite3.connect(path)
    raw.execute("UPDATE packs SET body = x'00', codec = 2 WHERE id = 1")
    raw.execute("UPDATE frames SET body = x'c1', codec = 0 WHERE id = 1")
    raw.commit()
    raw.close()
    writer = open_writer(path)
    assert writer.index()
    assert found(writer, "second") == {TRACE_B} and found(writer, "first") == set()
    writer.close()


def test_a_search_says_whether_it_is_all(writer: SqliteWriter) -> None:
    for n in range(5):
        say_in(writer, bytes([n + 1]) * 16, payload(f"word {n}"))
    writer.index()
    assert writer.search("word", limit=3).is_complete is False
    assert len(writer.search("word", limit=3).hits) == 3
    assert writer.search("word", limit=9).is_complete is True
    assert writer.search("word", budget_s=-1.0).is_complete is False


@pytest.mark.parametrize("text", ["", " ", '"', '""', "*", "-", "()", '" "'])
def test_a_question_without_a_word_is_refused(writer: SqliteWriter, text: str) -> None:
    with pytest.raises(QueryError):
        writer.search(text)


_LETTERS = "abcAZ09 \n\t\"'*^:+-(){}[]\\/éßİ北京हि_\u0301ΣsK"
_texts = st.text(st.sampled_from(_LETTERS), max_size=30) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=12
)


@given(said=st.lists(_texts, min_size=1, max_size=4), asked=_texts, media=st.sampled_from([TEXT, JSON, MESSAGE]))
@settings(max_examples=80)
@example(said=["C:\\new"], asked="new", media=MESSAGE)
@example(said=["line\nnext"], asked="next", media=JSON)
@example(said=["x"], asked='" OR words MATCH "x', media=TEXT)
@example(said=["x NEAR y"], asked="NEAR(x y) NOT z*", media=TEXT)
def test_no_question_breaks_the_index_and_it_finds_what_looking_through_finds(
    said: list[str], asked: str, media: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = MemoryStore()
    writer = open_writer(tmp_path_factory.mktemp("search") / "store.db")
    for n, text in enumerate(said):
        body = message(text) if media == MESSAGE else payload(text)
        if media == JSON:
            raw = ('{"a":"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"}').encode()
            body = Payload(digest(JSON, raw), JSON, raw)
        for one in (store, writer):
            say_in(one, bytes([n + 1]) * 16, body)
    try:
        expected = found(store, asked)
    except QueryError:
        with pytest.raises(QueryError):
            writer.search(asked)
    else:
        assert found(writer, asked) == expected
        writer.index()
        assert found(writer, asked) == expected
    finally:
        writer.close()


def test_words_of_a_body_hold_those_of_its_text() -> None:
    for text in ("C:\\new\\table", "a\nb\tc", 'say "hi"', "naïve 北京", "tab\\tnot"):
        body = message(text)
        for word in Question(text.replace('"', "")).expression.replace(" *", "").split(" AND "):
            assert word.strip('"') in body_words(body.media_type, body.body).lower()
        assert said_by(body.media_type, body.body) == text


def test_ended_facts_without_words_cost_nothing(writer: SqliteWriter) -> None:
    say(writer, ended(TRACE_A))
    assert writer.index() and writer.index()
    assert writer._database.number("SELECT count(*) FROM stretches") == 1


def test_a_list_that_comes_after_it_was_named_is_found_with_what_is_in_it(writer: SqliteWriter) -> None:
    known, said = Lists(), [payload(f"turn {n} of it") for n in range(5)]
    entry, body = known.entry([one.digest for one in said])
    later, longer = known.entry([one.digest for one in [*said, payload("the last")]])
    held = [Payload(digest(LIST, each), LIST, each) for each in (body, longer)]
    say(writer, started(TRACE_A, contents=[entry]), started(TRACE_B, contents=[later]), *said[:2])
    writer.index()
    say(writer, *held, *said[2:])
    writer.index()
    assert found(writer, '"turn 0"') == found(writer, '"turn 4"') == {TRACE_A, TRACE_B}
    say(writer, payload("the last"))
    writer.index()
    assert found(writer, "last") == {TRACE_B}
    writer.delete_trace(TRACE_B)
    assert writer.payload(payload("the last").digest) is None and writer.payload(said[4].digest) is not None


def test_names_are_written_down_also_where_few_are_remembered(
    writer: SqliteWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "_NAMED_LIMIT", 1)
    monkeypatch.setattr(searching, "_HELD_FRAMES", 1)
    for n in range(6):
        say_in(writer, bytes([n % 3 + 1]) * 16, payload(f"word {n}"), payload("the same"))
        writer.index()
    assert found(writer, "same") == {bytes([n]) * 16 for n in (1, 2, 3)}
    assert [len(found(writer, f'"word {n}"')) for n in range(6)] == [1] * 6


def test_a_letter_that_is_folded_to_two_is_shown_where_it_stands(writer: SqliteWriter) -> None:
    for text in ("ßßß die Straße ist lang", "STRASSE"):
        say_in(writer, TRACE_A, payload(text))
    hits = writer.search("strasse").hits
    assert sorted(hit.text[hit.start : hit.end] for hit in hits) == ["STRASSE", "Straße"]


def test_the_traces_that_say_it_are_told_to_a_limit_and_within_a_time(writer: SqliteWriter) -> None:
    for n in range(5):
        say_in(writer, bytes([n + 1]) * 16, payload(f"word {n}"))
    assert writer.search("word", budget_s=-1.0).hits == []  # nothing is indexed yet, and nothing was looked through
    traces, is_complete = writer.traces_saying("word", 2)
    assert len(traces) == 2 and not is_complete
    writer.index()
    assert [len(writer.traces_saying("word", most)[0]) for most in (1, 9)] == [1, 5]


def test_whose_a_deep_span_is_is_looked_for_only_so_far_above_it(writer: SqliteWriter) -> None:
    depth = searching._LOOKED_SPANS + 5
    ids = [bytes([n + 1]) * 8 for n in range(depth)]
    chain = [
        SpanStarted(TRACE_A, ids[n], ids[n - 1] if n else b"", 5, 0, "tool", f"deep {n}", "" if n else "planner")
        for n in range(depth)
    ]
    say(writer, *chain)
    agents = {hit.name: hit.agent for hit in writer.search("deep", limit=100).hits}
    assert agents["deep 3"] == "planner" and agents[f"deep {depth - 1}"] == ""


def test_a_frame_or_a_body_that_is_damaged_is_passed_over_by_a_search(path: Path) -> None:
    restore(path)
    writer = open_writer(path)
    say_in(writer, TRACE_B, payload("do it another time"))
    assert found(writer, "thing") == {TRACE_A}
    writer.close()
    raw = sqlite3.connect(path)
    raw.execute("UPDATE payloads SET codec = 2, body = x'00'")
    raw.execute("UPDATE frames SET body = x'c1', codec = 0 WHERE id = 3")
    raw.commit()
    raw.close()
    reader = open_reader(path)
    assert reader.search("thing").hits == [] and reader.traces_saying("another", 9)[0] == []
    assert any(line.startswith(f"payload {BODY.digest.hex()}: ") for line in reader.check())
    reader.close()


@pytest.mark.parametrize("before", [b"\xc1", b"\x91\x92\x63\xc4\x10"], ids=["no facts", "no fact"])
def test_a_hit_whose_frame_is_damaged_names_its_trace_and_no_span(path: Path, before: bytes) -> None:
    body = payload("find me")
    writer = open_writer(path)
    say_in(writer, TRACE_A, body)
    writer.index()
    writer.close()
    raw = sqlite3.connect(path)
    raw.execute("UPDATE frames SET codec = 0, body = ?", (before + body.digest,))
    raw.commit()
    raw.close()
    reader = open_reader(path)
    (hit,) = reader.search("find").hits
    assert (hit.trace_id, hit.span_id, hit.text) == (TRACE_A, b"", "find me")
    reader.close()
