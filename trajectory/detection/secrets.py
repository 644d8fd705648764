"""Secrets, canaries and personal data in a text: what they are and where, and how to name one without saying it.

Invariant: what leaves here to be shown is a kind, a length and the beginning of a digest, never the thing itself; samples of
documentation (`sk-your-key-here`, the card 4242 4242 4242 4242) are none. Keys are found by the emitter's own patterns and by
detect-secrets, which is loaded when a text first holds a word that may be one. Called by the detector of leaked context and
by `masking`.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from trajectory.emitter.processors.patterns import Patterns
from trajectory.model.hashing import blake2b

MAX_COUNT = 50  # of one text
_MAX_LOOKED_COUNT = 500  # that are looked at more closely
_MAX_TEXT_CHARS = 256 * 1024
_MAX_LINE_CHARS = 2048
_MIN_CHARS = 8
_MIN_MASKED_CHARS = 6
_DIGEST_CHARS = 8
PERSONAL = ("iban", "card", "ssn")
_MAY_BE_KEY = re.compile(r"(?=[A-Za-z0-9_\-+/=.:]{20})(?=\D{0,64}\d)[A-Za-z0-9_\-+/=.:]{20}")
_CANARY = re.compile(
    r"\b(?:canary|honey[-_ ]?token)(?:[-_ ]?(?:token|value|id|string))?(?:\s{0,2}[:=]\s{0,2}|\sis\s|[-_])([\w-]{6,64})",
    re.I,
)
_SAMPLE = re.compile(
    r"example(?!\.(?:com|org|net)\b)|sample|dummy|placeholder|your[-_ ]|xxxx|\.\.\.|0000000|1234567|abcdefg|changeme|redacted|"
    r"not[-_ ]?a?[-_ ]?real|fake|sk_test_|pk_test_|rk_test_|<[^>]{1,40}>|\*\*\*",
    re.I,
)
_TEST_CARDS = frozenset(
    (
        "4242424242424242", "4111111111111111", "4000056655665556", "5555555555554444", "5105105105105100", "378282246310005",
        "371449635398431", "6011111111111117", "6011000990139424", "30569309025904", "38520000023237", "3530111333300000",
        "4012888888881881", "2223003122003222",
    )
)  # fmt: skip


class Secret(NamedTuple):
    """One thing that is not for everybody. `text` is the thing itself: it must not be shown, only `name` may be."""

    kind: str
    text: str
    start: int

    @property
    def name(self) -> str:
        """What may be said of it: kind, length, the beginning of its digest."""
        digest = blake2b(self.text.encode("utf-8", "replace"), digest_size=16).hexdigest()[:_DIGEST_CHARS]
        return f"{self.kind.replace('_', ' ')} of {len(self.text)} characters, digest {digest}"

    @property
    def is_personal(self) -> bool:
        return self.kind in PERSONAL


def secrets_in(text: str) -> list[Secret]:
    """What a text holds that is not for everybody, in order, at most `MAX_COUNT`. Never raises."""
    text = text[:_MAX_TEXT_CHARS]
    found: dict[str, Secret] = {}
    for secret in islice(_all(text), _MAX_LOOKED_COUNT):
        if len(found) >= MAX_COUNT:
            break
        if not _is_sample(secret, text) and not any(secret.text in other or other in secret.text for other in found):
            found[secret.text] = secret
    return sorted(found.values(), key=lambda s: s.start)


def to_mask(text: str) -> list[Secret]:
    """What must not be shown of a text: also what only the words before it call a sample."""
    found = islice(_all(text[:_MAX_TEXT_CHARS]), _MAX_LOOKED_COUNT)
    return [s for s in found if len(s.text) >= _MIN_MASKED_CHARS and not _is_sample_itself(s)]


def in_formats(text: str) -> list[Secret]:
    """The part of `to_mask` that the emitter's patterns know: without detect-secrets it takes a fifth of the time."""
    found = islice(_by_patterns(text[:_MAX_TEXT_CHARS]), _MAX_LOOKED_COUNT)
    return [s for s in found if len(s.text) >= _MIN_MASKED_CHARS and not _is_sample_itself(s)]


def redacted(text: str, secrets: list[Secret]) -> str:
    """A text without them: each gives way to its kind in brackets."""
    for secret in sorted(secrets, key=lambda s: -len(s.text)):
        text = text.replace(secret.text, f"[{secret.kind.replace('_', ' ')}]")
    return text


def names_one(name: str) -> bool:
    """Whether a field's name says that its value is a secret: `api_key`, `password`, `Authorization`."""
    return _patterns().names_a_secret(name.encode("utf-8", "replace"), b"a1b2c3d4e5f6")


def _by_patterns(text: str) -> Iterator[Secret]:
    yield from (Secret("canary", m[1], m.start(1)) for m in _CANARY.finditer(text))
    data = text.encode("utf-8", "replace")
    if _patterns().hint.search(data) is not None:
        at_byte = at_char = 0
        for spot in _patterns().spots(data):
            at_char += len(data[at_byte : spot.start].decode("utf-8", "replace"))
            at_byte = spot.start
            said = data[spot.start : spot.end].decode("utf-8", "replace")
            yield Secret("key" if spot.kind == "named" else spot.kind, said, at_char)


def _all(text: str) -> Iterator[Secret]:
    yield from _by_patterns(text)
    position = 0
    for line in text.splitlines(keepends=True):
        if len(line) >= 20 and _MAY_BE_KEY.search(line[:_MAX_LINE_CHARS]) is not None:
            for kind, said in _by_plugins(line[:_MAX_LINE_CHARS]):
                yield Secret(kind, said, position + max(line.find(said), 0))
        position += len(line)


def _is_sample(secret: Secret, text: str) -> bool:
    if len(secret.text) < _MIN_CHARS or _is_sample_itself(secret):
        return True
    if secret.kind == "card":
        return False
    near = text[max(secret.start - 60, 0) : secret.start]
    return _SAMPLE.search(near) is not None


def _is_sample_itself(secret: Secret) -> bool:
    said = secret.text
    if _SAMPLE.search(said) is not None:
        return True
    return re.sub(r"\D", "", said) in _TEST_CARDS if secret.kind == "card" else len(set(said)) < 5


@lru_cache(maxsize=1)
def _patterns() -> Patterns:
    return Patterns(personal=PERSONAL)


def _by_plugins(line: str) -> Iterator[tuple[str, str]]:
    for plugin in _plugins():
        for said in plugin.analyze_string(line):
            yield plugin.secret_type.casefold(), said


@lru_cache(maxsize=1)
def _plugins() -> list[Any]:
    """The detectors of detect-secrets that know a key by its issuer's format; those that guess by entropy are left out."""
    from detect_secrets.plugins.artifactory import ArtifactoryDetector
    from detect_secrets.plugins.aws import AWSKeyDetector
    from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
    from detect_secrets.plugins.cloudant import CloudantDetector
    from detect_secrets.plugins.discord import DiscordBotTokenDetector
    from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
    from detect_secrets.plugins.ibm_cloud_iam import IbmCloudIamDetector
    from detect_secrets.plugins.ibm_cos_hmac import IbmCosHmacDetector
    from detect_secrets.plugins.jwt import JwtTokenDetector
    from detect_secrets.plugins.mailchimp import MailchimpDetector
    from detect_secrets.plugins.npm import NpmDetector
    from detect_secrets.plugins.openai import OpenAIDetector
    from detect_secrets.plugins.pypi_token import PypiTokenDetector
    from detect_secrets.plugins.sendgrid import SendGridDetector
    from detect_secrets.plugins.slack import SlackDetector
    from detect_secrets.plugins.softlayer import SoftlayerDetector
    from detect_secrets.plugins.square_oauth import SquareOAuthDetector
    from detect_secrets.plugins.stripe import StripeDetector
    from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
    from detect_secrets.plugins.twilio import TwilioKeyDetector

    kinds = (
        ArtifactoryDetector,
        AWSKeyDetector,
        AzureStorageKeyDetector,
        CloudantDetector,
        DiscordBotTokenDetector,
        GitLabTokenDetector,
        IbmCloudIamDetector,
        IbmCosHmacDetector,
        JwtTokenDetector,
        MailchimpDetector,
        NpmDetector,
        OpenAIDetector,
        PypiTokenDetector,
        SendGridDetector,
        SlackDetector,
        SoftlayerDetector,
        SquareOAuthDetector,
        StripeDetector,
        TelegramBotTokenDetector,
        TwilioKeyDetector,
    )
    return [kind() for kind in kinds]
