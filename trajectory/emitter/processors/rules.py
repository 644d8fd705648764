"""What a secret and a personal datum look like: patterns over UTF-8 bytes, for RE2, so that no text can make them slow.

Invariant: every pattern is bounded or runs straight to its own end, and none needs a quote or a backslash of JSON inside its
value, so what is replaced leaves JSON valid. Formats are those that the issuers document. Read by `redaction` alone.
"""

import re
from collections.abc import Callable
from typing import NamedTuple


class Rule(NamedTuple):
    """One shape. `core` has at most one group: its value, where that is not all of it. `word`: it begins where a word does.

    `edge` is what has to follow it.
    """

    kind: str
    core: str
    check: Callable[[bytes], bool] | None = None
    word: bool = True
    edge: str = ""


def mixed(value: bytes) -> bool:
    """Whether the value has both a digit and a letter, as keys do and names of things do not."""
    return _digit(value) is not None and _letter(value) is not None


def is_card(value: bytes) -> bool:
    """Whether 13 to 19 digits pass the check of ISO/IEC 7812-1 (Luhn)."""
    digits = [byte - 0x30 for byte in value if 0x30 <= byte <= 0x39]
    if not 13 <= len(digits) <= 19 or len(set(digits)) < 2:
        return False
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(doubled) + sum(digits[-1::-2])) % 10 == 0


def is_iban(value: bytes) -> bool:
    """Whether the check digits of ISO 13616 hold (remainder 1 of 97)."""
    text = value.decode("ascii").replace(" ", "").upper()
    return 15 <= len(text) <= 34 and int("".join(str(int(char, 36)) for char in text[4:] + text[:4])) % 97 == 1


def is_phone(value: bytes) -> bool:
    """Whether the digits are as many as ITU-T E.164 lets a number have."""
    return 8 <= sum(0x30 <= byte <= 0x39 for byte in value) <= 15


_digit, _letter = re.compile(rb"[0-9]").search, re.compile(rb"[A-Za-z]").search
_KEY = r"[A-Za-z0-9_-]"
_END = r"\b"
_VENDORS = "gsk|xai|pplx|r8|tvly|fc|lin_api|glsa|dckr_pat|dop_v1|shpat|shpca|shppa|shpss"

SECRETS = (
    Rule("aws_key", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}"),
    Rule("github_token", r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}"),
    Rule("gitlab_token", rf"gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-{_KEY}{{20,}}"),
    Rule("slack_token", r"xox[abceoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{20,}"),
    Rule("slack_webhook", r"hooks\.slack\.com/services/(T\w{6,}/B\w{6,}/\w{16,})"),
    Rule("stripe_key", r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9]{24,}"),
    Rule("api_key", rf"sk-{_KEY}{{20,256}}", mixed),
    Rule("google_key", rf"AIza{_KEY}{{35}}|GOCSPX-{_KEY}{{28}}|ya29\.{_KEY}{{20,}}"),
    Rule("huggingface_token", r"hf_[A-Za-z0-9]{30,}"),
    Rule("npm_token", r"npm_[A-Za-z0-9]{36}"),
    Rule("pypi_token", rf"pypi-AgE{_KEY}{{50,}}"),
    Rule("sendgrid_key", rf"SG\.{_KEY}{{22}}\.{_KEY}{{43}}"),
    Rule("vendor_token", rf"(?:{_VENDORS})[_-][A-Za-z0-9]{{24,256}}", mixed),
    Rule("twilio_key", r"SK[0-9a-f]{32}"),
    Rule("telegram_token", rf"[0-9]{{8,10}}:AA{_KEY}{{33}}"),
    Rule("databricks_token", r"dapi[0-9a-f]{32}"),
    Rule("azure_key", r"AccountKey=([A-Za-z0-9+/]{86}==)"),
    Rule("age_key", r"AGE-SECRET-KEY-1[A-Z0-9]{58}"),
    Rule("jwt", rf"eyJ{_KEY}{{8,}}\.eyJ{_KEY}{{8,}}\.{_KEY}*"),
    Rule("bearer", r"(?i:bearer|basic)[ +]{1,4}([A-Za-z0-9._~+/-]{12,512}={0,2})", mixed),
    Rule("url_password", r"://[^\s/@:\"'\\]{0,64}:([^\s/@\"'\\\[\]{}<>$]{1,256})@", None, False),
)  # fmt: skip

PERSONAL = (
    Rule("email", r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}\.){1,8}[A-Za-z]{2,24}"),
    Rule("iban", r"[A-Z]{2}[0-9]{2} ?(?:[A-Z0-9]{4} ?){2,7}[A-Z0-9]{1,4}", is_iban),
    Rule(
        "card",
        r"[2-6](?:[0-9]{12,18}|[0-9]{3}(?:[ -][0-9]{4}){3}|[0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5})",
        is_card,
        edge=_END,
    ),
    Rule("phone", r"\+[0-9][0-9 ().-]{5,18}[0-9]", is_phone, False, _END),
    Rule("phone", r"\([0-9]{3}\) ?[0-9]{3}[ .-][0-9]{4}", is_phone, False, _END),
    Rule("phone", r"[0-9]{3}[ .-][0-9]{3}[ .-][0-9]{4}", is_phone, edge=_END),
    Rule("ssn", r"[0-9]{3}-[0-9]{2}-[0-9]{4}", edge=_END),
)

PRIVATE_KEY = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"

# Names that say that their value is a secret. Under a weak one only a value that looks like a key is.
STRONG = (
    r"passw(?:or)?d|passphrase|(?:api|access|private|secret|signing|encryption|auth|account|master)[_-]?key|"
    r"client[_-]?secret|(?:access|auth|refresh|bearer|api|session|bot|secret)[_-]?token"
)
WEAK = r"pwd?|[_-]pass|passcode|secret|token|authorization|credentials?|cookie"
NAMES = rf"(?i:{STRONG}|{WEAK})[0-9]?"
# A name, how its own quote closes, the sign of assignment, and the quote that opens the value.
ASSIGNED = (
    rf"({NAMES})\\{{0,7}}[\"'`\]]{{0,2}}\s{{0,4}}(?::=|=>|={{1,3}}|:)\s{{0,4}}(\\{{0,7}}[\"'`])?([^\s\"'`,:;)}}\]])"
)
# What stands before a word: its edge, or the end of an escape of JSON.
EDGE = r"(?:\b|\\[nrtbf]|\\u[0-9a-fA-F]{4})"
