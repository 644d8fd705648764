"""Words of evidence: what is quoted begins and ends with whole words, and says where more stands."""

from hypothesis import given
from hypothesis import strategies as st

from trajectory.detection.words import around

TEXT = "Write a one-page memo on revenue by region, in EUR, for fiscal year FY25; use only audited sources, at most 400 words."


def test_a_quotation_is_cut_at_words_and_says_so() -> None:
    start = TEXT.index("EUR")
    assert around(TEXT, start, start + 3, chars=40) == "…by region, in EUR, for fiscal year…"


def test_a_quotation_of_the_whole_text_is_the_text() -> None:
    assert around("at most 900 EUR", 8, 11) == "at most 900 EUR"


@given(st.text(st.characters(codec="utf-8"), max_size=300), st.data())
def test_a_quotation_keeps_its_place_and_its_length(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    said = around(text, start, end, chars=60)
    assert len(said) <= 60
    assert " ".join(text[start:end].split()) in said
