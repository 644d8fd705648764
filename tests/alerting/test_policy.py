"""Rules of policies: what is wrong is said with its line, its key and what was expected; who is told of what, and when not."""

from datetime import datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.collector.builders import finding
from trajectory.alerting.channels import registry
from trajectory.alerting.channels.registry import kinds, options_of
from trajectory.alerting.policy import Check, Quiet, Rule
from trajectory.alerting.policy_file import MAX_BYTES, _Common, _File, parse_policy, read_policy
from trajectory.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "examples" / "alerts.toml"
BERLIN = ZoneInfo("Europe/Berlin")
SLACK = '[channels.ops]\ntype = "slack"\nurl = "env:OPS"\n'
MAIL = "[channels.m]\ntype = 'email'\nhost = 'x'\nfrom = 'a@x'\n"

WRONG = [
    ("[[rule]]\nkind = 'a'\nseverity = 'hihg'", 3, "rule[0].severity", "critical"),
    ("[[rule]]\nseverity = 'waring'", 2, "rule[0].severity", "'waring' is none; did you mean warning?"),
    ("[[rule]]\n[[rule]]\ncolour = 'a'", 3, "rule[1].colour", "is no key here; expected name, kind, severity"),
    ("[[rule]]\n[[rule]]\nkindd = 'a'", 3, "rule[1].kindd", "is no key here; did you mean kind?"),
    ("[[rule]]\nchannels = ['opps']\n" + SLACK, 2, "rule[0].channels", "'opps' is no channel; did you mean ops?"),
    ("[severity]\nwarnings = []", 2, "severity.warnings", "did you mean warning?"),
    ("[channels.ops]\ntype = 'slck'", 2, "channels.ops.type", "is no kind of channel; did you mean slack?"),
    (SLACK + "urls = 'x'", 4, "channels.ops.urls", "is no key here; did you mean url?"),
    ("[[rule]]\nname = 'x'\nrate = '5 per 10m'", 3, "rule[0].rate", "expected N in TIME, such as 5 in 10m"),
    ("\n[[rule]]\nclose_after = 'soon'", 3, "rule[0].close_after", "expected an amount with its unit"),
    ("[[rule]]\nfor = 5", 2, "rule[0].for", "expected `str`, got `int`"),
    ("[[rule]]\ngroup_by = ['kind', 'colour']", 2, "rule[0].group_by[1]", "'colour' is none; expected kind, agent"),
    ("[[rule]]\nchannels = ['pager']\n" + SLACK, 2, "rule[0].channels", "is no channel; expected one of ops"),
    ("[[rule]]\nname = 'a'\n[[rule]]\nname = 'a'", 4, "rule[1].name", "expected one of its own"),
    ("[[quiet]]\nfrom = '22:00'\nto = '25:00'", 3, "quiet[0].to", "expected HH:MM"),
    ("[[quiet]]\nto = '07:00'", 1, "quiet[0].from", "is missing"),
    ("[[quiet]]\nfrom = '22:00'\nto = '07:00'\nzone = 'Berlin'", 4, "quiet[0].zone", "such as Europe/Berlin"),
    ("[severity]\nhigh = []", 2, "severity.high", "expected info, warning or critical"),
    ("[channels.ops]\ntype = 'telegraph'", 2, "channels.ops.type", "expected one of alertmanager, bell"),
    ("[channels.ops]\nurl = 'env:OPS'", 1, "channels.ops.type", "is missing"),
    (SLACK + "colour = 'red'", 4, "channels.ops.colour", "expected type, per_minute, url, timeout_s"),
    (SLACK + "per_minute = 0", 4, "channels.ops.per_minute", "expected 1 to 600"),
    ("[channels.c]\ntype = 'command'\nargv = 'rm -rf'", 3, "channels.c.argv", "expected `array`, got `str`"),
    ("[[check]]\nname = 'x'", 1, "check[0].kind", "expected one of both"),
    ("[[check]]\nmeasure = 'euros'", 2, "check[0].measure", "expected one of cost_usd, tokens"),
    ("[[check]]\nkind = 'a'\nat_most = nan", 3, "check[0].at_most", "expected a number"),
    ("[[rule]]\nclose_after = ''", 2, "rule[0].close_after", "such as 30m"),
    ("[[quiet]]\nfrom = '22:00'\nto = '22:00'", 3, "quiet[0].to", "expected another time of day"),
    ("[[check]]\nmeasure = 'call_s'\nof = 'all'", 3, "check[0].of", 'expected of = "trace"'),
    ("[channels.'a b']\ntype = 'bell'", 1, "channels", "expected letters, digits"),
    (
        SLACK + "[channels.w]\ntype = 'webhook'\nurl = 'x'\nformat = 'alertmanger'",
        7,
        "channels.w.format",
        "mean alertmanager?",
    ),
    ("[channels.c]\ntype = 'command'\nargv = []", 3, "channels.c.argv", "expected a program and its arguments"),
    ("[channels.c]\ntype = 'command'\nargv = ['x']\ntimeout_s = 121", 4, "channels.c.timeout_s", "120 at most"),
    (MAIL + "to = ['nobody']", 5, "channels.m.to", "'nobody' is no address; expected NAME@HOST"),
    (MAIL + "to = ['b@x']\nport = 0", 6, "channels.m.port", "expected 1 to 65535"),
    (MAIL + "to = ['b@x']\ntimeout_s = 0", 6, "channels.m.timeout_s", "more than 0"),
    ("colour = 1", 1, "colour", "expected rule, quiet, check, channels"),
    ("[[rule]]\nname = ", 2, "no TOML", "Invalid value"),
]


@pytest.mark.parametrize(("text", "line", "key", "expected"), WRONG, ids=[key for _, _, key, _ in WRONG])
def test_what_is_wrong_is_said_with_its_line_its_key_and_what_was_expected(
    text: str, line: int, key: str, expected: str
) -> None:
    with pytest.raises(ConfigError) as wrong:
        parse_policy(text, "alerts.toml")
    said = str(wrong.value)
    assert said.startswith(f"alerts.toml:{line}: {key}"), said
    assert expected in said
    assert "\n" not in said


TABLES: list[tuple[str, str, Any]] = [
    ("[[rule]]\n", "rule[0]", Rule),
    ("[[quiet]]\n", "quiet[0]", Quiet),
    ("[[check]]\n", "check[0]", Check),
    ("", "", _File),
    *((f'[channels.it]\ntype = "{kind}"\n', "channels.it", options_of(kind)) for kind in kinds()),
    ("[channels.it]\n", "channels.it", _Common),
]
KEYS = [
    (head, f"{place}.{key}".lstrip("."), key) for head, place, table in TABLES for key in table.__struct_encode_fields__
]


@pytest.mark.parametrize(("head", "place", "key"), KEYS, ids=[f"{head[-12:-1]}{place}" for head, place, _ in KEYS])
def test_every_key_of_a_policy_says_where_it_stands_and_what_it_expected_when_it_is_something_else(
    head: str, place: str, key: str
) -> None:
    for wrong in ("2026-11-26", "{ nonsense = 1 }"):
        with pytest.raises(ConfigError) as told:
            parse_policy(f"# a comment\n{head}{key} = {wrong}\n")
        said = str(told.value)
        assert said.startswith(f"alerts.toml:{2 + head.count(chr(10))}: {place}"), said
        assert "expected" in said and "\n" not in said


def test_the_example_is_read_and_routes_by_rule_and_severity() -> None:
    policy = read_policy(EXAMPLE)
    assert len(policy.rules) == 4 and len(policy.checks) == 4 and len(policy.channels) == 7
    assert policy.rule_for(finding(kind="context.pressure", agent="summarizer-2"), "") is None
    name, rule = policy.rule_for(finding(kind="tool.blind_retry"), "svc") or ("", policy.rules[0])
    assert name == "tools fail" and rule.needed() == (5, 600_000_000_000)
    assert policy.channels_for(rule, "critical") == ["pager", "ops", "prometheus"]
    named = policy.rule_for(finding(kind="anomaly.tokens", severity="info"), "")
    assert named is not None and policy.channels_for(named[1], "critical") == ["ops"]
    assert policy.rule_for(finding(kind="cascade", severity="info"), "") is None


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()) * 1_000_000_000


def test_quiet_hours_go_over_midnight_and_over_the_change_of_clocks_in_their_own_zone() -> None:
    quiet = Quiet("22:00", "07:00", zone="Europe/Berlin")
    assert quiet.ends_ns(at("2026-11-26T21:59")) == 0
    assert quiet.ends_ns(at("2026-11-26T22:00")) == quiet.ends_ns(at("2026-11-27T06:59")) == at("2026-11-27T07:00")
    assert quiet.ends_ns(at("2026-11-27T07:00")) == 0
    assert quiet.ends_ns(at("2026-10-24T23:00")) == at("2026-10-25T07:00")  # the clocks are set back that night
    weekend = Quiet("00:00", "23:59", days=["sat", "sun"], zone="Europe/Berlin")
    assert weekend.ends_ns(at("2026-11-28T12:00")) == at("2026-11-28T23:59")
    assert weekend.ends_ns(at("2026-11-27T12:00")) == 0


def test_critical_ones_go_through_quiet_hours_unless_it_is_said() -> None:
    night = '[[quiet]]\nfrom = "22:00"\nto = "07:00"\nzone = "Europe/Berlin"\n'
    policy, deaf = parse_policy(night), parse_policy(night + "critical = false\n")
    now_ns = at("2026-11-26T23:00")
    assert policy.quiet_until_ns("ops", "warning", now_ns) == at("2026-11-27T07:00")
    assert policy.quiet_until_ns("ops", "critical", now_ns) == 0
    assert deaf.quiet_until_ns("ops", "critical", now_ns) == at("2026-11-27T07:00")


def test_a_file_that_is_too_large_for_a_policy_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "alerts.toml").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="it is no policy of alerts"):
        read_policy(tmp_path / "alerts.toml")


def test_a_strangers_channel_that_cannot_be_loaded_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = EntryPoint("pigeon", "no_such_module_at_all:Pigeon", "trajectory.channels")
    monkeypatch.setattr(registry, "kinds", lambda: ("pigeon",))
    monkeypatch.setattr("trajectory.alerting.policy_file.kinds", lambda: ("pigeon",))
    monkeypatch.setattr(registry, "entry_points", lambda group, name: [stranger] * (name == "pigeon"))
    with pytest.raises(ConfigError, match="channels of kind pigeon cannot be loaded: ModuleNotFoundError: No module"):
        parse_policy("[channels.it]\ntype = 'pigeon'")
    with pytest.raises(ConfigError, match="'owl' is no kind of channel; expected one of pigeon"):
        options_of("owl")  # it was installed when the policy was read
