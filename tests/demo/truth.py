"""What the demo contains, by construction: the measure for what detectors say about it. Never shown to them.

Invariant: written from the script and the world, independent of any run, so a run can be checked against it. Called by
tests and by people who judge findings.
"""

from dataclasses import dataclass

from trajectory.cli.demo_team.world import CURRENCY, FAILING_SOURCE, FISCAL_YEAR, World, millions


@dataclass(frozen=True)
class Delegated:
    """How often one agent gives work to another, and in which mode."""

    source: str
    target: str
    mode: str
    count: int


@dataclass(frozen=True)
class Truth:
    """The demo's structure. `tools` are (calls, errors) by name, `model_calls` by agent, summed over its invocations."""

    invocations: dict[str, int]
    delegations: tuple[Delegated, ...]
    model_calls: dict[str, int]
    tools: dict[str, tuple[int, int]]
    root_agent: str  # the cascade began in the second invocation of it
    root_tool: str  # whose span is OK and whose result says failure
    root_source: str
    root_text: str
    path: tuple[str, ...]  # agents that the wrong figure went through, root first
    wrong_figure: str
    right_figure: str
    surfaced_tool: str  # raises ValueError over the wrong figure
    lost: tuple[str, ...]  # constraints that never crossed `lost_between`
    lost_between: tuple[str, str]
    dropped_on_return: str  # of the stale figure: known to the root agent, never told to anyone
    retried_tool: str  # fails with TimeoutError, then succeeds: harmless
    retried_failures: int
    harmless_text: str  # sounds like an error and is none
    failing_region: str


def truth(seed: int) -> Truth:
    """What a run under this seed contains."""
    world = World.of(seed)
    return Truth(
        invocations={"planner": 1, "research": 2, "coder": 1, "tester": 1, "writer": 1, "reviewer": 1},
        delegations=(
            Delegated("planner", "research", "call", 2),
            Delegated("planner", "coder", "call", 1),
            Delegated("coder", "tester", "call", 1),
            Delegated("planner", "writer", "transfer", 1),
            Delegated("writer", "reviewer", "call", 1),
        ),
        model_calls={"planner": 3, "research": 7, "coder": 3, "tester": 2, "writer": 3, "reviewer": 2},
        tools={
            "search_web": (2 + world.timeouts, world.timeouts),
            "fetch_page": (2, 0),
            "read_cache": (1, 0),
            "draw_chart": (1, 0),
            "run_checks": (1, 0),
            "count_words": (1, 0),
            "check_totals": (1, 1),
        },
        root_agent="research",
        root_tool="fetch_page",
        root_source=FAILING_SOURCE,
        root_text="HTTP 503 Service Unavailable",
        path=("research", "planner", "writer", "reviewer"),
        wrong_figure=millions(world.cached_tenths),
        right_figure=millions(world.audited_tenths),
        surfaced_tool="check_totals",
        lost=(FISCAL_YEAR, CURRENCY),
        lost_between=("planner", "research"),
        dropped_on_return=world.cached_as_of,
        retried_tool="search_web",
        retried_failures=world.timeouts,
        harmless_text="0 errors found",
        failing_region=world.failing_region,
    )
