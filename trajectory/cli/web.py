"""`trajectory watch --web`: the same dashboard in a browser on this machine, each page a process of its own.

Invariant: it listens on loopback, and answers nothing but to the random token that is in the address which it prints; what asks
without it learns nothing, and is let go. A page's process ends with its page. Nothing is fetched from elsewhere. Needs the extra
`web`; called by `watch`.
"""

import asyncio
import contextlib
import hmac
import logging
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
    from textual_serve.app_service import AppService
    from textual_serve.server import Server
except ImportError as error:
    raise ConfigError(
        f"the browser needs the extra `web` ({error.name} is not installed): pip install 'trajectory-tracing[web]'",
        "web",
    ) from None

HOST = "127.0.0.1"
MAX_PAGES_COUNT = 8
MAX_COLUMNS, MAX_ROWS = 1000, 500  # of a page: what is drawn costs memory by its size
END_S = 3.0  # for a page's process, once its page is gone
SILENCE_S = 2.0  # for a connection to show the token; half of it at least
_BACKLOG = 16
_MISSPOKEN = (ValueError, TypeError, LookupError, AttributeError, AssertionError, RecursionError)
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
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class _Dashboard(AppService):
    """The process of one page. No larger than a screen, and it ends with the page, whatever it is at."""

    process: asyncio.subprocess.Process

    async def _open_app_process(self, width: int = 80, height: int = 24) -> asyncio.subprocess.Process:
        self.process = await super()._open_app_process(*_screen(width, height))
        return self.process

    async def set_terminal_size(self, width: int, height: int) -> None:
        await super().set_terminal_size(*_screen(width, height))

    async def end(self) -> None:
        """Tells it to leave, and ends it where it does not."""
        leaving = asyncio.create_task(self._leave())
        try:
            await asyncio.wait({leaving}, timeout=END_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
        await leaving

    async def _leave(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ConnectionError):  # its page was gone while it drew
            await self.stop()
        while await self.process.stdout.read(65536):  # or it waits for ever to be read
            pass


def _screen(width: int, height: int) -> tuple[int, int]:
    return max(1, min(int(width), MAX_COLUMNS)), max(1, min(int(height), MAX_ROWS))


class Pages(Server):
    """Serves a command's app below `/TOKEN/`."""

    def __init__(self, command: str, port: int) -> None:
        super().__init__(command, host=HOST, port=port, title="trajectory")
        self.token = secrets.token_urlsafe(24)
        self._page_count = 0
        self._known: set[object] = set()  # connections that showed the token

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
        given = request.path.strip("/").partition("/")[0]
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode()):
            raise web.HTTPForbidden(
                text="the address is the one that `trajectory watch --web` printed, token and all\n"
            )
        self._known.add(request.protocol)
        if f"http://{request.host}" != self.public_url:
            raise web.HTTPForbidden(text="this is asked for by another name than its own\n")
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
            return await self._page(request)
        finally:
            self._page_count -= 1

    async def _page(self, request: web.Request) -> web.WebSocketResponse:
        page = web.WebSocketResponse(heartbeat=15)
        await page.prepare(request)

        async def leave() -> None:
            await page.close()

        app = _Dashboard(
            self.command,
            write_bytes=page.send_bytes,
            write_str=page.send_str,
            close=leave,
            download_manager=self.download_manager,
        )
        size = [request.query.get("width", ""), request.query.get("height", "")]
        width, height = (
            int(cells) if cells.isdecimal() else usual for cells, usual in zip(size, (80, 24), strict=True)
        )
        await app.start(width, height)
        try:
            await self._process_messages(page, app)
        except _MISSPOKEN:  # no page of ours says that
            await page.close()
        finally:
            await app.end()
        return page

    async def let_go_of_silent(self, server: web.Server) -> None:
        """Ends connections that have not shown the token, again and again: they would use up the files of the process."""
        silent: set[object] = set()
        while True:
            await asyncio.sleep(SILENCE_S / 2)
            self._known.intersection_update(server.connections)
            unknown = [each for each in server.connections if each not in self._known]
            for each in unknown:
                if each in silent and each.transport is not None:
                    each.transport.abort()
            silent = set(unknown)


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


def serve(words: list[str], port: int) -> int:
    """Serves `trajectory watch` with these words until it is ended by a signal; returns its exit code.

    `port` 0 takes a free one. Raises ConfigError where the port is taken."""
    return asyncio.run(_serve(words, port))


async def _serve(words: list[str], port: int) -> int:
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    for room in ("aiohttp", "textual-serve", "asyncio"):  # whoever sends nonsense would write on this terminal
        logging.getLogger(room).addHandler(logging.NullHandler())
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, _end, ended, name)
    with _listening(port) as listener:
        command = shlex.join([sys.executable, "-P", "-m", "trajectory", "watch", *words])
        pages = Pages(f"exec {command}", listener.getsockname()[1])
        runner = web.AppRunner(await pages.application(), access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        assert runner.server is not None
        letting_go = asyncio.create_task(pages.let_go_of_silent(runner.server))
        try:
            await web.SockSite(runner, listener, backlog=_BACKLOG).start()
            print(f"the dashboard is at {pages.address}", flush=True)
            number = await ended
        finally:
            letting_go.cancel()
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
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen on {HOST}:{port}: {os.strerror(error.errno or 0)}", "port") from None
    return listener
