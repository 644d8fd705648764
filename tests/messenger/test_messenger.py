"""Processes that tell of alerts, for real: over kills, a policy that changes, a state that two want; and what people ask."""

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.alerting.mailing import mail_server
from tests.alerting.servers import Says, http_server
from tests.cli.terminal import Done, free_endpoint, serving, until
from trajectory.cli import main
from trajectory.cli.alerting import policy_file
from trajectory.collector.importing import WireDelivery
from trajectory.collector.keyring import Keyring
from trajectory.collector.pipeline import Pipeline
from trajectory.collector.remote import RemoteFeed
from trajectory.detection.silent_failure import SilentFailures
from trajectory.messenger.beside import MessengerProcess
from trajectory.messenger.process import Settings
from trajectory.model.content import digest
from trajectory.model.fact import Batch, Payload, Source, SpanEnded, SpanStarted
from trajectory.protocol.keys import client_keys
from trajectory.store.sqlite import open_writer
from trajectory.view.reaching import pulled
from trajectory.view.views import RunsQuery, RunsView

SOURCE = Source(b"source-of-alerts", os.urandom(16), {"service.name": "svc"})
QUIET = ("--otlp-http", "off", "--otlp-grpc", "off")
FAILED = b"HTTP 503 Service Unavailable: the upstream server is down"
RULE = '[[rule]]\nname = "all"\ngroup_by = ["trace"]\n'
Deliver = Callable[..., None]


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


@contextmanager
def judged(store: Path) -> Iterator[Deliver]:
    """A store that is written and judged here; called with the numbers of the runs that come."""
    with closing(open_writer(str(store))) as writer:
        pipeline = Pipeline(writer, [SilentFailures], time.time_ns)

        def deliver(*numbers: int) -> None:
            runs = [failing_run(number) for number in numbers]
            pipeline.store(runs)
            pipeline.fold(runs)
            pipeline.finish()

        yield deliver


@contextmanager
def telling(store: Path, policy: Path) -> Iterator[MessengerProcess]:
    process = MessengerProcess(Settings(str(store), str(policy), 0))
    try:
        yield process
    finally:
        process.close()


def hook(url: str) -> str:
    return f'[channels.ops]\ntype = "webhook"\nurl = "{url}"\nper_minute = 600\n'


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    def run(*words: object) -> Done:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Done(code, *capsys.readouterr())

    return run


def test_no_alert_is_lost_over_a_kill_and_one_sent_twice_has_the_same_id(tmp_path: Path) -> None:
    store, policy = tmp_path / "store", tmp_path / "alerts.toml"
    with http_server(last=Says(503)) as down, http_server() as up, judged(store) as deliver:
        policy.write_text(hook(down.url) + RULE)
        deliver(0, 1, 2)
        with telling(store, policy) as process:
            until(lambda: down.got)
            deliver(3, 4)
            policy.write_text(hook(up.url) + RULE)
            first = process.pid
            os.kill(first, signal.SIGKILL)
            until(lambda: process.pid not in (0, first))
            told = lambda: {got.json["trace_id"] for got in up.got}  # noqa: E731
            until(lambda: len(told()) == 5, lambda: f"told of {told()}")
    counts = Counter(got.headers["idempotency-key"] for got in up.got)
    assert set(counts) >= {got.headers["idempotency-key"] for got in down.got}
    assert {got.json["service"] for got in up.got} == {"svc"}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("store.alerts*")} == {0o600}


def test_a_policy_is_read_again_when_it_changes_and_a_wrong_one_is_told_of_and_the_old_one_stays(
    tmp_path: Path,
) -> None:
    store, policy = tmp_path / "store", tmp_path / "alerts.toml"
    with http_server() as first, http_server() as second, judged(store) as deliver:
        policy.write_text(hook(first.url) + RULE)
        with telling(store, policy) as process:
            deliver(0)
            until(lambda: first.got)
            policy.write_text(hook(second.url) + RULE + 'severity = "hihg"\n')
            process.read_again()
            said = "alerts.toml:8: rule[0].severity: 'hihg' is none; expected info, warning, critical"
            until(lambda: any(said in notice for notice in process.notices), lambda: str(process.notices))
            deliver(1)
            until(lambda: len(first.got) == 2)
            policy.write_text(hook(second.url) + RULE)
            process.read_again()
            until(lambda: not process.notices, lambda: str(process.notices))
            deliver(2)
            until(lambda: second.got)
            assert len(first.got) == 2


def test_a_policy_that_is_not_there_yet_is_waited_for_and_one_with_another_state_begins_anew(tmp_path: Path) -> None:
    store, policy, other = tmp_path / "store", tmp_path / "alerts.toml", tmp_path / "other.state"
    with http_server() as seen, judged(store) as deliver:
        deliver(0)
        with telling(store, policy) as process:
            until(lambda: any("cannot be read" in notice for notice in process.notices), lambda: str(process.notices))
            policy.write_text(hook(seen.url) + RULE)
            process.read_again()
            until(lambda: len(seen.got) == 1)
            policy.write_text(f'state = "{other}"\n' + hook(seen.url) + RULE)
            process.read_again()
            until(other.exists)
            until(lambda: len(seen.got) == 2)
            assert process.notices == []
        process.read_again()  # it is gone, and nobody is told
    assert len({got.json["trace_id"] for got in seen.got}) == 1


def test_two_with_one_state_are_told_so_and_the_second_sends_when_the_first_is_gone(tmp_path: Path) -> None:
    policy, stores = tmp_path / "alerts.toml", [tmp_path / "a", tmp_path / "b"]
    with http_server() as seen, judged(stores[0]), judged(stores[1]) as deliver:
        policy.write_text(f'state = "{tmp_path / "one.state"}"\n' + hook(seen.url) + RULE)
        with telling(stores[0], policy) as first:
            until(lambda: (tmp_path / "one.state").exists())
            with telling(stores[1], policy) as second:
                until(lambda: second.notices)
                assert "no alerts are sent: " in second.notices[0]
                assert "name another state in the policy" in second.notices[0] and first.notices == []
                deliver(1)
                first.close()
                first.close = lambda: None  # type: ignore[method-assign]
                until(lambda: seen.got)


def test_alerts_are_asked_for_and_marked_at_a_collector_by_its_store_by_its_address_and_at_rest(
    tmp_path: Path, command: Callable[..., Done]
) -> None:
    store, policy, endpoint, keys = tmp_path / "store", tmp_path / "alerts.toml", free_endpoint(), tmp_path / "keys"
    ring = Keyring(keys)
    ring.begin()
    for role in ("emit", "watch"):
        ring.add(role, role)

    def asked(*words: str, at: Path | str = store, key: str = "watch") -> Done:
        place = ("--store", at) if isinstance(at, Path) else ("--connect", at)
        return command("alerts", *words, *place, *(("--key", keys / f"{key}.key") if key else ()), "--json")

    def states(at: Path | str = store) -> dict[str, str]:
        return {one["key"]: one["state"] for one in asked(at=at).json_lines()}

    with http_server() as seen:
        unset = hook("env:NOT_SET").replace("ops", "unset")
        policy.write_text(f'state = "{tmp_path / "elsewhere"}"\n' + hook(seen.url) + unset + RULE)
        with serving(store, endpoint, "--alerts", str(policy), "--keys", str(keys), *QUIET):
            with WireDelivery(endpoint, client_keys(str(keys / "emit.key"))) as delivery:
                delivery([failing_run(number) for number in range(3)])
            with closing(RemoteFeed(endpoint, keys=client_keys(str(keys / "watch.key")))) as feed:

                def notices() -> str:
                    view = pulled(feed, RunsQuery())
                    return " ".join(view.health.notices) if isinstance(view, RunsView) else ""

                until(lambda: "the environment has no NOT_SET" in notices(), notices)
            # Whoever names the store, and not where its policy keeps the state, is told by its collector.
            until(lambda: len(states(endpoint)) == 3)
            assert states() == states(endpoint) and set(states().values()) == {"open"}
            one, other, third = states()
            nobody, emitter = asked("list", at=endpoint, key=""), asked("ack", one, at=endpoint, key="emit")
            assert (nobody.code, emitter.code) == (2, 2)
            assert "asks for a key" in nobody.err and "may emit and not read" in emitter.err
            assert asked("ack", one[:6], at=endpoint).code == 0 and asked("mute", other, "--for", "1h").code == 0
            until(lambda: any(got.json["action"] == "acknowledge" for got in seen.got))
            until(lambda: Counter(states().values()) == {"open": 1, "acknowledged": 1, "muted": 1})
            shown = command("alerts", "show", one, "--connect", endpoint, "--key", keys / "watch.key").out
            assert seen.got[0].json["link"][:20] in shown and "goes to ops, unset" in shown
        assert command("alerts", "ack", third, "--store", store, "--policy", policy).code == 0
        kept = command("alerts", "--store", store, "--policy", policy, "--json").json_lines()
        assert Counter(one["state"] for one in kept) == {"acknowledged": 2, "muted": 1}


def test_without_a_policy_nothing_is_begun_and_a_wrong_one_is_bad_usage(
    tmp_path: Path, command: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, wrong = tmp_path / "store", tmp_path / "alerts.toml"
    wrong.write_text("[[rule]]\nkind = 3\n")
    done = command("serve", "--store", store, "--bind", free_endpoint(), "--alerts", wrong, *QUIET)
    assert done.code == 2 and "alerts.toml:2: rule[0].kind: expected `str | array`" in done.err
    assert not store.exists() and not store.with_name("store.alerts").exists()
    monkeypatch.setenv("TRAJECTORY_ALERTS", "off")
    assert policy_file("") is None and policy_file(str(wrong)) == wrong
    done = command("alerts", "test", "ops", "--policy", tmp_path / "none.toml")
    assert done.code == 2 and "cannot be read" in done.err


def test_each_kind_of_channel_is_tried_by_command_and_no_secret_is_printed(
    tmp_path: Path, command: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, taken = tmp_path / "alerts.toml", tmp_path / "taken"
    monkeypatch.setenv("OPS_TOKEN", "s3cret-token-9")
    keep = json.dumps([sys.executable, "-c", "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())", str(taken)])
    with (
        http_server() as up,
        http_server(last=Says(403, body=b"token s3cret-token-9 is no good")) as no,
        mail_server() as box,
    ):
        channels = {
            "webhook": f'url = "{up.url}"\ntoken = "env:OPS_TOKEN"',
            "slack": f'url = "{up.url}"',
            "pagerduty": f'url = "{up.url}"\nrouting_key = "env:OPS_TOKEN"',
            "alertmanager": f'url = "{up.url}"\ntoken = "env:OPS_TOKEN"',
            "email": f'host = "127.0.0.1"\nport = {box.port}\ntls = "none"\nfrom = "a@x.example"\nto = ["b@x.example"]',
            "command": f"argv = {keep}",
            "bell": "",
            "refused": f'url = "{no.url}"\ntoken = "env:OPS_TOKEN"',
            "unset": f'url = "{up.url}"\ntoken = "env:NOT_SET_ANYWHERE"',
        }
        kinds = {"refused": "webhook", "unset": "webhook"}
        policy.write_text(
            "".join(f'[channels.{name}]\ntype = "{kinds.get(name, name)}"\n{more}\n' for name, more in channels.items())
        )
        done = {name: command("alerts", "test", name, "--policy", policy, "--json") for name in (*channels, "none")}
    codes = {name: one.code for name, one in done.items() if one.code}
    assert codes == {"bell": 1, "refused": 1, "unset": 2, "none": 2}, done
    assert all(json.loads(one.out)["taken"] == (one.code == 0) for one in done.values() if one.code < 2)
    assert "no terminal" in done["bell"].err and "HTTP 403, token [secret]" in done["refused"].err
    assert (
        "the environment has no NOT_SET_ANYWHERE" in done["unset"].err and "it has webhook, slack" in done["none"].err
    )
    assert all("s3cret" not in one.out + one.err for one in done.values())
    assert len(up.got) == 4 and len(box.mails) == 1 and json.loads(taken.read_text())["action"] == "test"
