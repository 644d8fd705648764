"""Rules of channels: each writes what its reader understands, trouble at the other end is one failure, no secret leaves."""

import email
import email.policy
import hashlib
import hmac
import json
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import trustme

from tests.alerting.mailing import mail_server
from tests.alerting.servers import CUT_OFF, DRIPS, DRIPS_ON, EARLY, ENDLESS, Says, Seen, http_server, talking
from tests.collector.builders import NOW_NS, SECOND_NS
from trajectory.alerting.channels.bell import Bell
from trajectory.alerting.channels.bell import Options as BellOptions
from trajectory.alerting.channels.contract import Channel, Refused, Unsent
from trajectory.alerting.channels.registry import channel_of
from trajectory.alerting.message import Message
from trajectory.alerting.outbox import Letter
from trajectory.alerting.policy_file import parse_policy
from trajectory.alerting.secret import Vault
from trajectory.errors import ConfigError
from trajectory.messenger.courier import Failure, attempt
from trajectory.view.link import parse_link

MESSAGE = Message(
    key="0a1b2c3d4e5f",
    action="open",
    severity="critical",
    kind="cascade",
    title="cascade · planner ⇢ research in memo",
    text="<!channel> *research* took 39.1M & passed it on",
    link="trajectory://7f3a90c1/alert/0a1b2c3d4e5f",
    agent="research",
    peer_agent="planner",
    service="memo",
    rule="everything else",
    count=3,
    trace_count=2,
    opened_ns=NOW_NS,
    last_ns=NOW_NS + SECOND_NS,
    id="0a1b2c3d4e5f-1",
)
OVER = msgspec.structs.replace(MESSAGE, action="close", closed_ns=NOW_NS + 9 * SECOND_NS)
KNOWN = msgspec.structs.replace(MESSAGE, action="acknowledge")


def channel(vault: Vault | None = None, **options: Any) -> Channel:
    lines = [f"{key} = {json.dumps(value)}" for key, value in options.items()]
    policy = parse_policy("\n".join(["[channels.it]", *lines]))
    return channel_of(policy.channels["it"], vault or Vault())


def failure(made: Channel, message: Message = MESSAGE, vault: Vault | None = None) -> Failure | None:
    return attempt(made, Letter(1, "it", 0, message), vault or Vault())


def test_a_webhook_says_it_in_our_json_signed_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", "s3cret-of-hooks")
    with http_server() as seen:
        channel(type="webhook", url=f"{seen.url}/in?x=1", secret="env:HOOK_SECRET").send(MESSAGE)
        (got,) = seen.got
    assert (got.path, got.headers["idempotency-key"], got.json["key"]) == ("/in?x=1", MESSAGE.id, MESSAGE.key)
    at_s, signed = (part.partition("=")[2] for part in got.headers["x-trajectory-signature"].split(","))
    assert abs(int(at_s) - time.time()) < 60
    expected = hmac.new(b"s3cret-of-hooks", f"{at_s}.".encode() + got.body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(signed, expected) and b"s3cret" not in got.body
    assert str(parse_link(got.json["link"])) == MESSAGE.link


VERSION_4 = {
    "type": "object",
    "required": ["version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels",
                 "commonAnnotations", "externalURL", "alerts"],
    "properties": {
        "version": {"const": "4"}, "truncatedAlerts": {"type": "integer"}, "status": {"enum": ["firing", "resolved"]},
        "commonLabels": {"type": "object", "additionalProperties": {"type": "string"}},
        "alerts": {"type": "array", "minItems": 1, "items": {
            "type": "object",
            "required": ["status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"],
            "properties": {"labels": {"type": "object", "required": ["alertname", "severity"],
                                      "additionalProperties": {"type": "string", "minLength": 1}},
                           "startsAt": {"pattern": r"^\d{4}-\d\d-\d\dT[\d:.]+Z$"}}}},
    },
}  # fmt: skip


def test_a_webhook_says_it_as_alertmanager_does_where_it_is_asked_to() -> None:
    with http_server() as seen:
        made = channel(type="webhook", url=seen.url, format="alertmanager")
        for message in (MESSAGE, KNOWN, OVER):
            made.send(message)
        opened, closed = (got.json for got in seen.got)
    for body in (opened, closed):
        jsonschema.validate(body, VERSION_4)
    assert (opened["status"], closed["status"]) == ("firing", "resolved")
    assert opened["alerts"][0]["labels"] == closed["alerts"][0]["labels"]


EVENT = {
    "type": "object",
    "required": ["routing_key", "event_action", "dedup_key"],
    "properties": {
        "routing_key": {"type": "string", "minLength": 32, "maxLength": 32},
        "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
        "dedup_key": {"type": "string", "maxLength": 255},
        "payload": {
            "type": "object", "required": ["summary", "source", "severity"],
            "properties": {"summary": {"type": "string", "maxLength": 1024},
                           "severity": {"enum": ["critical", "error", "warning", "info"]}},
        },
    },
    "if": {"properties": {"event_action": {"const": "trigger"}}}, "then": {"required": ["payload"]},
}  # fmt: skip


def test_pagerduty_gets_trigger_acknowledge_and_resolve_under_one_key(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("0123456789abcdef0123456789abcdef\n")
    with http_server(last=Says(202, body=b'{"status":"success"}')) as seen:
        made = channel(type="pagerduty", url=f"{seen.url}/v2/enqueue", routing_key=f"file:{tmp_path / 'key'}")
        for message in (MESSAGE, KNOWN, OVER, msgspec.structs.replace(MESSAGE, text="x" * 2_000)):
            made.send(message)
        events = [got.json for got in seen.got]
    for event in events:
        jsonschema.validate(event, EVENT)
    assert [event["event_action"] for event in events] == ["trigger", "acknowledge", "resolve", "trigger"]
    assert {event["dedup_key"] for event in events} == {"trajectory-0a1b2c3d4e5f"}
    assert events[0]["payload"]["custom_details"]["link"] == MESSAGE.link


def test_slack_gets_words_and_no_markup_of_an_agent() -> None:
    with http_server() as seen:
        channel(type="slack", url=f"{seen.url}/services/T0/B0/hook").send(MESSAGE)
        body = seen.got[0].json
    assert set(body) == {"text", "blocks"} and body["blocks"][0]["text"]["type"] == "mrkdwn"
    text = body["blocks"][0]["text"]["text"]
    assert "&lt;!channel&gt;" in text and "<!" not in text and "*research*" not in text and "39.1M &amp; passed" in text
    assert MESSAGE.link in text


def mail(port: int, **options: Any) -> dict[str, Any]:
    return {"type": "email", "host": "localhost", "port": port, "from": "a@x.example", "to": ["b@x.example"], **options}


def test_a_mail_has_its_thread_and_is_the_same_each_time() -> None:
    evil = msgspec.structs.replace(MESSAGE, title="a\r\nBcc: evil@x.example", text="x\r\n.\r\nMAIL FROM:<evil>")
    with mail_server() as box:
        made = channel(**mail(box.port, tls="none"))
        made.send(MESSAGE)
        made.send(evil)
    assert "Message-ID: <0a1b2c3d4e5f-1@trajectory.invalid>" in box.mails[0]
    first, second = (email.message_from_string(said, policy=email.policy.default) for said in box.mails)
    assert MESSAGE.link in first.get_content() and first["To"] == second["To"] == "b@x.example"
    assert "Bcc" not in second and "evil@x.example" in second["Subject"] + second.get_content()
    with mail_server("550 no such user") as box:
        failed = failure(channel(**mail(box.port, tls="none")))
    assert failed is not None and failed.is_final and "no such user" in failed.reason


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_password_goes_over_tls_to_a_server_with_a_good_certificate_and_nowhere_else(
    tls: str, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "secret-of-mail")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    vault = Vault()
    with mail_server(tls=context, from_the_start=tls == "tls") as box, mail_server() as plain:

        def sent(port: int = box.port, **options: Any) -> str:
            made = channel(vault, **mail(port, tls=tls, user="u", password="env:MAIL_PASSWORD", **options))
            failed = failure(made, vault=vault)
            return "" if failed is None else failed.reason

        assert "its certificate is not accepted" in sent()  # nobody here knows who signed it
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert "its certificate is not accepted: " in sent(host="127.0.0.1")  # of another name
        assert sent(plain.port)  # no TLS there
        assert box.passwords == plain.passwords == box.mails == plain.mails == []
        assert sent() == "" and box.passwords == ["secret-of-mail"] and MESSAGE.title.split()[0] in box.mails[0]
    with pytest.raises(ConfigError, match="does not go in the clear"):
        channel(**mail(box.port, tls="none", user="u", password="env:MAIL_PASSWORD"))


@pytest.mark.parametrize("tls", ["starttls", "tls"])
@pytest.mark.parametrize("says", [b"", b"2", b"250-and so on\r\n" * 99], ids=["hangs", "drips", "endless"])
def test_a_mail_server_that_never_comes_to_an_end_is_one_failure(says: bytes, tls: str) -> None:
    with talking(says) as port:
        began_s = time.monotonic()
        failed = failure(channel(**mail(port, tls=tls, timeout_s=0.2)))
        assert time.monotonic() - began_s < 3
    assert failed is not None and not failed.is_final and failed.reason


def test_a_command_gets_json_on_its_input_no_shell_and_so_much_time(tmp_path: Path) -> None:
    taken = tmp_path / "taken; touch pwned"
    keep = "import json, os, sys; said = [sys.argv, dict(os.environ), sys.stdin.read()]; json.dump(said, open(sys.argv[1], 'w'))"
    evil = msgspec.structs.replace(
        MESSAGE, text="$(touch pwned) `touch pwned`; touch pwned \\x00 '\" --help", title="-rf /"
    )
    channel(type="command", argv=[sys.executable, "-c", keep, str(taken)]).send(evil)
    argv, environment, said = json.loads(taken.read_text())
    assert json.loads(said)["text"] == evil.text and argv == ["-c", str(taken)] and "pwned)" not in str(environment)
    assert not [*tmp_path.glob("pwned"), *Path.cwd().glob("pwned")]
    fails = channel(type="command", argv=[sys.executable, "-c", "raise SystemExit('no \\x1b way')"])
    assert failure(fails) == Failure("it ended with 1: no \N{SYMBOL FOR ESCAPE} way")
    on_disk = "import os, stat, sys; sys.stderr.write('x' * 5_000_000); raise SystemExit(3 + stat.S_ISREG(os.fstat(2).st_mode))"
    assert failure(channel(type="command", argv=[sys.executable, "-c", on_disk])) == Failure(
        f"it ended with 3: {'x' * 160}"
    )
    flood = channel(type="command", argv=["/bin/sh", "-c", "while :; do echo y >&2; done"], timeout_s=0.2)
    assert "was killed" in str(failure(flood))
    slow = channel(type="command", argv=["/bin/sh", "-c", "sleep 60 & wait"], timeout_s=0.2)
    assert "was killed" in str(failure(slow))
    assert failure(channel(type="command", argv=["/bin/sh", "-c", "sleep 60 & exit 0"])) is None
    assert "cannot be run" in str(failure(channel(type="command", argv=[str(tmp_path / "none")])))


def test_the_bell_rings_in_a_terminal_and_nowhere_else() -> None:
    rung: list[bytes] = []
    Bell(BellOptions(), Vault(), rung.append, lambda: True).send(MESSAGE)
    assert rung[0].startswith(b"\a[critical]") and rung[0].count(b"\a") == 1
    with pytest.raises(Refused, match="no terminal"):
        Bell(BellOptions(), Vault(), rung.append, lambda: False).send(MESSAGE)


TROUBLE = [
    (Says(500), "HTTP 500", False),
    (Says(503, {"Retry-After": "90"}), "HTTP 503", False),
    (Says(400, body=b"bad\x1b[31m"), "HTTP 400, bad", True),
    (Says(401), "HTTP 401", False),
    (Says(EARLY), "it broke off", False),
    (Says(CUT_OFF), "it broke off", False),
    (Says(0), "no whole answer within 0.2 s", False),
    (Says(DRIPS), "no whole answer within 0.2 s", False),
    (Says(DRIPS_ON), "no whole answer within 0.2 s", False),
    (Says(200, body=b"x" * 5_000_000), None, False),
    (Says(ENDLESS), None, False),
]


@pytest.mark.parametrize(
    ("says", "reason", "is_final"),
    TROUBLE,
    ids=["500", "503", "400", "401", "early", "cut off", "hang", "drip", "drip on", "huge", "endless"],
)
def test_whatever_the_other_end_does_is_one_failure_in_bounded_time(
    says: Says, reason: str | None, is_final: bool
) -> None:
    with http_server(last=says) as seen:
        began_s = time.monotonic()
        failed = failure(channel(type="webhook", url=f"{seen.url}/key/abcdefgh", timeout_s=0.2))
        assert time.monotonic() - began_s < 5
    if reason is None:
        assert failed is None
        return
    assert failed is not None and failed.is_final == is_final
    assert reason in failed.reason and "abcdefgh" not in failed.reason and "\x1b" not in failed.reason
    assert failed.pause_s == (90.0 if says.status == 503 else 0.0)


def test_a_redirect_is_not_followed_so_a_secret_stays_where_it_was_meant_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "token-of-tests")
    with http_server() as elsewhere, http_server(last=Says(307, {"Location": elsewhere.url})) as seen:
        failed = failure(channel(type="webhook", url=seen.url, token="env:TOKEN", secret="env:TOKEN"))
        assert failed is not None and "points elsewhere" in failed.reason
        assert len(seen.got) == 1 and elsewhere.got == []


def test_what_cannot_show_a_good_certificate_is_sent_nothing(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with http_server(tls=context) as seen:
        unknown = failure(channel(type="slack", url=f"{seen.url}/services/key"))
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        of_another = failure(channel(type="slack", url=seen.url.replace("localhost", "127.0.0.1")))
        assert [failed is not None and "no TLS with it" in failed.reason for failed in (unknown, of_another)] == [
            True
        ] * 2
        assert seen.got == []
        assert failure(channel(type="slack", url=seen.url)) is None and len(seen.got) == 1


def test_nobody_at_the_other_end_is_a_failure_that_says_so() -> None:
    with http_server() as seen:
        url = seen.url
    failed = failure(channel(type="webhook", url=url))
    assert failed is not None and not failed.is_final and "refused" in failed.reason.lower()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"type": "webhook", "url": "http://x/", "secret": "bare"}, "expected env:NAME or file:PATH"),
        ({"type": "pagerduty", "routing_key": "0123456789abcdef"}, "expected env:NAME or file:PATH"),
        ({"type": "slack", "url": "env:NOT_SET_ANYWHERE"}, "the environment has no NOT_SET_ANYWHERE"),
        ({"type": "slack", "url": "file:/nowhere/at/all"}, "cannot be read"),
        ({"type": "slack", "url": "file:/dev/null"}, "is empty; expected a secret in it"),
        ({"type": "slack", "url": "ftp://x/"}, "expected https://HOST"),
        ({"type": "slack", "url": "https://[x/"}, "expected https://HOST"),
        ({"type": "slack", "url": "https://x:99999/"}, "expected https://HOST"),
        ({"type": "webhook", "url": "http://x/", "timeout_s": 0}, "expected seconds"),
    ],
)
def test_a_channel_that_cannot_be_made_says_what_is_missing_and_never_a_secret(
    options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as wrong:
        channel(**options)
    assert said in str(wrong.value) and "bare" not in str(wrong.value) and "0123456789" not in str(wrong.value)


def test_secrets_never_leave_in_what_is_said_of_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_URL", "http://127.0.0.1:9/services/T012/B345/keykeykeykey")
    monkeypatch.setenv("TOKEN", "token-of-tests-9")
    vault = Vault()
    slack = channel(vault, type="slack", url="env:SLACK_URL", timeout_s=0.5)
    assert "keykey" not in str(failure(slack, vault=vault))

    class Leaky:
        def send(self, message: Message) -> None:
            raise RuntimeError("http://127.0.0.1:9/services/T012/B345/keykeykeykey said no")

    assert "keykey" not in str(failure(Leaky(), vault=vault))  # type: ignore[arg-type]
    with http_server(last=Says(500, body=b"your token-of-tests-9 is wrong")) as seen:
        vault = Vault()
        assert "[secret]" in str(failure(channel(vault, type="webhook", url=seen.url, token="env:TOKEN"), vault=vault))
        assert isinstance(seen, Seen) and issubclass(Unsent, Exception)


@pytest.mark.parametrize(("said", "is_final"), [("554 no such words here", True), ("452 no room just now", False)])
def test_a_mail_whose_content_is_refused_is_sent_again_only_where_that_may_help(said: str, is_final: bool) -> None:
    with mail_server(of_content=said) as box:
        failed = failure(channel(**mail(box.port, tls="none")))
    assert failed is not None and failed.is_final == is_final and said[4:] in failed.reason


def test_a_secret_of_a_few_characters_does_not_blot_out_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORT", "is")
    monkeypatch.setenv("LONG", "s3cret-9")
    vault = Vault()
    assert (vault.text("url", "env:SHORT"), vault.text("url", "env:LONG")) == ("is", "s3cret-9")
    assert vault.scrub("this is s3cret-9") == "this is [secret]"
