"""What an agent says may not drive a terminal."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from trajectory.view.text import cells, clean, fit, truncate, wrapped

hostile = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\x1b\x07\x9b\x9d\r\n\t\x00\x7f\u202e\u2066\u200b\u200d\ufe0f\u0301\ud800\U000e0041日👩[]"),
    ),
    max_size=200,
)


@given(hostile)
def test_clean_text_holds_no_control_code_and_nothing_bidirectional(text: str) -> None:
    for char in clean(text):
        assert unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")
        assert unicodedata.bidirectional(char) not in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


@given(hostile)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(hostile, st.integers(0, 60))
def test_fitted_text_has_exactly_its_width(text: str, width: int) -> None:
    assert cell_len(fit(text, width)) == width
    assert cell_len(fit(text, width, right=True)) == width


@given(hostile, st.integers(0, 60))
def test_truncated_text_is_never_wider_than_its_limit(text: str, limit: int) -> None:
    assert cell_len(truncate(text, limit)) <= limit


@given(hostile)
def test_cells_agree_with_the_terminal_library(text: str) -> None:
    assert cells(clean(text)) == cell_len(clean(text))


@given(hostile, st.integers(2, 40))
def test_wrapping_loses_nothing_and_keeps_to_the_width(text: str, width: int) -> None:
    pieces = wrapped(text, width)
    assert "".join(pieces) == clean(text)
    assert all(cell_len(piece) <= width for piece in pieces)


def test_an_escape_sequence_stays_visible() -> None:
    assert clean("\x1b]0;owned\x07") == "␛]0;owned␇"


def test_colour_codes_are_dropped_as_noise() -> None:
    assert clean("\x1b[1;31mred\x1b[0m") == "red"


def test_a_hidden_direction_change_is_named() -> None:
    assert clean("abc\u202egpj.exe") == "abc‹202e›gpj.exe"


def test_line_ends_become_signs() -> None:
    assert clean("a\r\nb\nc\td") == "a⏎b⏎c d"


def test_accents_stay_and_towers_of_them_are_cut() -> None:
    assert clean("e\u0301") == "e\u0301"
    assert len(clean("e" + "\u0301" * 50)) == 3


def test_wide_characters_are_never_halved() -> None:
    assert truncate("日本語", 4) == "日…"
    assert fit("日本語", 4) == "日… "
