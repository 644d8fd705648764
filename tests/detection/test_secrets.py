"""Rules of secrets and personal data in a text."""

import time

import pytest

from trajectory.detection.secrets import MAX_COUNT, names_one, redacted, secrets_in

CARD = "4539 5787 6362 1486"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("the key is sk-proj-q7Rk2Lw9Zt4Xn8Vb3Mc6Yp5Hd1Gf0Js", "api_key"),
        ("use ghp_aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5", "github_token"),
        ("AKIAQ7RK2LW9ZT4XN8VB is ours", "aws_key"),
        ("password: hunter7-Trombone", "key"),
        ("postgres://app:s3cr3tPhrase@db.internal/x", "url_password"),
        (f"card {CARD}", "card"),
        ("pay to DE89 3704 0044 0532 0130 00", "iban"),
        ("canary token: 9f7a3b21c4", "canary"),
    ],
)
def test_a_secret_is_known_by_its_form(text: str, kind: str) -> None:
    (secret,) = secrets_in(text)
    assert secret.kind == kind
    assert secret.text not in secret.name
    assert text[secret.start : secret.start + len(secret.text)] == secret.text


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "export OPENAI_API_KEY=sk-your-key-here-1234567890abcdef",
        "For example sk-proj-q7Rk2Lw9Zt4Xn8Vb3Mc6Yp5Hd1Gf0Js",
        "the test card 4242 4242 4242 4242",
        "sk_test_51H8xyzQ7Rk2Lw9Zt4Xn8",
        "order 4539578763621487",
        "password: <your password>",
        "commit 3f786850e387550fdab836ed7e6dc881de23001b",
        "the password field is required",
    ],
)
def test_samples_and_plain_words_are_no_secrets(text: str) -> None:
    assert secrets_in(text) == []


def test_of_many_secrets_so_many_are_found() -> None:
    text = "\n".join(f"password: hunter{n}-Trombone" for n in range(5 * MAX_COUNT))
    assert len(secrets_in(text)) == MAX_COUNT


def test_a_redacted_text_holds_kinds_alone() -> None:
    text = f"card {CARD} and password: hunter7-Trombone"
    said = redacted(text, secrets_in(text))
    assert said == "card [card] and password: [key]"


@pytest.mark.parametrize(
    ("name", "expected"), [("api_key", True), ("Authorization", True), ("query", False), ("body", False)]
)
def test_a_field_s_name_may_say_that_it_takes_a_secret(name: str, expected: bool) -> None:
    assert names_one(name) is expected


@pytest.mark.parametrize(
    "unit", ["a", "A1", "sk-", "://a:", "password: ", "4539 ", "eyJ", "canary", "-----BEGIN ", "é", "\u200b1a"]
)
def test_a_million_characters_of_anything_hang_nothing(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    start = time.process_time()
    secrets_in(text)
    assert time.process_time() - start < 10  # the square of it would take hours
