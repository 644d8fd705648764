"""Whatever an agent, or a finding in its stream, says: what a command prints drives no terminal."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trajectory.cli import findings, main
from trajectory.cli.output import json_line, table
from trajectory.model.fact import Evidence, Finding

HOSTILE = "\x1b]0;t\x07\x9b31m\x9d0;t\x9c\u202e\u2066\u200b\ufeff\ud800\U000e0041\U0001d173日👩\n\r\x00"


def unseen(text: str) -> list[str]:
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


@given(st.text(st.one_of(st.characters(), st.sampled_from(HOSTILE))))
def test_a_line_of_json_says_all_and_shows_all(text: str) -> None:
    line = json_line({text: [text]})
    assert not unseen(line)
    assert line.encode()
    assert json.loads(line) == {text: [text]}


def test_a_finding_of_a_stranger_prints_no_control_in_any_field() -> None:
    said = Finding(
        HOSTILE,
        HOSTILE,
        0.5,
        b"t" * 16,
        b"s" * 8,
        HOSTILE,
        HOSTILE,
        HOSTILE,
        HOSTILE,
        evidence=[Evidence(b"", HOSTILE)],
    )
    assert not unseen("".join(findings.lines(said, with_trace=True)))


def test_a_fault_that_names_a_hostile_file_prints_no_control(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traces", "--store", "/nowhere/\x1b[31m\x9b2J.db"]) == 2
    assert not unseen(capsys.readouterr().err.rstrip("\n"))


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "@SUM(1)", "+1+cmd|'x'!A0", "-2+3+x"])
def test_a_cell_that_is_piped_is_no_formula(name: str) -> None:
    assert table(["AGENT", "N"], [[name, "1"]]) == ["AGENT\tN", f"'{name}\t1"]


@pytest.mark.parametrize("cell", ["+12 %", "-1.5 s", "-", "+3", "·", "a=b", "-0.25", "+1,200 ms"])
def test_a_number_with_its_sign_is_piped_as_it_is(cell: str) -> None:
    assert table(["A"], [[cell]]) == ["A", cell]
