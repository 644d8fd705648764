"""Keys of clients: where they come from, and that a secret is never said."""

from pathlib import Path

import pytest
import zmq

from trajectory.errors import ConfigError
from trajectory.protocol.handshake import Verdict
from trajectory.protocol.keys import (
    KEY,
    KEY_FILE,
    SERVER_KEY,
    VARIABLES,
    ClientKeys,
    client_keys,
    new_secret,
    public_of,
)

SECRET, SERVER = "a5" * 32, "5a" * 32


@pytest.fixture(autouse=True)
def _no_keys_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def key_file(
    folder: Path, text: str = f"# mine\nexport {KEY}={SECRET}\n{SERVER_KEY}={SERVER}\n", mode: int = 0o600
) -> str:
    path = folder / "my.key"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_nothing_said_is_no_key() -> None:
    assert client_keys() is None


def test_an_argument_stands_over_the_environment_and_that_over_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = key_file(tmp_path)
    monkeypatch.setenv(KEY_FILE, path)
    assert client_keys() == ClientKeys(bytes.fromhex(SECRET), bytes.fromhex(SERVER))
    monkeypatch.setenv(KEY, "bb" * 32)
    monkeypatch.setenv(SERVER_KEY, "cc" * 32)
    assert client_keys() == ClientKeys(b"\xbb" * 32, b"\xcc" * 32)
    assert client_keys(path) == ClientKeys(bytes.fromhex(SECRET), bytes.fromhex(SERVER))


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (f"{KEY}={SECRET}\n{SERVER_KEY}={SERVER}\n", 0o644, "chmod 600"),
        (f"{KEY}={SECRET}\n", 0o600, f"{SERVER_KEY} is missing"),
        (f"{KEY}={SECRET[:-2]}\n{SERVER_KEY}={SERVER}\n", 0o600, "64 hex digits"),
        (f"{KEY}=no hex at all\n{SERVER_KEY}={SERVER}\n", 0o600, "64 hex digits"),
        ("\0\xff", 0o600, f"{KEY} is missing"),
    ],
)
def test_a_key_file_that_is_open_or_wrong_is_refused_without_its_secret(
    tmp_path: Path, text: str, mode: int, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as fault:
        client_keys(key_file(tmp_path, text, mode))
    assert SECRET[:8] not in str(fault.value)


def test_a_key_in_the_place_of_a_file_is_not_said_aloud() -> None:
    with pytest.raises(ConfigError) as fault:
        client_keys(SECRET)
    assert SECRET[:8] not in str(fault.value)


@pytest.mark.parametrize("path", ["/nowhere/at/all.key", "/", "a\0b"])
def test_a_key_file_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(ConfigError):
        client_keys(path)


def test_keys_do_not_show_their_secret() -> None:
    keys = ClientKeys(bytes.fromhex(SECRET), bytes.fromhex(SERVER))
    assert SECRET[:8] not in f"{keys} {keys!r} {[keys]}"
    assert repr(keys.secret) not in f"{keys} {keys!r} {[keys]}"


def test_a_new_key_is_another_one_with_a_public_half_of_its_own() -> None:
    one, other = new_secret(), new_secret()
    assert one != other and len(one) == len(public_of(one)) == 32
    assert public_of(one) == public_of(one) != public_of(other)


@pytest.mark.parametrize(
    ("event", "value", "has_keys", "said"),
    [
        (
            zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
            zmq.PROTOCOL_ERROR_ZMTP_UNSPECIFIED,
            False,
            "does not speak as a collector",
        ),
        (zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH, True, "takes no keys"),
        (zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH, False, "asks for a key"),
        (zmq.EVENT_HANDSHAKE_FAILED_AUTH, 0, True, "does not know this key"),
        (zmq.EVENT_HANDSHAKE_SUCCEEDED, 0, True, ""),
    ],
)
def test_each_way_in_which_a_handshake_fails_says_what_is_to_be_done(
    event: int, value: int, has_keys: bool, said: str
) -> None:
    found = Verdict("tcp://there:5570", has_keys).of(int(event), int(value))
    assert said in found and bool(found) == bool(said)
