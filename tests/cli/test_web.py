"""The dashboard in a browser: who has the token gets it, and nobody else gets anything."""

import asyncio
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest

from tests.benchmarks._pty import UNKNOWN
from tests.cli.terminal import trajectory
from tests.recorded import recorded_feed
from tests.tui.pilots import driving

aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("textual_serve")
from textual_serve.download_manager import DownloadManager  # noqa: E402

from tests.cli.chromium import PROGRAM, Page, browsing  # noqa: E402  # needs aiohttp
from trajectory.cli import web  # noqa: E402

UNFINISHED = re.compile(rb"\x1b(\[[?<>=0-9;$]*)?\Z")  # a code of which the rest has not come yet


@pytest.fixture(scope="module")
def address(recorded_store: Path) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "trajectory", "watch", "--web", "--no-settings", "--store", recorded_store],
        env=os.environ | {"TZ": "UTC"}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        found = re.fullmatch(r"the dashboard is at (http://127\.0\.0\.1:\d+/[\w-]{32}/)\n", process.stdout.readline())
        assert found
        yield found[1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def test_without_the_token_nothing_is_answered(address: str) -> None:
    base, token = address.rstrip("/").rsplit("/", 1)
    async with aiohttp.ClientSession() as session:
        for path in (
            "/",
            "/ws",
            "/static/js/textual.js",
            "/download/x",
            f"/{token[:-1]}/",
            f"/{token}x/ws",
            "/%2e%2e/",
        ):
            async with session.get(base + path) as answer:
                assert answer.status == 403, path
                assert token not in await answer.text()
        async with session.get(address + "ws", headers={"Origin": "http://evil.example"}) as answer:
            assert answer.status == 403


@pytest.mark.parametrize("asked", ["OPTIONS *", "CONNECT evil.example:443", "GET //"])
async def test_odd_requests_learn_nothing_either(address: str, asked: str) -> None:
    assert b"403 Forbidden" in await _said(
        address, f"{asked} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    )


async def test_by_another_name_it_answers_to_no_token(address: str) -> None:
    """A name that somebody else made resolve to this machine."""
    path = "/" + address.split("/", 3)[3]
    port = address.split(":")[2].partition("/")[0]
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port}.evil.example", ""):
        said = await _said(address, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        assert b"403 Forbidden" in said, host


async def test_a_connection_that_shows_no_token_is_ended(address: str) -> None:
    for begun in ("", "GET / HTTP/1.1\r\nX: ", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
        await _said(address, begun)


async def _said(address: str, asked: str) -> bytes:
    """All that is answered until the other side ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(address.split(":")[2].partition("/")[0]))
    writer.write(asked.encode())
    try:
        return await asyncio.wait_for(reader.read(), 20)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "said", ["{}", "[]", "no JSON", '["stdin", 5]', '["stdin", "\\ud800"]', '["resize", {"width": "x"}]']
)
async def test_a_page_that_speaks_as_none_of_ours_is_closed(address: str, said: str) -> None:
    at = address.replace("http", "ws", 1) + "ws"
    async with asyncio.timeout(60), aiohttp.ClientSession() as session, session.ws_connect(at) as page_socket:
        await page_socket.send_str(said)
        async for _ in page_socket:
            pass
        assert page_socket.close_code == aiohttp.WSCloseCode.OK


async def test_no_page_is_larger_than_a_screen() -> None:
    assert web._screen(10**9, 10**9) == (web.MAX_COLUMNS, web.MAX_ROWS)
    assert web._screen(-5, 0) == (1, 1)


@pytest.mark.parametrize(
    "does", ["while True: os.write(1, b'D' + (60_000).to_bytes(4, 'big') + bytes(60_000))", "time.sleep(600)"]
)
async def test_a_process_ends_with_its_page_whatever_it_is_at(monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    monkeypatch.setattr(web, "END_S", 0.2)
    script = f"import os, time; os.write(1, b'__GANGLION__\\n')\n{does}"

    async def gone(_: object = None) -> None:
        raise ConnectionError

    page = web._Dashboard(
        shlex.join(["exec", sys.executable, "-c", script]),
        write_bytes=gone, write_str=gone, close=gone, download_manager=DownloadManager(),
    )  # fmt: skip
    await page.start(80, 24)
    await asyncio.wait_for(page.end(), 10)
    assert await asyncio.wait_for(page.process.wait(), 10) == -signal.SIGKILL


async def test_with_the_token_the_page_is_the_dashboard(address: str) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(60):
        async with session.get(address) as answer:
            page = await answer.text()
            assert answer.status == 200 and "default-src 'self'" in answer.headers["Content-Security-Policy"]
        socket_at = re.search(r'"(ws://127[^"]+/ws)', page)
        assert socket_at and socket_at[1] == address.replace("http", "ws", 1) + "ws"
        async with session.get(re.findall(r'src="([^"]+\.js)"', page)[0]) as answer:
            assert answer.status == 200
        async with session.ws_connect(socket_at[1] + "?width=100&height=30") as page_socket:
            drawn = b""
            while b"5 runs" not in drawn:
                drawn += await page_socket.receive_bytes()
            await page_socket.send_json(["stdin", "q"])
            async for message in page_socket:
                assert message.type is aiohttp.WSMsgType.BINARY or json.loads(message.data)


class Screen:
    """What a page was sent, as a terminal of the page's size shows it."""

    def __init__(self, page: Page) -> None:
        columns, rows = re.findall(r"=(\d+)", page.socket_address)
        self.size = int(columns), int(rows)
        self._page, self._read_count = page, 0
        self._screen = pyte.Screen(*self.size)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def text(self) -> str:
        new = UNFINISHED.sub(b"", self._page.received[self._read_count :])
        self._read_count += len(new)
        self._stream.feed(UNKNOWN.sub(b"", new))
        return "\n".join(line.rstrip() for line in self._screen.display)


@pytest.mark.skipif(not PROGRAM, reason="no Chromium is installed")
async def test_a_browser_shows_the_dashboard_to_the_token_alone_and_hands_it_the_keys(
    address: str, recorded_store: Path
) -> None:
    base, token = address.rstrip("/").rsplit("/", 1)
    async with browsing() as page:
        for refused in ("/", f"/{token[:-1]}/", f"/{token.swapcase()}/"):
            await page.open(base + refused)
            assert page.status == 403
            assert (await page.run("document.body.innerText")).startswith("the address is the one that")
        await page.open(address)
        assert page.status == 200
        await page.until(lambda: b"5 runs" in page.received)
        screen = Screen(page)
        with recorded_feed(recorded_store) as feed:
            async with driving(feed, size=screen.size) as driver:
                pictures = set()
                for key, named in (("j", "j"), ("k", "k"), ("\n", "enter"), ("a", "a"), ("?", "question_mark")):
                    await page.type_in(key)
                    await driver.press(named)
                    await driver.beat(2)
                    await page.until(lambda: screen.text == driver.text, lambda: f"{screen.text}\n{driver.text}")
                    pictures.add(await page.picture())
        assert len(pictures) == 5  # and it is painted, too
        assert {found.startswith(f"{base}/") for found in page.answered} == {True}
        await page.type_in("qq")  # the help, then the dashboard
        await page.until(lambda: page.has_ended)


def test_a_port_without_the_browser_and_one_that_is_taken_are_refused(tmp_path: Path, address: str) -> None:
    assert "--port goes with --web" in trajectory("watch", "--port", "1").err
    port = address.split(":")[2].partition("/")[0]
    done = trajectory("watch", "--web", "--port", port)
    assert done.code == 2 and "cannot listen" in done.err


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "textual_serve.py").write_text("raise ImportError(name='textual_serve')")
    done = trajectory("watch", "--web", PYTHONPATH=str(tmp_path))
    assert done.code == 2 and "pip install 'trajectory-tracing[web]'" in done.err


async def test_of_more_pages_than_there_may_be_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "MAX_PAGES_COUNT", 0)
    pages = web.Pages("exec false", 1)
    with pytest.raises(aiohttp.web.HTTPServiceUnavailable, match="Service Unavailable"):
        await pages.handle_websocket(None)


async def test_a_second_signal_changes_nothing() -> None:
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    web._end(ended, signal.SIGTERM)
    web._end(ended, signal.SIGINT)
    assert await ended == signal.SIGTERM
