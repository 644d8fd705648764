"""What redaction takes out and what it leaves: formats, names, JSON, personal data, placeholders, growing answers."""

import json
import re
import stat
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trajectory.emitter.processors import placeholders as placeholding
from trajectory.emitter.processors.deltas import Deltas
from trajectory.emitter.processors.placeholders import KEY_BYTES, Placeholders, default_key_path, key_at
from trajectory.emitter.processors.redaction import Redaction
from trajectory.model.content import canonical_json
from trajectory.protocol.frames import SPAN_ENDED, SPAN_EVENT

A = "a1B2c3D4e5F6g7H8i9J0"  # twenty characters as keys have them
PRIVATE_KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{A * 3}\n{A * 3}==\n-----END RSA PRIVATE KEY-----"
# Put together here, so that no scanner of repositories takes them for real ones.
SECRETS = {
    "aws_key": "AKIA" + "IOSFODNN7EXAMPLE",
    "github_token": "ghp_" + A + A[:16],
    "gitlab_token": "glpat-" + A,
    "slack_token": "xoxb-" + "123456789012-abcdefghij",
    "stripe_key": "sk_live_" + A,
    "api_key": "sk-ant-api03-" + A * 2,
    "google_key": "AIza" + (A * 2)[:35],
    "huggingface_token": "hf_" + A + A[:12],
    "npm_token": "npm_" + A + A[:16],
    "pypi_token": "pypi-AgEIcHlwaS5vcmc" + A * 3,
    "sendgrid_key": "SG." + (A * 2)[:22] + "." + (A * 3)[:43],
    "vendor_token": "gsk_" + A * 2,
    "twilio_key": "SK" + "0123456789abcdef" * 2,
    "telegram_token": "1234567890:AA" + (A * 2)[:33],
    "databricks_token": "dapi" + "0123456789abcdef" * 2,
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + A,
    "private_key": PRIVATE_KEY,
}
PLACEHOLDER = re.compile(r"\[(secret|personal):([a-z_]+):([0-9a-f]{8})\]")


@pytest.fixture(scope="module")
def placeholders(tmp_path_factory: pytest.TempPathFactory) -> Placeholders:
    return Placeholders(tmp_path_factory.mktemp("keys") / "redaction.key")


@pytest.fixture(scope="module")
def redaction(placeholders: Placeholders) -> Redaction:
    return Redaction(False, placeholders)


@pytest.fixture(scope="module")
def personal(placeholders: Placeholders) -> Redaction:
    return Redaction(True, placeholders)


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("around", ["{}", "before {} after", "({}),", "x\n{}\ny", "key={}&next=1", "é{}é"])
def test_a_secret_of_a_known_format_is_taken_out_wherever_it_stands(
    redaction: Redaction, kind: str, around: str
) -> None:
    redacted = redaction.text(around.format(SECRETS[kind]))
    assert PLACEHOLDER.search(redacted), redacted
    assert PLACEHOLDER.sub("{}", redacted) == around


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_in_a_json_body_is_taken_out_at_every_depth(redaction: Redaction, kind: str) -> None:
    value: object = f"line\n{SECRETS[kind]}\nline"
    for _ in range(4):
        body = redaction.data(canonical_json({"a": [value], "z": 1}))
        assert SECRETS[kind].split("\n")[-1].encode() not in body
        assert A.encode() * 2 not in body
        assert PLACEHOLDER.search(body.decode())
        assert json.loads(body)["z"] == 1
        value = canonical_json({"inner": value}).decode()


@pytest.mark.parametrize(
    "text",
    [
        '{"password": "hunter2"}', "{'db_password': 'hunter2'}", 'api_key = "hunter2"', "API-KEY: hunter22", "password=hunter2",
        '{"arguments": "{\\"client_secret\\": \\"hunter2\\"}"}', "https://user:hunter2@host/path", "export PASSWORD='hunter2'",
        "Authorization: Bearer hunter2hunter2", "?access_token=hunter2&x=1", "token=hunter2hunter2",
        '{"accessToken":"hunter2"}', '{"password": "it\'s hunter2 \\" with a quote"}', '{"apiKey":"\\u0068hunter2"}',
        "pw: hunter2hunter2", "DB_PASS=hunter2hunter2", '{"smtp-pass": "hunter2hunter2"}', "Passcode: hunter2hunter2",
    ],
)  # fmt: skip
def test_a_value_under_a_name_that_says_secret_is_taken_out(redaction: Redaction, text: str) -> None:
    redacted = redaction.text(text)
    assert "hunter2" not in redacted
    if text.startswith('{"'):
        json.loads(redacted)


@pytest.mark.parametrize(
    "text",
    [
        "the task-force met for a very-long-meeting-about-nothing", "gen_ai.usage.input_tokens: 4100", "max_tokens=4096",
        "password: required", '{"password": {"type": "string"}}', '{"token": null}', "password = get_password()",
        '{"password": "[secret:named:0011aabb]"}', "secret: the butler did it", "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
        "550e8400-e29b-41d4-a716-446655440000", "https://example.org:8080/a@b",
        '{"secret":1.5e+100}', "basic understanding-of-it",
        "a hotel for jane@example.org, +33 1 23 45 67 89, 4111 1111 1111 1111",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_secret_stays(redaction: Redaction, text: str) -> None:
    assert redaction.text(text) is text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("jane.doe@example.org", "email"), ("+33 1 23 45 67 89", "phone"), ("(555) 123-4567", "phone"),
        ("4111 1111 1111 1111", "card"), ("4111111111111111", "card"), ("3782 822463 10005", "card"),
        ("DE89 3704 0044 0532 0130 00", "iban"), ("GB82WEST12345698765432", "iban"), ("078-05-1120", "ssn"),
    ],
)  # fmt: skip
def test_personal_data_is_taken_out_on_request(personal: Redaction, text: str, kind: str) -> None:
    redacted = personal.text(f"for {text}, twice")
    assert PLACEHOLDER.sub("{}", redacted) == "for {}, twice"
    (found,) = PLACEHOLDER.findall(redacted)
    assert found[:2] == ("personal", kind)
    assert "{}" in PLACEHOLDER.sub("{}", personal.data(canonical_json({"x": f"a\n{text}\nb"})).decode())


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "4444 4444 4444 4444",
        "1750000000000000000",
        "DE89 3704 0044 0532 0130 01",
        "2026-11-23 19:00:00",
        "$1,200 for 2 nights",
    ],
)
def test_numbers_that_fail_their_check_are_no_personal_data(personal: Redaction, text: str) -> None:
    assert personal.text(text) is text


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text()
    | st.sampled_from(["password", "api_key: ", 'token="', "secret='x", "-----BEGIN PRIVATE KEY-----", "\\", *SECRETS.values()]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["password", "secret", "x"]), inner)
    | inner.map(lambda value: canonical_json(value).decode()),
)  # fmt: skip


@settings(max_examples=150)
@example(value=[1.264003612063334])
@example(value=1.264003612063334)
@example(value=[4111111111111111, {"card": 4111111111111111}])
@example(value={"'": None, "": ["SECRET='A", 0.0]})
@example(value={"a": 'SECRET="abc', "b": 'x"y'})
@given(value=JSON_VALUES)
def test_redacted_json_is_json_and_holds_no_known_secret(personal: Redaction, value: object) -> None:
    body = canonical_json(value)
    redacted = personal.data(body)
    json.loads(redacted)
    assert not [one for kind, one in SECRETS.items() if kind != "private_key" and one.encode() in redacted]


@settings(max_examples=100)
@given(data=st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_can_be_redacted_and_what_the_quick_look_clears_has_nothing(personal: Redaction, data: bytes) -> None:
    redacted = personal.data(data)
    if not personal.suspects(data):
        assert redacted is data


def test_equal_secrets_have_equal_placeholders_and_others_have_others(redaction: Redaction) -> None:
    key = SECRETS["aws_key"]
    first, again, other = (redaction.text(text) for text in (key, f"{key}", "AKIA" + "J" * 16))
    assert first == again != other
    assert first.startswith("[secret:aws_key:")
    in_text, in_json = redaction.text(PRIVATE_KEY), redaction.data(canonical_json(PRIVATE_KEY))
    assert in_text.encode() in in_json


def test_another_user_has_other_placeholders(redaction: Redaction, tmp_path: Path) -> None:
    stranger = Redaction(False, Placeholders(tmp_path / "key"))
    assert stranger.text(SECRETS["aws_key"]) != redaction.text(SECRETS["aws_key"])


def test_the_key_is_made_once_and_is_the_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "redaction.key"
    key = key_at(path)
    assert key_at(path) == key == path.read_bytes()
    assert len(key) == KEY_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("obstacle", ["short", "link", "directory"])
def test_where_no_key_can_be_had_the_process_has_one_of_its_own(tmp_path: Path, obstacle: str) -> None:
    path = tmp_path / "redaction.key"
    if obstacle == "short":
        path.write_bytes(b"short")
    elif obstacle == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.mkdir()
    assert len(key_at(path)) == KEY_BYTES
    assert key_at(path) != key_at(path)


def test_the_key_lies_in_the_users_data_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_key_path() == tmp_path / "trajectory" / "redaction.key"


@pytest.mark.parametrize(
    "unit", ['password: "', "AKIA", "-----BEGIN PRIVATE KEY-----", "eyJaaaaaaaaaa.", "sk-sk-", "a@", "1 "]
)
def test_a_body_made_to_be_slow_takes_time_in_proportion_to_its_length(personal: Redaction, unit: str) -> None:
    def seconds(size: int) -> float:
        body = (unit * (size // len(unit) + 1))[:size].encode()
        began_s = time.process_time()
        personal.data(body)
        return time.process_time() - began_s

    seconds(10_000)
    small_s, large_s = (min(seconds(size) for _ in range(3)) for size in (20_000, 160_000))
    assert large_s < 30 * max(small_s, 0.002)


@pytest.mark.parametrize("gap", [0, 1, 10, 200, 255, 256, 257, 400, 700, 5000])
def test_a_key_behind_a_long_word_without_digits_is_found(redaction: Redaction, gap: int) -> None:
    key = b"sk-abcdefghij0123456789abcdefghij"
    for before in (b"sk-" * (gap // 3) + key, b"sk-" + b"a" * gap + b" " + key, b"sk-" + b"a" * gap + b"-" + key):
        assert b"0123456789abcdefghij" not in redaction.data(before), gap


@pytest.mark.parametrize("size", [250, 700, 5000])
@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer {}", '{{"headers": "Authorization: Bearer {}"}}', "password={} and", '{{"password": "{}"}}',
        "?api_key={}&x=1", "token='{}', next", "a key sk-{} of", "gsk_{}", '{{"body": "{{\\"token\\": \\"{}\\"}}"}}',
    ],
)  # fmt: skip
def test_a_long_secret_is_taken_out_to_its_end(redaction: Redaction, text: str, size: int) -> None:
    secret = (A * 300)[:size]
    redacted = redaction.text(text.format(secret))
    assert secret[-8:] not in redacted
    assert PLACEHOLDER.sub("{}", redacted) == re.sub(r"g?sk[-_]", "", text.format("{}"))


# growing answers


def piece(text: str, span: bytes = b"s" * 8) -> tuple[object, ...]:
    return (SPAN_EVENT, b"t" * 16, span, 1, 1, "delta", "operational", {"text": text}, {})


def told(deltas: Deltas, text: str, size: int) -> list[str]:
    """What comes out of an answer that grows by so many characters at a time."""
    facts = [one for at in range(0, len(text), size) for one in deltas.passing(piece(text[at : at + size]))]
    facts += deltas.passing((SPAN_ENDED, b"t" * 16, b"s" * 8, 2, 2, "ok", "", {}, {}))
    return [fact[7]["text"] for fact in facts]


@pytest.mark.parametrize("size", [1, 3, 7, 40, 10_000])
@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_that_comes_in_pieces_is_taken_out(redaction: Redaction, kind: str, size: int) -> None:
    text = f"The key of the account is: {SECRETS[kind]} and nobody may know that it is so."
    whole = "".join(told(Deltas(redaction.text), text, size))
    assert PLACEHOLDER.sub("{}", whole) == text.replace(SECRETS[kind], "{}")


@pytest.mark.parametrize("size", [1, 5])
def test_an_answer_without_secrets_comes_out_as_it_was_and_while_it_grows(redaction: Redaction, size: int) -> None:
    text = "Hotel H7 has a room for two nights at 840 EUR, wheelchair accessible.\nヒルトン東京は二泊で八万円です。どうぞ。"
    deltas = Deltas(redaction.text)
    pieces = told(deltas, text, size)
    assert "".join(pieces) == text
    assert len(pieces) > 5
    assert len(deltas) == 0


def test_what_waits_of_answers_is_bounded(redaction: Redaction) -> None:
    deltas = Deltas(redaction.text)
    for number in range(5000):
        list(deltas.passing(piece("word", number.to_bytes(8, "big"))))
    assert len(deltas) <= 4096
    long = [fact[7]["text"] for fact in deltas.passing(piece("x" * 50_000)) if fact[2] == b"s" * 8]
    assert long == ["x" * 50_000]
    list(deltas.rest())
    assert len(deltas) == 0


def test_of_processes_that_make_the_key_at_once_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "redaction.key"
    assert placeholding._make(path) == placeholding._make(path) == path.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("before", ["", "x"])
def test_a_value_without_end_is_cut_between_characters(redaction: Redaction, before: str) -> None:
    redacted = redaction.data(f'password="{before}{"aß9Ü" * 20_000}'.encode())
    assert redacted.decode().startswith('password="[secret:')
