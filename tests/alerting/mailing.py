"""Mail servers with and without TLS, which keep what they took."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


class Mailbox:
    """What a mail server took: mails, and the passwords that it was told."""

    def __init__(self, refusal: str, of_content: str) -> None:
        self.port = 0
        self.mails: list[str] = []
        self.passwords: list[str] = []
        self._refusal = refusal
        self._of_content = of_content

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        envelope.rcpt_tos.append(address)
        return self._refusal or "250 ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self._of_content:
            return self._of_content
        self.mails.append(envelope.content.decode())
        return "250 ok"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        self.passwords.append(data.password.decode())
        return AuthResult(success=True)


class _Controller(Controller):
    """One that finds its port itself."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        super()._trigger_server()


@contextmanager
def mail_server(
    refusal: str = "", tls: ssl.SSLContext | None = None, *, from_the_start: bool = False, of_content: str = ""
) -> Iterator[Mailbox]:
    """A mail server; with `tls` it offers STARTTLS, or speaks it from the start. `refusal` is what it says to a recipient,
    `of_content` what it says to a mail."""
    box = Mailbox(refusal, of_content)
    controller = _Controller(
        box, hostname="127.0.0.1", port=0, authenticator=box.authenticate, auth_require_tls=False,
        ssl_context=tls if from_the_start else None, tls_context=None if from_the_start else tls,
    )  # fmt: skip
    controller.start()
    try:
        box.port = controller.port
        yield box
    finally:
        controller.stop()
