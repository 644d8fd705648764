"""`trajectory doctor`, check by check: a policy, keys, a terminal and what is installed, each with its mend."""

import importlib.metadata
import os
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tests.alerting.servers import Says, http_server
from tests.alerting.test_outbox import HOOK, POLICY, Desk, Scripted
from tests.collector.builders import finding
from trajectory.alerting.channels.contract import Refused
from trajectory.alerting.policy_file import VARIABLE
from trajectory.cli import doctor
from trajectory.cli.doctor import Check
from trajectory.collector.keyring import Keyring


def states(checks: list[Check]) -> list[tuple[str, str]]:
    return [(check.name, check.state) for check in checks]


@pytest.fixture
def alerts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Check]]:
    """What is seen of a policy, and of the alerts of the store beside it."""

    def seen(policy: str) -> list[Check]:
        monkeypatch.setenv(VARIABLE, str(tmp_path / "alerts.toml"))
        (tmp_path / "alerts.toml").write_text(policy)
        return doctor._alerts(str(tmp_path / "store"))

    return seen


def test_a_policy_is_looked_at_with_its_channels(alerts: Callable[[str], list[Check]]) -> None:
    (wrong,) = alerts("[[rule]]\nkind = 3\n")
    assert (wrong.state, "alerts.toml:2: rule[0].kind" in wrong.said) == ("bad", True)
    (silent,) = alerts("[[rule]]\n")
    assert (silent.state, silent.mend) == ("note", "add [channels.NAME]")
    checks = alerts(POLICY + HOOK.format("unset").replace("http://127.0.0.1:9", "env:NOT_SET_ANYWHERE"))
    assert states(checks) == [("alerts", "ok"), ("channel ops", "ok"), ("channel unset", "bad")]
    assert "0 rules, 0 checks" in checks[0].said and checks[1].mend == "trajectory alerts test ops tries it"
    assert checks[2].said.startswith("url: the environment has no NOT_SET_ANYWHERE")


def test_what_alerts_were_given_up_is_told_and_a_state_that_cannot_be_read_is_bad(
    alerts: Callable[[str], list[Check]], tmp_path: Path
) -> None:
    desk = Desk(tmp_path, ops=Scripted(Refused("HTTP 400")))
    desk.find(finding(1))
    desk.state.close()
    assert alerts(POLICY)[2:] == [Check("channel ops", "note", "0 wait, 1 given up", "HTTP 400")]
    desk.path.write_bytes(b"no database at all " * 500)
    assert alerts(POLICY)[2].mend == "move it away: alerts begin anew" and alerts(POLICY)[2].state == "bad"


def test_keys_that_others_can_look_at_or_that_cannot_be_read_are_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    ring = Keyring(tmp_path / "trajectory" / "keys")
    ring.begin()
    ring.add("me", "watch")
    assert doctor._keys().state == "ok" and "1 client" in doctor._keys().said
    ring.directory.chmod(0o755)
    assert (doctor._keys().state, doctor._keys().mend) == (
        "bad",
        f"others can look into it: chmod 700 {ring.directory}",
    )
    ring.directory.chmod(0o700)
    for path in ring.directory.rglob("me.*"):
        path.write_bytes(b"nothing")
    assert (doctor._keys().state, "cannot be read: me" in doctor._keys().said) == ("bad", True)


@pytest.mark.parametrize(
    ("status", "state", "said", "mend"),
    [
        (200, "ok", "takes traces", ""),
        (401, "note", "answers 401", "trajectory keys show NAME --otlp prints what to set"),
        (503, "note", "answers 503", ""),
    ],
)
def test_an_exporters_place_is_tried(
    status: int, state: str, said: str, mend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http_server(last=Says(status)) as seen:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"{seen.url}/")
        assert doctor._otlp() == Check("otlp", state, f"{seen.url}/ {said}", mend)
    assert [got.path for got in seen.got] == ["/v1/traces"]


def test_what_is_not_installed_or_cannot_be_loaded_is_told_with_its_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_PACKAGES", ("msgspec", "no-such-package-at-all"))
    assert doctor._packages()[1] == Check(
        "no-such-package-at-all", "bad", "not installed", "pip install no-such-package-at-all"
    )
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    assert doctor._instrumentations().mend == "pip install 'trajectory-tracing[otel]'"
    entries = {
        "trajectory.detectors": [EntryPoint("loop", "trajectory.detection.loop:Loops", "trajectory.detectors")],
        "trajectory.exporters": [EntryPoint("zip", "no_such_module:Zip", "trajectory.exporters")],
    }
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: entries.get(group, []))
    found, broken, none = doctor._extensions()
    assert (found.state, found.said) == ("ok", "loop")
    assert (broken.state, broken.said) == ("bad", "none") and "zip: ModuleNotFoundError" in broken.mend
    assert none == Check("channels", "bad", "none", "pip install --force-reinstall trajectory-tracing")


@pytest.mark.parametrize(("size", "state"), [((80, 24), "ok"), ((79, 24), "note"), ((200, 23), "note")])
def test_a_terminal_is_measured(size: tuple[int, int], state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size(size))
    monkeypatch.setenv("TERM", "xterm-256color")
    check = doctor._terminal()
    assert check.state == state and check.said.startswith(f"xterm-256color, {size[0]}x{size[1]}, ")
