"""E-mail over SMTP: STARTTLS with a verified certificate unless told otherwise; one thread of mails for each incident.

Invariant: a password goes over TLS only, and to a server whose certificate is good. A mail that is sent twice has the same
Message-ID. However slowly a server talks, it is cut off in the end.
"""

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Literal

import msgspec

from trajectory.alerting.channels.contract import Refused, Unsent
from trajectory.alerting.message import Message
from trajectory.alerting.secret import Vault
from trajectory.errors import ConfigError
from trajectory.protocol.deadline import Deadline
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


_Watch = Callable[[socket.socket], None]


class _Server(smtplib.SMTP):
    """A mail server whose connection is given to `watch` before a word is read from it."""

    def __init__(self, watch: _Watch, host: str, port: int, timeout_s: float) -> None:
        self._watch = watch
        super().__init__(host, port, timeout=timeout_s)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connection: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]
        self._watch(connection)
        return connection


class _ServerBehindTLS(smtplib.SMTP_SSL, _Server):
    """The same, with TLS from the start."""

    def __init__(self, watch: _Watch, host: str, port: int, timeout_s: float, context: ssl.SSLContext) -> None:
        self._watch = watch
        smtplib.SMTP_SSL.__init__(self, host, port, timeout=timeout_s, context=context)


class Mail:
    """Sends by one server. Raises ConfigError for a password in the clear, and as every channel Unsent or Refused."""

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
        deadline = Deadline(self._options.timeout_s)

        def watch(connection: socket.socket) -> None:
            deadline.begin(opened.enter_context(connection.dup()))  # the first is TLS's from its beginning on

        try:
            with contextlib.ExitStack() as opened:
                opened.enter_context(deadline)
                server = opened.enter_context(contextlib.closing(self._connected(watch)))
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
        except ssl.SSLCertVerificationError as fault:
            raise Unsent(f"its certificate is not accepted: {clean(fault.verify_message)}"[:_REASON_CHARS]) from None
        except (smtplib.SMTPException, OSError, ValueError) as fault:
            raise Unsent(deadline.reason or self._reason(fault)) from None

    def _connected(self, watch: _Watch) -> smtplib.SMTP:
        options, context = self._options, ssl.create_default_context()
        place = (watch, options.host, options.port, options.timeout_s)
        server = _ServerBehindTLS(*place, context) if options.tls == "tls" else _Server(*place)
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
