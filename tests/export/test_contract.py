"""An exporter is found by the longest suffix, and its file is private and whole or not there."""

import os
import stat
import tomllib
import unicodedata
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.export.build import fold, trip
from trajectory.dialects.jsonl import read_jsonl
from trajectory.errors import ConfigError
from trajectory.export.contract import ENTRY_POINT, GRAPHS, TRACE, Exporter, Subject, choose, write_file
from trajectory.export.formats import formats
from trajectory.export.jsonl import JSONL
from trajectory.model.fact import Payload

OURS = {
    "graphml": "trajectory.export.graphs:GRAPHML",
    "gexf": "trajectory.export.graphs:GEXF",
    "json": "trajectory.export.graphs:NODE_LINK",
    "dot": "trajectory.export.dot:DOT",
    "gv": "trajectory.export.dot:GV",
    "mmd": "trajectory.export.mermaid:MMD",
    "mermaid": "trajectory.export.mermaid:MERMAID",
    "svg": "trajectory.export.svg:SVG",
    "jsonl": "trajectory.export.jsonl:JSONL",
    "otlp.json": "trajectory.export.otlp:OTLP_JSON",
    "otlp.pb": "trajectory.export.otlp:OTLP_PROTOBUF",
    "trace.json": "trajectory.export.chrome:CHROME_TRACE",
    "md": "trajectory.export.markdown:MARKDOWN",
}
ENTRIES = [EntryPoint(name, value, ENTRY_POINT) for name, value in OURS.items()]


class Csv:
    """A stranger's exporter."""

    suffix = ".csv"
    of = frozenset({TRACE})

    def write(self, subject: Subject, out: BinaryIO) -> None:
        out.write(b"a,b\n")


class Broken(Csv):
    def write(self, subject: Subject, out: BinaryIO) -> None:
        out.write(b"half")
        raise RuntimeError("in the middle")


CSV = Csv()
STRANGERS = [EntryPoint("csv", f"{__name__}:CSV", ENTRY_POINT), EntryPoint("bad", "no.such.module:X", ENTRY_POINT)]


class Flat(Csv):
    """One that draws spans and nothing else."""

    suffix = ".flat"
    of = frozenset({"spans"})


FLAT = EntryPoint("flat", f"{__name__}:Flat", ENTRY_POINT)


@pytest.mark.parametrize("name", OURS)
def test_every_exporter_is_registered_under_its_suffix_and_writes(name: str, tmp_path: Path) -> None:
    exporter: Exporter = EntryPoint(name, OURS[name], ENTRY_POINT).load()
    assert exporter.suffix == f".{name}" and exporter.of <= GRAPHS | {TRACE}
    for of in sorted(exporter.of):
        file = write_file(tmp_path / f"x.{name}", choose(f"x.{name}", of, ENTRIES), trip().subject(of))
        assert file.stat().st_size > 100


@pytest.mark.parametrize(
    ("path", "of", "suffix"),
    [
        ("out/x.otlp.json", TRACE, ".otlp.json"),
        ("x.trace.json", TRACE, ".trace.json"),
        ("x.JSONL", TRACE, ".jsonl"),
        ("x.json", "spans", ".json"),
        ("a.otlp.json", "delegations", ".json"),
        ("Drawing.SVG", "delegations", ".svg"),
        ("x.csv", TRACE, ".csv"),
    ],
)
def test_the_longest_suffix_that_can_write_it_is_chosen(path: str, of: str, suffix: str) -> None:
    assert choose(path, of, ENTRIES + STRANGERS).suffix == suffix


def test_an_unknown_suffix_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ConfigError) as refused:
        choose("x.json", TRACE, ENTRIES + STRANGERS)
    assert refused.value.key == "output"
    assert str(refused.value) == (
        "no exporter writes a trace as 'x.json': end its name in .csv, .jsonl, .md, .otlp.json, .otlp.pb, .trace.json, "
        "or use trajectory graph"
    )
    with pytest.raises(
        ConfigError, match=r"^no exporter writes a graph of spans as 'x.md': .*, or use trajectory export$"
    ):
        choose("x.md", "spans", ENTRIES)
    with pytest.raises(ConfigError, match=r"writes a trace as 'x.html': .* \.trace\.json$"):
        choose("x.html", TRACE, ENTRIES)
    with pytest.raises(ConfigError, match=r"^no exporter writes a graph of delegations as 'x.flat': [^,]*(, \.\w+)*$"):
        choose("x.flat", "delegations", [*ENTRIES, FLAT])
    with pytest.raises(ConfigError, match=r"\.dot, \.gexf, \.graphml, \.gv, \.json, \.mermaid, \.mmd, \.svg$"):
        choose("noSuffix", "spans", ENTRIES)


def test_an_exporter_that_cannot_be_loaded_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^the exporter 'zip' cannot be loaded: \"No module named 'none_such'\""):
        choose("x.zip", TRACE, [EntryPoint("zip", "none_such:Zip", ENTRY_POINT)])


def test_an_unknown_subject_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot export 'agents': choose delegations, spans or provenance"):
        choose("x.svg", "agents", ENTRIES)


def test_an_export_is_private_to_its_owner(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        file = write_file(tmp_path / "x.csv", CSV, trip().subject())
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and file.read_bytes() == b"a,b\n"


def test_an_export_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("before")
    with pytest.raises(RuntimeError):
        write_file(file, Broken(), trip().subject())
    assert file.read_text() == "before" and list(tmp_path.iterdir()) == [file]


def test_a_link_is_followed_and_kept(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "x.csv"
    link.symlink_to(tmp_path / "real" / "y.csv")
    write_file(link, CSV, trip().subject())
    assert link.is_symlink() and (tmp_path / "real" / "y.csv").read_bytes() == b"a,b\n"


@pytest.mark.parametrize("name", ["missing/x.csv", "", "a\0b.csv", "x" * 300 + ".csv"])
def test_a_place_that_cannot_be_written_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        write_file(f"{tmp_path}/{name}", CSV, trip().subject())
    assert "name another output file" in str(refused.value) and "\n" not in str(refused.value)


def test_a_pipe_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "x.csv"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match="no regular file"):
        write_file(pipe, CSV, trip().subject())
    assert pipe.is_fifo()


def test_jsonl_brings_the_bodies_that_its_facts_name_once_and_first(tmp_path: Path) -> None:
    scene = trip()
    file = write_file(tmp_path / "x.jsonl", JSONL, scene.subject())
    batches = list(read_jsonl(file.read_bytes().splitlines(keepends=True)))
    facts = [fact for batch in batches for fact in batch.facts]
    payloads = [fact for fact in facts if isinstance(fact, Payload)]
    assert {p.digest: (p.media_type, p.body) for p in payloads} == scene.bodies
    assert len(payloads) == len(scene.bodies)
    seen: set[bytes] = set()
    for fact in facts:
        if isinstance(fact, Payload):
            seen.add(fact.digest)
        assert all(d in seen for digests in getattr(fact, "contents", {}).values() for d in digests)
    assert [fact for fact in facts if not isinstance(fact, Payload)] == [fact for _, fact in scene.facts]
    assert fold(batches).agents().keys() == scene.trace().agents().keys()


def test_the_package_registers_what_it_brings() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["entry-points"][ENTRY_POINT] == OURS


UNSEEN = "\x1b]0;t\x07\x9b31m\x9d0;t\x9c\u202e\u2066\u200b\ufeff\U000e0041\U0001d173日👩\x7f"
TEXTS = [name for name in OURS if name not in ("otlp.pb", "graphml", "gexf")]  # XML's readers change what is escaped


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_that_is_shown_in_a_terminal_drives_it_nowhere(name: str, tmp_path: Path) -> None:
    exporter: Exporter = EntryPoint(name, OURS[name], ENTRY_POINT).load()
    for of in exporter.of:
        scene = trip(UNSEEN)
        path = write_file(
            tmp_path / f"{of}.{name}", exporter, Subject(scene.subject().trace, scene.subject().batches, of)
        )
        said = path.read_text().replace("\n", "")
        assert not [c for c in said if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
        if "json" in name:
            assert "日👩" in said


def test_a_strangers_formats_are_offered_beside_ours_and_what_cannot_be_loaded_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = formats()
    monkeypatch.setattr("trajectory.export.formats.entry_points", lambda group: [*ENTRIES, *STRANGERS, FLAT])
    others = [(each.suffix, each.of, each.title) for each in formats() if each not in ours]
    assert others == [(".csv", TRACE, "by an exporter of yours"), (".flat", "spans", "by an exporter of yours")]
