"""Collectors that tell of alerts, for real: over a kill, a policy that changes, a state that two want, and by command."""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.alerting.servers import Says, http_server
from tests.cli.terminal import Done, free_endpoint, serving, trajectory, until
from trajectory.cli import main
from trajectory.collector.importing import WireDelivery
from trajectory.collector.keyring import Keyring
from trajectory.collector.remote import RemoteFeed
from trajectory.model.content import digest
from trajectory.model.fact import Batch, Payload, Source, SpanEnded, SpanStarted
from trajectory.protocol.keys import client_keys
from trajectory.view.rows import RunsQuery, RunsView

SOURCE = Source(b"source-of-alerts", os.urandom(16), {"service.name": "svc"})
QUIET = ("--otlp-http", "off", "--otlp-grpc", "off")
FAILED = b"HTTP 503 Service Unavailable: the upstream server is down"
RULE = '[[rule]]\nname = "all"\ngroup_by = ["trace"]\n'


def failing_run(number: int) -> Batch:
    """A run in which a tool says failure as a success."""
    trace_id, now_ns, body = number.to_bytes(16, "big"), time.time_ns(), digest("text/plain", FAILED)
    ids = [(10 * number + n).to_bytes(8, "big") for n in (1, 2)]
    facts = [
        Payload(body, "text/plain", FAILED),
        SpanStarted(trace_id, ids[0], b"", now_ns, 0, "agent", "helper", "helper"),
        SpanStarted(trace_id, ids[1], ids[0], now_ns + 1, 0, "tool", "fetch"),
        SpanEnded(trace_id, ids[1], now_ns + 2, 0, "ok", contents={"result": [body]}),
        SpanEnded(trace_id, ids[0], now_ns + 3, 0, "ok"),
    ]
    return Batch(SOURCE, 5 * number, facts)


def deliver(endpoint: str, *numbers: int, key: Path | None = None) -> None:
    with WireDelivery(endpoint, client_keys(str(key)) if key else None) as delivery:
        delivery([failing_run(number) for number in numbers])


def hook(url: str, per_minute: int = 600) -> str:
    return f'[channels.ops]\ntype = "webhook"\nurl = "{url}"\nper_minute = {per_minute}\n'


def notices_of(endpoint: str) -> Callable[[], str]:
    def notices() -> str:
        feed = RemoteFeed(endpoint, timeout_s=10)
        try:
            view = feed.pull(RunsQuery(), -1)
            return " ".join(view.health.notices) if isinstance(view, RunsView) else ""
        finally:
            feed.close()

    return notices


def test_no_alert_is_lost_over_a_kill_and_one_sent_twice_has_the_same_id(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, policy, endpoint = tmp_path / "store", tmp_path / "alerts.toml", free_endpoint()

    def alerts(*words: str, at: str = "") -> int:
        return main(["alerts", *words, *(("--connect", at) if at else ("--store", str(store)))])

    def states(at: str = "") -> dict[str, str]:
        capsys.readouterr()
        assert alerts("--json", at=at) == 0
        return {one["key"]: one["state"] for one in map(json.loads, capsys.readouterr().out.splitlines())}

    with http_server(last=Says(503)) as down, http_server() as up:
        policy.write_text(hook(down.url) + RULE)
        words = ("--alerts", str(policy), *QUIET)
        with serving(store, endpoint, *words) as collector:
            deliver(endpoint, 0, 1, 2)
            until(lambda: down.got)
            deliver(endpoint, 3, 4)
            collector.send_signal(signal.SIGKILL)
            collector.wait(30)
        policy.write_text(hook(up.url) + RULE)
        with serving(store, endpoint, *words):
            told = lambda: {got.json["trace_id"] for got in up.got}  # noqa: E731
            until(lambda: len(told()) == 5, lambda: f"told of {told()}")
            counts = Counter(got.headers["idempotency-key"] for got in up.got)
            assert set(counts) >= {got.headers["idempotency-key"] for got in down.got}
            assert {got.json["service"] for got in up.got} == {"svc"}
            assert alerts("--json") == 0
            listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
            assert len(listed) == 5 and {one["state"] for one in listed} == {"open"}
            one, other, third = listed[0], listed[1]["key"], listed[2]["key"]
            assert states(endpoint) == states()  # over the wire as from the file
            assert alerts("ack", one["key"], at=endpoint) == 0
            until(lambda: any(got.json["action"] == "acknowledge" for got in up.got))
            assert alerts("mute", other, "--for", "1h") == 0
            until(lambda: Counter(states(endpoint).values()) == {"open": 3, "acknowledged": 1, "muted": 1})
            assert alerts("show", one["key"], at=endpoint) == 0
            shown = capsys.readouterr().out
            assert one["link"] in shown and "goes to ops" in shown
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("store.alerts*")} == {0o600}
    assert alerts("ack", third) == 0  # at rest
    assert (
        Counter(states().values()) == {"open": 2, "acknowledged": 2, "muted": 1} and states()[third] == "acknowledged"
    )
    assert alerts("list", at=endpoint) == 2 and "is a collector running there?" in capsys.readouterr().err


def test_at_a_collector_elsewhere_alerts_want_a_key_and_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, policy, endpoint, keys = tmp_path / "store", tmp_path / "alerts.toml", free_endpoint(), tmp_path / "keys"
    ring = Keyring(keys)
    ring.begin()
    for role in ("emit", "watch"):
        ring.add(role, role)
    policy.write_text(f'state = "{tmp_path / "elsewhere"}"\n' + RULE)

    def asked(*words: str, key: str = "") -> Done:
        code = main(["alerts", *words, *(("--key", str(keys / f"{key}.key")) if key else ()), "--json"])
        return Done(code, *capsys.readouterr())

    with serving(store, endpoint, "--alerts", str(policy), "--keys", str(keys), *QUIET):
        deliver(endpoint, 0, key=keys / "emit.key")
        at = ("--connect", endpoint)
        (one,) = until(lambda: asked("list", *at, key="watch").json_lines())
        nobody, emitter = asked("list", *at), asked("ack", one["key"], *at, key="emit")
        assert (nobody.code, emitter.code) == (2, 2)
        assert "asks for a key" in nobody.err and "may emit and not read" in emitter.err
        assert asked("ack", one["key"][:5], *at, key="watch").code == 0
        # Whoever names the store, and not where its policy keeps the state, is told by its collector.
        until(lambda: asked("--store", str(store), key="watch").json_lines()[0]["state"] == "acknowledged")


def test_a_policy_is_read_again_when_it_changes_and_a_wrong_one_is_told_of_and_the_old_one_stays(
    tmp_path: Path,
) -> None:
    store, policy, endpoint = tmp_path / "store", tmp_path / "alerts.toml", free_endpoint()
    with http_server() as first, http_server() as second:
        policy.write_text(hook(first.url) + RULE)
        with serving(store, endpoint, "--alerts", str(policy), *QUIET) as collector:
            notices = notices_of(endpoint)
            deliver(endpoint, 0)
            until(lambda: first.got)
            policy.write_text(hook(second.url) + RULE + 'severity = "hihg"\n')
            collector.send_signal(signal.SIGHUP)
            said = "alerts.toml:8: rule[0].severity: 'hihg' is none; expected info, warning, critical"
            until(lambda: said in notices(), notices)
            deliver(endpoint, 1)
            until(lambda: len(first.got) == 2)
            policy.write_text(hook(second.url) + RULE)
            until(lambda: "hihg" not in notices(), notices)
            deliver(endpoint, 2)
            until(lambda: second.got)
            assert len(first.got) == 2


def test_two_collectors_with_one_state_are_told_so_and_the_second_sends_when_the_first_is_gone(tmp_path: Path) -> None:
    policy = tmp_path / "alerts.toml"
    ends = [free_endpoint(), free_endpoint()]
    with http_server() as seen:
        policy.write_text(f'state = "{tmp_path / "one.state"}"\n' + hook(seen.url) + RULE)
        words = ("--alerts", str(policy), *QUIET)
        with serving(tmp_path / "b", ends[1], *words):
            with serving(tmp_path / "a", ends[0], *words):
                said = [notices_of(end) for end in ends]
                until(lambda: any("no alerts are sent: " in each() for each in said))
                assert "name another state in the policy" in said[0]() + said[1]()
                deliver(ends[1], 1)
            until(lambda: seen.got)


def test_without_a_policy_nothing_is_begun_and_a_wrong_one_is_bad_usage(tmp_path: Path) -> None:
    store = tmp_path / "store"
    wrong = tmp_path / "alerts.toml"
    wrong.write_text("[[rule]]\nkind = 3\n")
    done = trajectory("serve", "--store", store, "--bind", free_endpoint(), "--alerts", wrong, *QUIET)
    assert done.code == 2 and "alerts.toml:2: rule[0].kind: expected `str | array`" in done.err
    assert not store.exists() and not store.with_name("store.alerts").exists()
    done = trajectory("alerts", "test", "ops", "--policy", tmp_path / "none.toml")
    assert done.code == 2 and "cannot be read" in done.err


def test_a_channel_is_tried_by_command_and_no_secret_is_printed(tmp_path: Path) -> None:
    policy = tmp_path / "alerts.toml"
    with http_server(Says(), Says(403, body=b"token s3cret-token-9 is unknown")) as seen:
        policy.write_text(f'[channels.ops]\ntype = "webhook"\nurl = "{seen.url}"\ntoken = "env:OPS_TOKEN"\n')
        words = ("alerts", "test", "ops", "--policy", policy, "--json")
        taken = trajectory(*words, OPS_TOKEN="s3cret-token-9")
        refused = trajectory(*words, OPS_TOKEN="s3cret-token-9")
        unset = trajectory(*words)
    assert (taken.code, refused.code, unset.code) == (0, 1, 2)
    assert json.loads(taken.out)["taken"] is True and seen.got[0].json["action"] == "test"
    assert "the environment has no OPS_TOKEN" in unset.err
    assert all("s3cret" not in done.out + done.err for done in (taken, refused, unset))
