"""What the demo's agents can do: traced tools over the world, and how a model is told of them.

Invariant: a tool's result depends on its arguments and the world alone (`search_web` also on how often it was asked), and
every failure is the tool's own: an exception where a program would raise one, an error page where a server would send one.
Called by `agent`, which makes a fresh set for each piece of work.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import trajectory
from trajectory.cli.demo_team.conversation import DELEGATE
from trajectory.cli.demo_team.world import World, millions

Tool = Callable[..., Any]
Pause = Callable[[float], None]


def tools_for(role: str, world: World, pause: Pause) -> dict[str, Tool]:
    """The tools of a role by name. `pause(s)` passes the time that a call takes, in seconds at pace 1."""
    makers: Mapping[str, Callable[[World, Pause], list[Tool]]] = {
        "research": _for_research,
        "coder": _for_coder,
        "tester": _for_tester,
        "writer": _for_writer,
        "reviewer": _for_reviewer,
    }
    make = makers.get(role)
    return {tool.__name__: tool for tool in make(world, pause)} if make else {}


def _for_research(world: World, pause: Pause) -> list[Tool]:
    asked: Counter[str] = Counter()

    @trajectory.tool
    def search_web(query: str) -> list[dict[str, str]]:
        """Finds filings and press on a region."""
        asked[query] += 1
        pause(0.4)
        return world.search(query, asked[query])

    @trajectory.tool
    def fetch_page(source: str) -> str:
        """Opens a filing's page."""
        pause(0.35)
        return world.page(source)

    @trajectory.tool
    def read_cache(source: str, quarter: str, fiscal_year: str = "") -> dict[str, Any]:
        """Reads the cached copy of a filing."""
        pause(0.1)
        return world.cached(source, quarter, fiscal_year)

    return [search_web, fetch_page, read_cache]


def _for_coder(world: World, pause: Pause) -> list[Tool]:
    @trajectory.tool
    def draw_chart(figures: dict[str, float]) -> str:
        """Draws a bar for each region, one sign for each two million."""
        pause(0.3)
        return "\n".join(f"{region:<5}{'█' * round(amount / 2)} {amount}" for region, amount in figures.items())

    return [draw_chart]


def _for_tester(world: World, pause: Pause) -> list[Tool]:
    @trajectory.tool
    def run_checks(chart: str, figures: dict[str, float]) -> str:
        """Checks that the chart has one labelled bar of the right length for each figure."""
        pause(0.3)
        rows = dict(row.split(maxsplit=1) for row in chart.splitlines() if row.strip())
        wrong = [
            region for region, amount in figures.items() if rows.get(region) != f"{'█' * round(amount / 2)} {amount}"
        ]
        return f"{len(figures)} bars checked, {len(wrong)} errors found"

    return [run_checks]


def _for_writer(world: World, pause: Pause) -> list[Tool]:
    @trajectory.tool
    def count_words(text: str) -> int:
        """Counts the words of a text."""
        pause(0.05)
        return len(text.split())

    return [count_words]


def _for_reviewer(world: World, pause: Pause) -> list[Tool]:
    @trajectory.tool
    def check_totals(figures: dict[str, float], fiscal_year: str = "") -> str:
        """Compares figures with the audited ledger. Raises ValueError where they differ."""
        pause(0.25)
        ledger = world.ledger()
        wrong = {region: amount for region, amount in figures.items() if round(amount * 10) != ledger.get(region)}
        if wrong:
            each = (f"{region} total {millions(ledger.get(region, 0))} ≠ {amount}M" for region, amount in wrong.items())
            raise ValueError("; ".join(each))
        return f"totals agree: {len(figures)} of {len(figures)}"

    return [check_totals]


DELEGATING = ("planner", "coder", "writer")

_TEXT = {"type": "string"}
_GIVING = {
    "type": "function",
    "name": DELEGATE,
    "description": "Gives work to a colleague.",
    "parameters": {
        "type": "object",
        "properties": {"agent": _TEXT, "task": _TEXT, "mode": {"type": "string", "enum": ["call", "transfer"]}},
        "required": ["agent", "task"],
    },
}


def offered(role: str, tools: Mapping[str, Tool]) -> list[Any]:
    """What a role's model is told that it can use: the tools themselves, and giving work away where the role may."""
    giving = [_GIVING] if role in DELEGATING else []
    return [*tools.values(), *giving]
