"""`trajectory watch --web`: the same dashboard in a browser on this machine, each page a process of its own.

Invariant: it listens on loopback, and answers nothing but to the random token that is in the address which it prints; what asks
without it learns nothing. Nothing is fetched from elsewhere. Needs the extra `web`; called by `watch`.
"""

import asyncio
import hmac
import os
import secrets
import shlex
import signal
import socket
import sys
from typing import Any

from trajectory.errors import ConfigError

try:
    from aiohttp import web
    from textual_serve.server import Server
except ImportError as error:
    raise ConfigError(
        f"the browser needs the extra `web` ({error.name} is not installed): pip install 'trajectory-tracing[web]'",
        "web",
    ) from None

HOST = "127.0.0.1"
MAX_PAGES_COUNT = 8
# Without it what is typed goes nowhere until somebody clicks.
_TAKE_KEYBOARD = """<script>
new MutationObserver((_, watch) => {
  if (!document.body.classList.contains("-first-byte")) return;
  watch.disconnect();
  document.querySelector(".xterm-helper-textarea").focus();
}).observe(document.body, {attributes: true});
</script>"""
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Pages(Server):
    """Serves a command's app below `/TOKEN/`."""

    def __init__(self, command: str, port: int) -> None:
        super().__init__(command, host=HOST, port=port, title="trajectory")
        self.token = secrets.token_urlsafe(24)
        self._page_count = 0

    @property
    def address(self) -> str:
        """What a browser is to open."""
        return f"{self.public_url}/{self.token}/"

    async def application(self) -> web.Application:
        """Everything below the token, and a refusal of all else."""
        outer = web.Application(middlewares=[self._checked])
        outer.on_response_prepare.append(_add_headers)
        outer.add_subapp(f"/{self.token}", await self._make_app())
        return outer

    @web.middleware
    async def _checked(self, request: web.Request, handler: Any) -> web.StreamResponse:
        given = request.path.split("/", 2)[1]
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode()):
            raise web.HTTPForbidden(
                text="the address is the one that `trajectory watch --web` printed, token and all\n"
            )
        if request.headers.get("Origin", self.public_url) != self.public_url:
            raise web.HTTPForbidden(text="another page cannot ask\n")
        response: web.StreamResponse = await handler(request)
        return response

    async def on_startup(self, app: web.Application) -> None:
        """Prints nothing: the command does."""

    async def handle_index(self, request: web.Request) -> web.Response:
        """The page, with the keyboard in the dashboard."""
        page = await super().handle_index(request)
        assert isinstance(page, web.Response)
        page.text = (page.text or "").replace("</body>", f"{_TAKE_KEYBOARD}</body>")
        return page

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Starts a dashboard for a page, as long as there are not too many."""
        if self._page_count >= MAX_PAGES_COUNT:
            raise web.HTTPServiceUnavailable(text=f"there are {MAX_PAGES_COUNT} pages open already\n")
        self._page_count += 1
        try:
            return await super().handle_websocket(request)
        finally:
            self._page_count -= 1


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


def serve(words: list[str], port: int) -> int:
    """Serves `trajectory watch` with these words until it is ended by a signal; returns its exit code.

    `port` 0 takes a free one. Raises ConfigError where the port is taken."""
    return asyncio.run(_serve(words, port))


async def _serve(words: list[str], port: int) -> int:
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, _end, ended, name)
    with _listening(port) as listener:
        command = shlex.join([sys.executable, "-P", "-m", "trajectory", "watch", *words])
        pages = Pages(f"exec {command}", listener.getsockname()[1])
        runner = web.AppRunner(await pages.application(), access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            print(f"the dashboard is at {pages.address}", flush=True)
            number = await ended
        finally:
            await runner.cleanup()
    return 0 if number == signal.SIGINT else 128 + number


def _end(ended: "asyncio.Future[int]", number: int) -> None:
    if not ended.done():
        ended.set_result(number)


def _listening(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(16)
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen on {HOST}:{port}: {os.strerror(error.errno or 0)}", "port") from None
    return listener
