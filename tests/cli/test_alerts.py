"""`trajectory alerts` on stores at rest: what it lists, shows and marks without a collector, and what it says where it cannot."""

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.alerting.test_outbox import HOOK, POLICY, Desk, Scripted, many
from tests.cli.terminal import Done, free_endpoint, serving
from tests.collector.builders import NOW_NS, finding
from tests.messenger.test_messenger import QUIET, judged
from trajectory.alerting.channels.contract import Refused
from trajectory.cli import main
from trajectory.cli.alerting import told_by_own
from trajectory.cli.alerts import _ago
from trajectory.collector.keyring import Keyring
from trajectory.collector.own import OWN_ID
from trajectory.errors import ConfigError
from trajectory.model.fact import Batch, Found, Gap, Source
from trajectory.store.sqlite import open_writer

Command = Callable[..., Done]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    def run(*words: object, code: int = 0) -> Done:
        place = () if "--connect" in words else ("--store", tmp_path / "store")
        done = Done(main([str(word) for word in ("alerts", *words, *place)]), *capsys.readouterr())
        assert done.code == code, done.err
        return done

    return run


@pytest.fixture
def kept(tmp_path: Path) -> Desk:
    """A store of which nothing is left but the state of its alerts."""
    open_writer(str(tmp_path / "store")).close()
    return Desk(tmp_path)


def key_of(command: Command) -> str:
    return str(command("--json").json_lines()[0]["key"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show",), "name an alert: trajectory alerts show ID"),
        (("test",), "name a channel: trajectory alerts test CHANNEL"),
        (("ack", "abc", "--for", "1h"), "--for goes with mute"),
        (("test", "ops"), "there is no policy: write "),
        (("show", "abc"), "no store at"),
    ],
)
def test_what_is_asked_wrongly_is_said_in_a_line(command: Command, words: tuple[str, ...], said: str) -> None:
    assert said in command(*words, code=2).err


def test_without_a_policy_alerts_are_made_of_what_is_stored_and_marked_there(command: Command, tmp_path: Path) -> None:
    with judged(tmp_path / "store") as deliver:
        deliver(0, 1)
        key = key_of(command)
        assert "is being written by process" in command("ack", key, code=2).err
    listed = command()
    (row,) = [line.split("\t") for line in listed.out.splitlines()[1:]]
    assert row[:7] == [key, "warning", "open", "tool.silent_failure", "helper in svc", "2", "2"]
    assert "made of what is stored: no collector keeps alerts here" in listed.err
    assert "is no time: give an amount" in command("mute", key, "--for", "soon", code=2).err
    assert command("ack", key[:5]).err == f"acknowledge {key}: marked in 2 runs\n"
    assert [one["state"] for one in command("--json").json_lines()] == ["acknowledged"]
    assert command("mute", key, "--for", "1h", "--json").json_lines() == [{"id": key, "action": "mute", "runs": 2}]
    (shown,) = command("show", key, "--json").json_lines()
    assert (shown["state"], shown["channels"], len(shown["trace_ids"])) == ("muted", [], 2)
    assert "goes to" not in command("show", key).out


def test_of_many_that_are_over_the_newest_are_listed_and_what_was_given_up_is_told(
    command: Command, tmp_path: Path
) -> None:
    open_writer(str(tmp_path / "store")).close()
    desk = Desk(tmp_path, POLICY.replace("5", "600"), ops=Scripted(Refused("HTTP 400")))
    desk.find(*many(25))
    assert "1 given up" in command().err
    keys = [str(row["key"]) for row in command("--json").json_lines()]
    (shown,) = [said for key in keys if "not told" in (said := command("show", key).out)]
    assert "ops was not told: HTTP 400" in shown
    first = Counter(key[0] for key in keys).most_common(1)[0][0]  # two of twenty-five begin with one digit of sixteen
    assert f"alerts start with '{first}'" in command("mute", first, code=2).err
    assert "no alert starts with 'xyz'" in command("show", "xyz", code=2).err
    desk.run(3_600)
    listed = command()
    assert len(listed.out.splitlines()) == 21 and "5 more are over: --all lists them" in listed.err
    assert len(command("--all").out.splitlines()) == 26
    assert "is over: there is nothing to ack" in command("ack", key_of(command), code=2).err


def test_every_finding_of_a_store_counts_and_what_else_was_said_in_a_collectors_name_does_not(
    command: Command, tmp_path: Path
) -> None:
    with closing(open_writer(str(tmp_path / "store"))) as writer:
        assert command().err.startswith("no alerts in ")
        found = [Found(NOW_NS, finding(number, agent="a")) for number in (1, 2)]
        writer.append([Batch(Source(OWN_ID, b"boot-of-a-test-1"), 0, [Gap(NOW_NS, 1, "queue_full"), *found])])
        assert [(one["agent"], one["count"]) for one in command("--all", "--json").json_lines()] == [("a", 2)]


def test_an_alert_whose_runs_are_gone_is_not_said_to_be_marked(command: Command, kept: Desk) -> None:
    kept.find(finding(1))
    kept.state.close()
    assert "nothing was marked: " in command("ack", key_of(command), code=2).err


def test_a_collector_without_a_policy_or_that_does_not_let_one_look_is_told_of_and_the_store_is_read(
    command: Command, tmp_path: Path
) -> None:
    keys, endpoint = Keyring(tmp_path / "keys"), free_endpoint()
    keys.begin()
    keys.add("me", "watch")
    with judged(tmp_path / "store") as deliver:
        deliver(0)
    with serving(tmp_path / "store", endpoint, "--keys", str(keys.directory), *QUIET):
        me = ("--key", str(keys.directory / "me.key"))
        assert "keeps no alerts: it was begun without a policy" in command("--connect", endpoint, *me, code=2).err
        for words, said in ((me, ""), ((), "its collector does not say: ")):
            done = command(*words)
            assert len(done.out.splitlines()) == 2 and said in done.err and "made of what is stored" in done.err


def test_a_channel_that_takes_a_trial_message_is_said_to(command: Command, tmp_path: Path) -> None:
    policy = tmp_path / "alerts.toml"
    policy.write_text('[channels.it]\ntype = "command"\nargv = ["/bin/sh", "-c", "cat > /dev/null"]\n')
    assert command("test", "it", "--policy", policy).err.startswith("it took it: ")
    policy.write_text('[channels.it]\ntype = "command"\nargv = ["/bin/false"]\n')
    assert command("test", "it", "--policy", policy, code=1).err == "it did not take it: it ended with 1\n"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (119, "119 s"), (120, "2 min"), (7_199, "119 min"), (7_200, "2 h"), (172_800, "2 d")],
)
def test_how_long_ago_something_was_is_told_in_one_unit(seconds: int, said: str) -> None:
    assert _ago(seconds * 1_000_000_000) == said


def test_a_collector_of_ones_own_says_whom_it_told_since_it_began(
    kept: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = kept.path.with_name("alerts.toml")
    policy.write_text(POLICY + HOOK.format("unset").replace("http://127.0.0.1:9", "env:NOT_SET_ANYWHERE"))
    kept.find(finding(1))
    with told_by_own(policy, str(kept.path.with_name("store"))) as words:
        assert words == ("--alerts", str(policy))
        assert "no alerts to unset: " in capsys.readouterr().err
    assert capsys.readouterr().err.splitlines() == [
        "alerts to ops: 0 messages",
        f"1 alert open, known from before and not told again: trajectory alerts --store {kept.path.with_name('store')}",
    ]
    with told_by_own(policy, str(kept.path.with_name("store"))):
        kept.find(finding(2, agent="b"))
    assert "alerts to ops: 1 message\n2 alerts open: " in capsys.readouterr().err
    with told_by_own(policy, str(kept.path.with_name("store"))):
        kept.run(7_200)  # all is over
    assert capsys.readouterr().err.splitlines()[1:] == ["alerts to ops: 2 messages"]
    with told_by_own(policy, str(kept.path.with_name("nothing-yet"))):
        pass
    assert capsys.readouterr().err.endswith(f"nothing to tell of, as {policy} says\n")
    policy.write_text("colour = 1")
    with pytest.raises(ConfigError), told_by_own(policy, str(kept.path)):
        pass
