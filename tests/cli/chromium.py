"""A real browser without a window: Chromium, told what to do by its DevTools protocol over one WebSocket.

Invariant: it asks nobody but the address that it is sent to, its profile is thrown away, and nothing is waited for
by time. What a page was sent over its own socket is read from the browser, so it is what the page got.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp

PROGRAM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
DEADLINE_S = 20.0
_SWITCHES = (
    "--headless=new", "--remote-debugging-port=0", "--window-size=1000,700", "--no-first-run", "--disable-gpu",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--disable-sync",
    "--disable-dev-shm-usage", "--no-default-browser-check",
)  # fmt: skip


class Page:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._changed = asyncio.Event()
        self.status, self._is_loaded = 0, False  # of the page itself
        self.answered: list[str] = []  # the addresses that something came from
        self.socket_address = ""
        self.has_ended = False  # that socket
        self.received = b""  # over the page's own socket

    async def ask(self, method: str, **parameters: object) -> dict[str, Any]:
        """One command of the protocol; returns its result. Raises AssertionError where the browser refuses."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        told = await asyncio.wait_for(answer, DEADLINE_S)
        assert "error" not in told, told
        result: dict[str, Any] = told["result"]
        return result

    async def open(self, address: str) -> None:
        self.status, self._is_loaded = 0, False
        await self.ask("Page.navigate", url=address)
        await self.until(lambda: self.status and self._is_loaded)

    async def run(self, script: str) -> Any:
        """What a script gives in the page."""
        return (await self.ask("Runtime.evaluate", expression=script, returnByValue=True))["result"].get("value")

    async def type_in(self, text: str) -> None:
        """Presses the key of each letter; a line break is enter."""
        for letter in text:
            key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
            if letter != "\n":
                key = {"key": letter, "text": letter, "windowsVirtualKeyCode": ord(letter.upper())}
            await self.ask("Input.dispatchKeyEvent", type="keyDown", **key)
            await self.ask("Input.dispatchKeyEvent", type="keyUp", **{**key, "text": ""})

    async def picture(self) -> bytes:
        """What the page looks like, as PNG."""
        return base64.b64decode((await self.ask("Page.captureScreenshot"))["data"])

    async def until(self, is_so: Callable[[], object], told: Callable[[], str] = lambda: "") -> None:
        """Waits until something is so of what the page got."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not is_so():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(told()) from None

    async def listen(self) -> None:
        """Takes what the browser tells, until it is closed."""
        async for message in self._socket:
            told = json.loads(message.data)
            if answer := self._answers.pop(told.get("id", 0), None):
                answer.set_result(told)
                continue
            self._note(told.get("method", ""), told.get("params", {}))
            self._changed.set()

    def _note(self, method: str, told: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._is_loaded = True
        elif method == "Network.responseReceived":
            self.answered.append(told["response"]["url"])
            if told["type"] == "Document":
                self.status = told["response"]["status"]
        elif method == "Network.webSocketClosed":
            self.has_ended = True
        elif method == "Network.webSocketCreated":
            self.socket_address = told["url"]
        elif method == "Network.webSocketFrameReceived" and told["response"]["opcode"] == 2:
            self.received += base64.b64decode(told["response"]["payloadData"])


@contextlib.asynccontextmanager
async def browsing() -> AsyncIterator[Page]:
    """A browser with one empty page; both are gone at the end."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        switches = [*_SWITCHES, f"--user-data-dir={profile}", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        browser = await asyncio.create_subprocess_exec(
            PROGRAM, *switches, "about:blank",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "HOME": profile},
        )  # fmt: skip
        try:
            address = await _address(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://{address}/json/list") as answer:
                    (page_at,) = [
                        each["webSocketDebuggerUrl"] for each in await answer.json() if each["type"] == "page"
                    ]
                async with session.ws_connect(page_at, max_msg_size=0) as socket:
                    page = Page(socket)
                    listening = asyncio.create_task(page.listen())
                    for room in ("Page", "Network", "Runtime"):
                        await page.ask(f"{room}.enable")
                    await page.ask("Emulation.setFocusEmulationEnabled", enabled=True)  # as a window that is looked at
                    yield page
                    listening.cancel()
        finally:
            with contextlib.suppress(ProcessLookupError):
                browser.kill()
            await browser.wait()


async def _address(told_in: Path) -> str:
    """Where the browser listens, which it writes into its profile when it does."""
    async with asyncio.timeout(DEADLINE_S):
        while not (told_in.exists() and (found := re.match(r"(\d+)\n.", told_in.read_text()))):
            await asyncio.sleep(0.05)
    return f"127.0.0.1:{found[1]}"
