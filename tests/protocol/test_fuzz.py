"""Whatever comes out of a wire, a disk or a header is read or refused, however close to valid it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.altered import TELLING, altered
from tests.protocol.mouth import TooDearError, costed
from tests.protocol.mouths import Mouth, mouths
from trajectory.protocol import frames

MOUTHS = mouths()


@pytest.mark.parametrize("mouth", MOUTHS, ids=lambda mouth: mouth.name)
def test_valid_bytes_with_faults_in_them_are_read_or_refused(mouth: Mouth) -> None:
    @given(altered(mouth.samples))
    def feed(raw: bytes) -> None:
        mouth.read(raw)

    feed()


@pytest.mark.parametrize("mouth", MOUTHS, ids=lambda mouth: mouth.name)
@given(raw=st.binary(max_size=200) | st.lists(st.sampled_from(TELLING)).map(b"".join))
def test_bytes_of_any_kind_are_read_or_refused(mouth: Mouth, raw: bytes) -> None:
    mouth.read(raw)


@pytest.mark.parametrize("raw", [b"\x81\x90\x01", b"\x81\x80\x01", b"\x91\x81\x91\xc0\x01"])
def test_a_map_with_a_list_for_a_key_is_no_plain_value(raw: bytes) -> None:
    with pytest.raises(ValueError, match="no plain value"):
        frames.unpack(raw)


@pytest.mark.parametrize("mouth", MOUTHS, ids=lambda mouth: mouth.name)
def test_what_is_taken_costs_what_befits_it(mouth: Mouth) -> None:
    for sample in mouth.samples:
        costed(mouth.read)(sample)


def test_a_case_that_takes_too_much_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.protocol.mouth.MOST_BYTES", -1)
    with pytest.raises(TooDearError, match="3 bytes took"):
        costed(lambda raw: None)(b"raw")
