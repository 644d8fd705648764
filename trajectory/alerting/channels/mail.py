"""E-mail over SMTP: STARTTLS with a verified certificate unless told otherwise; one thread of mails for each incident.

Invariant: a password goes over TLS only. A mail that is sent twice has the same Message-ID.
"""

import contextlib
import smtplib
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Literal

import msgspec

from trajectory.alerting.channels.contract import Refused, Unsent
from trajectory.alerting.message import Message
from trajectory.alerting.secret import Vault
from trajectory.errors import ConfigError
from trajectory.view.text import clean

_REASON_CHARS = 160


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str
    to: list[str]
    from_: str = msgspec.field(name="from")
    port: int = 587
    user: str = ""
    password: str = ""
    tls: Literal["starttls", "tls", "none"] = "starttls"
    timeout_s: float = 15.0

    def __post_init__(self) -> None:
        for key, addresses in (("to", self.to), ("from", [self.from_])):
            for address in addresses or [""]:
                if "@" not in parseaddr(address)[1] or not address.isprintable():
                    raise ValueError(f"{key}: {address[:60]!r} is no address; expected NAME@HOST")
        if not 0 < self.port < 65536:
            raise ValueError("port: expected 1 to 65535")
        if not 0 < self.timeout_s <= 120:
            raise ValueError("timeout_s: expected seconds, more than 0 and 120 at most")


class Mail:
    """Sends by one server."""

    takes = Options
    hears = frozenset({"close"})

    def __init__(self, options: Options, vault: Vault) -> None:
        self._options = options
        self._vault = vault
        self._password = vault.secret("password", options.password)
        if self._password and options.tls == "none":
            raise ConfigError('tls: a password does not go in the clear; expected "starttls" or "tls"', "tls")

    def send(self, message: Message) -> None:
        mail = mail_of(message, self._options)
        try:
            with contextlib.closing(self._connected()) as server:
                server.send_message(mail)
                with contextlib.suppress(
                    smtplib.SMTPException, OSError
                ):  # it has the mail, whatever it says to our leave
                    server.quit()
        except smtplib.SMTPRecipientsRefused as fault:
            codes = {code for code, _ in fault.recipients.values()}
            raise (Unsent if min(codes, default=0) < 500 else Refused)(self._reason(fault)) from None
        except (smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as fault:
            raise (Unsent if fault.smtp_code < 500 else Refused)(self._reason(fault)) from None
        except (smtplib.SMTPException, OSError, ValueError) as fault:
            raise Unsent(self._reason(fault)) from None

    def _connected(self) -> smtplib.SMTP:
        options, context = self._options, ssl.create_default_context()
        if options.tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                options.host, options.port, timeout=options.timeout_s, context=context
            )
        else:
            server = smtplib.SMTP(options.host, options.port, timeout=options.timeout_s)
        try:
            if options.tls == "starttls":
                server.starttls(context=context)
            if options.user:
                server.login(options.user, self._password)
        except BaseException:
            server.close()
            raise
        return server

    def _reason(self, fault: Exception) -> str:
        return self._vault.scrub(clean(f"{type(fault).__name__}: {fault}"))[:_REASON_CHARS]


def mail_of(message: Message, options: Options) -> EmailMessage:
    """A message as a mail."""
    mail = EmailMessage()
    mail["From"], mail["To"] = options.from_, ", ".join(options.to)
    mail["Subject"] = clean(message.line)[:150]
    mail["Date"] = format_datetime(datetime.fromtimestamp(max(message.closed_ns or message.last_ns, 0) // 10**9, UTC))
    mail["Message-ID"] = f"<{message.id}@trajectory.invalid>"
    mail["References"] = f"<{message.key}@trajectory.invalid>"
    mail["Auto-Submitted"] = "auto-generated"
    lines = [
        message.title, "", message.text, *([f"… and {message.others:,} more"] if message.others else []), "",
        message.link, "", f"severity {message.severity}, {message.count:,} findings in {message.trace_count:,} runs",
    ]  # fmt: skip
    mail.set_content("\n".join(lines) + "\n")
    return mail
