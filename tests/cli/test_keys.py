"""`trajectory keys`, and the commands that use keys: what is printed, and that a secret is printed only where it is asked for."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.terminal import free_endpoint, trajectory
from tests.cli.terminal import serving as serving_of
from trajectory.cli import main
from trajectory.cli.serve import is_local, keyring_for
from trajectory.collector.keyring import Keyring
from trajectory.errors import ConfigError
from trajectory.protocol.keys import KEY, KEY_FILE, VARIABLES


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory of the test's own, and no keys of whoever runs it."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "trajectory" / "keys"


def secret_in(path: Path) -> str:
    return next(line.partition("=")[2] for line in path.read_text().splitlines() if line.startswith(f"{KEY}="))


@contextmanager
def serving(*arguments: object) -> Iterator[str]:
    """`trajectory serve` in a process of its own; yields its endpoint."""
    command = [sys.executable, "-P", "-m", "trajectory", "serve", "--bind", free_endpoint(), *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "for known keys only" in line, line
        yield line.split()[2].rstrip(",")
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_keys_are_made_listed_and_revoked(home: Path) -> None:
    assert "trajectory keys init" in trajectory("keys", "add", "agents").err
    assert len(trajectory("keys", "init").out.strip()) == 64
    assert trajectory("keys", "add", "agents").out.strip() == str(home / "agents.key")
    assert trajectory("keys", "add", "me", "--role", "watch").code == 0
    rows = trajectory("keys", "list", "--json").json_lines()
    assert [(row["name"], row["role"]) for row in rows] == [("agents", "emit"), ("me", "watch")]
    assert trajectory("keys", "revoke", "agent").err.endswith("; did you mean agents?\n")
    assert trajectory("keys", "revoke", "agents").code == 0
    assert "agents" not in trajectory("keys", "list").out
    assert not (home / "agents.key").exists()
    assert trajectory("keys", "revoke", "agents").code == 2


def test_a_secret_is_printed_only_where_it_is_asked_for(home: Path) -> None:
    said = [trajectory("keys", "init"), trajectory("keys", "add", "me", "--role", "admin")]
    said += [trajectory("keys", "list"), trajectory("keys", "list", "--json"), trajectory("keys", "show", "me")]
    said += [trajectory("doctor", "--json", "--key", str(home / "me.key"), "--connect", "tcp://127.0.0.1:9")]
    secrets = [secret_in(home / "me.key"), Keyring(home).secret().hex()]
    assert not [done for done in said for secret in secrets if secret in done.out + done.err]
    assert secrets[0] in trajectory("keys", "show", "me", "--secret").out


def test_what_show_prints_is_all_that_a_client_sets(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trajectory("keys", "init")
    trajectory("keys", "add", "me", "--role", "watch")
    with serving("--store", tmp_path / "s.db", "--keys") as endpoint:
        for line in trajectory("keys", "show", "me", "--endpoint", endpoint).out.splitlines():
            name, _, value = line.partition("=")
            monkeypatch.setenv(name, value)
        checks = {check["name"]: check for check in trajectory("doctor", "--json").json_lines()}
        assert checks["collector"]["state"] == "ok" and checks["keys"]["state"] == "ok"


@pytest.mark.parametrize(
    ("words", "hint"), [((), "--endpoint tcp://HOST:5570"), (("--otlp",), "--endpoint http://HOST:4318")]
)
def test_who_shows_a_key_without_an_address_reads_that_it_is_for_this_machine(
    home: Path, words: tuple[str, ...], hint: str
) -> None:
    trajectory("keys", "init")
    trajectory("keys", "add", "me")
    assert hint in trajectory("keys", "show", "me", *words).err
    assert trajectory("keys", "show", "me", *words, "--endpoint", "tcp://10.0.0.7:5570").err == ""


def test_doctor_says_which_key_is_missing_or_wrong(home: Path, tmp_path: Path) -> None:
    trajectory("keys", "init")
    trajectory("keys", "add", "agents")
    trajectory("keys", "add", "gone", "--role", "watch")
    kept = tmp_path / "kept.key"
    (home / "gone.key").rename(kept)
    trajectory("keys", "revoke", "gone")
    with serving("--store", tmp_path / "s.db", "--keys", home) as endpoint:
        expected = {
            "": "asks for a key",
            str(kept): "does not know this key",
            str(home / "agents.key"): "emit and not read",
        }
        for key, said in expected.items():
            done = trajectory("doctor", "--json", "--connect", endpoint, *(["--key", key] if key else []))
            seen = next(check for check in done.json_lines() if check["name"] == "collector")
            assert said in seen["said"], seen


def test_an_import_goes_through_a_guarded_collector_with_a_key(home: Path, tmp_path: Path) -> None:
    trajectory("keys", "init")
    trajectory("keys", "add", "agents")
    log = tmp_path / "chat.jsonl"
    log.write_text(
        json.dumps({"run_id": "r", "steps": [{"i": 0, "agent": "a", "role": "user", "content": "hi"}]}) + "\n"
    )
    with serving("--store", tmp_path / "s.db", "--keys"):
        without = trajectory("import", log, "--store", tmp_path / "s.db")
        assert without.code == 2 and "asks for a key" in without.err
        done = trajectory("import", log, "--store", tmp_path / "s.db", "--key", home / "agents.key")
        assert done.code == 0, done.err


def test_an_agent_names_its_key_file(home: Path, tmp_path: Path) -> None:
    trajectory("keys", "init")
    trajectory("keys", "add", "agents")
    code = (
        "import sys, trajectory\n"
        "trajectory.init(service='s', endpoint=sys.argv[1], key=sys.argv[2])\n"
        "with trajectory.agent('a'): pass\n"
        "sys.exit(0 if trajectory.flush(20) else 1)\n"
    )
    with serving("--store", tmp_path / "s.db", "--keys") as endpoint:
        command = [sys.executable, "-c", code, endpoint, str(home / "agents.key")]
        assert subprocess.run(command, timeout=60, env=dict(os.environ)).returncode == 0


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp://0.0.0.0:5570",
        "tcp://*:5570",
        "tcp://10.1.2.3:1",
        "tcp://[::]:5570",
        "tcp://eth0:5570",
        "ws://127.0.0.1:1",
    ],
)
def test_what_other_machines_reach_wants_keys(endpoint: str, home: Path) -> None:
    assert not is_local(endpoint)
    with pytest.raises(ConfigError, match=r"trajectory keys init.*127\.0\.0\.1"):
        keyring_for(endpoint, None)
    Keyring(home).begin()
    assert keyring_for(endpoint, None) is not None


@pytest.mark.parametrize(
    "endpoint", ["tcp://127.0.0.1:5570", "tcp://127.9.9.9:*", "tcp://localhost:1", "tcp://[::1]:1", "ipc:///x"]
)
def test_what_this_machine_alone_reaches_wants_keys_only_where_they_are_asked_for(endpoint: str, home: Path) -> None:
    assert keyring_for(endpoint, None) is None
    with pytest.raises(ConfigError, match="trajectory keys init"):
        keyring_for(endpoint, str(home))


def test_the_own_key_file_of_the_environment_is_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_FILE, str(home / "nowhere.key"))
    done = trajectory("doctor", "--json", "--connect", "tcp://127.0.0.1:9")
    seen = next(check for check in done.json_lines() if check["name"] == "collector")
    assert seen["state"] == "bad" and str(home / "nowhere.key") in seen["said"]


def test_on_a_terminal_a_secret_is_said_to_be_one_and_no_keys_are_said_to_be_none(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trajectory("keys", "init")
    assert main(["keys", "list"]) == 0
    assert capsys.readouterr().err == f"no keys of clients in {home}: trajectory keys add NAME\n"
    trajectory("keys", "add", "me")
    for words in (["--otlp", "--endpoint", "http://h:4318"], ["--secret"]):
        for is_terminal in (False, True):
            monkeypatch.setattr("sys.stdout.isatty", lambda seen=is_terminal: seen, raising=False)
            assert main(["keys", "show", "me", *words]) == 0
            assert ("That is a secret: clear the screen" in capsys.readouterr().err) == is_terminal


def test_what_is_no_endpoint_is_said_to_be_none() -> None:
    with pytest.raises(ConfigError, match=r"^127\.0\.0\.1:5570 is no endpoint: give one such as tcp://127.0.0.1:5570"):
        keyring_for("127.0.0.1:5570", None)


def test_prometheus_is_answered_who_has_a_token_that_may_watch(home: Path, tmp_path: Path) -> None:
    trajectory("keys", "init")
    for role in ("emit", "watch"):
        trajectory("keys", "add", role, "--role", role)
    tokens = {
        role: trajectory("keys", "show", role, "--otlp", "--endpoint", "http://h").out.strip().partition("%20")[2]
        for role in ("emit", "watch")
    }
    (tmp_path / "prices.toml").write_text("['our-own']\ninput = 1\noutput = 1\n")
    words = (
        "--metrics",
        "127.0.0.1:*",
        "--otlp-http",
        "off",
        "--otlp-grpc",
        "off",
        "--prices",
        str(tmp_path / "prices.toml"),
    )
    for keys, answers in (((), (200, 200, 200)), (("--keys", str(home)), (401, 401, 200))):
        with serving_of(tmp_path / "s.db", free_endpoint(), *words, *keys) as served:
            line = served.stderr.readline()
            assert line.startswith("metrics at http://127.0.0.1:") and ("for known tokens only" in line) == bool(keys)
            url = line.split()[2].rstrip(",")
            found = [asked(url, token) for token in ("", tokens["emit"], tokens["watch"])]
        assert tuple(found) == answers


def asked(url: str, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as fault:
        return fault.code
