"""From an anomaly that is told by webhook to its plot, over real processes: the link opens it, and there its marks show."""

import os
import time
from contextlib import closing
from pathlib import Path

from tests.alerting.servers import http_server
from tests.cli.terminal import DEADLINE_S, free_endpoint, serving, until
from tests.tui.pilots import Driver, driving
from trajectory.cli import main
from trajectory.collector.importing import WireDelivery
from trajectory.collector.remote import RemoteFeed
from trajectory.model.fact import Batch, Source, SpanEnded, SpanStarted
from trajectory.model.words import INPUT_TOKENS, MODEL_NAME, OUTPUT_TOKENS
from trajectory.view.link import parse_link
from trajectory.view.plotted import Plotted
from trajectory.view.reaching import pulled
from trajectory.view.views import SignalsQuery, SignalsView
from tui.screens.signals import SignalsScreen

SOURCE = Source(b"source-of-signal", os.urandom(16), {"service.name": "svc"})
QUIET = ("--otlp-http", "off", "--otlp-grpc", "off")
RULE = '[[rule]]\nname = "usage"\nkind = "anomaly.tokens"\nseverity = "info"\n'
MINUTE_NS, RUNS, JUMP = 60_000_000_000, 110, 90


def asking(number: int, now_ns: int) -> Batch:
    """One run a minute, the last of them now; from JUMP on a call takes six times the tokens."""
    at_ns, trace_id = now_ns - (RUNS - number) * MINUTE_NS, (number + 1).to_bytes(16, "big")
    ids = [(10 * number + n).to_bytes(8, "big") for n in (1, 2)]
    usage = {INPUT_TOKENS: (6000 if number >= JUMP else 1000) + number % 7, OUTPUT_TOKENS: 10}
    facts = [
        SpanStarted(trace_id, ids[0], b"", at_ns, 0, "agent", "planner", "planner"),
        SpanStarted(trace_id, ids[1], ids[0], at_ns + 1, 0, "model", "chat", attributes={MODEL_NAME: "gpt-4o"}),
        SpanEnded(trace_id, ids[1], at_ns + 10**9, 0, "ok", attributes=usage),
        SpanEnded(trace_id, ids[0], at_ns + 2 * 10**9, 0, "ok"),
    ]
    return Batch(SOURCE, 4 * number, facts)


async def shows(driver: Driver, said: str) -> None:
    """Lets the app tick until a text is on the screen."""
    ends_s = time.monotonic() + DEADLINE_S
    while said not in driver.text:
        assert time.monotonic() < ends_s, f"{said!r} is not in\n{driver.text}"
        driver.clock.passes(1)
        await driver.beat()


async def test_the_link_of_an_anomaly_opens_its_plot_which_says_how_its_alert_stands(tmp_path: Path) -> None:
    endpoint, policy = free_endpoint(), tmp_path / "alerts.toml"
    with http_server() as seen:
        policy.write_text(f'[channels.ops]\ntype = "webhook"\nurl = "{seen.url}"\n{RULE}')
        with (
            serving(tmp_path / "store", endpoint, "--alerts", str(policy), *QUIET),
            closing(RemoteFeed(endpoint)) as feed,
        ):
            now_ns = time.time_ns()
            with WireDelivery(endpoint) as delivery:
                delivery([asking(number, now_ns) for number in range(RUNS)])
            until(lambda: seen.got)
            told = seen.got[0].json
            link = parse_link(told["link"])
            begun_s = (now_ns - (RUNS - JUMP) * MINUTE_NS) // 10**9
            assert link.view == "signals" and link.plotted is not None and 0 <= link.plotted.at_s - begun_s < 120
            wanted = Plotted("tokens", "model", 0, "planner", "svc", "gpt-4o", "model", link.plotted.at_s)
            assert link.plotted == wanted

            async with driving(feed, size=(160, 45)) as driver:
                driver.app.go_to(told["link"])
                await shows(driver, "anomaly.tokens")
                screen = driver.app.screen
                assert isinstance(screen, SignalsScreen) and screen.here is not None and screen.here.name == "gpt-4o"
                begin_ns, end_ns = screen._stretch()
                assert begin_ns <= wanted.at_s * 10**9 < end_ns and "tokens  gpt-4o" in driver.text
                back = screen.place()
                assert (back.metric, back.by, back.agent, back.service) == ("tokens", "model", "planner", "svc")
                view = pulled(feed, SignalsQuery(by="model", minutes=360))
                assert isinstance(view, SignalsView)
                assert [(m.kind, m.name) for m in view.marks if m.kind == "anomaly.tokens"] == [
                    ("anomaly.tokens", "gpt-4o")
                ]
                for action, state in (("ack", "= acknowledged"), ("mute", "‖ muted")):
                    assert main(["alerts", action, told["key"], "--connect", endpoint]) == 0
                    await shows(driver, f"anomaly.tokens {state}")
