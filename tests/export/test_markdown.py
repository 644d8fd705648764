"""The report says what happened, and nothing that an agent said is rendered."""

import io
import re

import pytest
from hypothesis import given
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.export.build import Scene, trip
from tests.export.strategies import BREAKERS, calm, wild
from trajectory.export.markdown import MARKDOWN

# What the report itself uses; a link, an image, HTML, emphasis or struck text could only come from an agent.
OURS = {"text", "softbreak", "code_inline", "strong_open", "strong_close"}


def written(scene: Scene) -> str:
    out = io.BytesIO()
    MARKDOWN.write(scene.subject(), out)
    return out.getvalue().decode()


def tokens(text: str) -> list[Token]:
    """As GitHub reads it: it links schemes and e-mail, and names only where they begin with `www.` (a test of its own)."""
    reader = MarkdownIt("gfm-like", {"html": True})
    assert reader.linkify is not None
    reader.linkify.set({"fuzzy_link": False})
    return reader.parse(text)


def shape(text: str) -> list[tuple[str, str]]:
    """The report's blocks without its words, numbers and drawings."""
    return [(token.type, token.tag) for token in tokens(text)]


def test_it_tells_agents_delegations_tools_findings_and_the_path() -> None:
    text = written(trip())
    assert text.startswith("# Trace: Plan a trip\n")
    assert "| researcher | 1 | 1 | 1 | 100 | 20 | 1 |" in text
    assert "| coordinator | booker | transfer | declared | returned | do it | +5.0 s | 3.0 s |" in text
    assert "| search | 1 | 1 |" in text
    assert text.index("### critical: cascade") < text.index("### warning: context.lost")
    assert "- **Value:** wheelchair" in text
    path = re.findall(r"^\d\. (\w+) “([\w ]+)”", text, re.MULTILINE)
    assert path[0] == ("tool", "search") and path[-1] == ("agent", "booker") and len(path) == 6
    assert "1. tool “search” of researcher#&#8203;1 `0000000000000005`: 503 unavailable" in text


@calm
@given(wild)
def test_no_text_of_an_agent_becomes_markup(text: str) -> None:
    scene = trip(text)
    inline = [child for token in tokens(written(scene)) for child in token.children or ()]
    assert {token.type for token in inline} <= OURS
    assert "html_block" not in {token.type for token in tokens(written(scene))}


def test_a_name_of_a_web_site_is_no_link() -> None:
    assert "www." not in written(trip("see www.example.org"))


def test_the_report_has_the_same_blocks_whatever_agents_say() -> None:
    plain = shape(written(trip("x")))
    for breaker in BREAKERS:
        if breaker.strip():
            assert shape(written(trip(breaker))) == plain, breaker


def test_a_name_is_shown_as_it_is_written() -> None:
    name = "*a* _b_ `c` | <i>d</i> [e](http://f) &amp; \\"
    inline = [token for token in tokens(written(trip(f" {name}"))) if token.type == "inline"]
    shown = {"".join(child.content for child in token.children or ()) for token in inline}
    assert f"researcher {name}" in shown


@pytest.mark.parametrize("calling", ["@torvalds", "torvalds/linux#1", "#1", "GH-1", "gh-12"])
def test_a_report_in_an_issue_calls_nobody_and_refers_to_nothing(calling: str) -> None:
    texts = [child.content for token in tokens(written(trip(f" {calling}"))) for child in token.children or ()]
    assert any("\u200b" in text for text in texts)
    assert not any(calling in text for text in texts)  # GitHub looks into what is rendered


def test_an_empty_trace_is_a_short_report() -> None:
    text = written(Scene())
    assert text.startswith("# Trace: 00010203\n") and "##" not in text


def test_a_finding_about_a_span_that_never_came_is_told_by_its_id() -> None:
    scene = Scene()
    scene.found("flow.orphan", b"\xaa" * 8, "nobody took it up", path=[b"\xaa" * 8])
    assert "span `aaaaaaaaaaaaaaaa`" in written(scene)
