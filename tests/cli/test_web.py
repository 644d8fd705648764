"""The dashboard in a browser: who has the token gets it, and nobody else gets anything."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.terminal import trajectory

aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("textual_serve")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("store")
    (folder / "chat.jsonl").write_text('{"history": [{"role": "user", "content": "ask"}]}\n')
    assert trajectory("import", folder / "chat.jsonl", "--store", folder / "s.db").code == 0
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "trajectory", "watch", "--web", "--no-settings", "--store", folder / "s.db"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
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
            while b"1 run" not in drawn:
                drawn += await page_socket.receive_bytes()
            await page_socket.send_json(["stdin", "q"])
            async for message in page_socket:
                assert message.type is aiohttp.WSMsgType.BINARY or json.loads(message.data)


def test_a_port_without_the_browser_and_one_that_is_taken_are_refused(tmp_path: Path, address: str) -> None:
    assert "--port goes with --web" in trajectory("watch", "--port", "1").err
    port = address.split(":")[2].partition("/")[0]
    done = trajectory("watch", "--web", "--port", port)
    assert done.code == 2 and "cannot listen" in done.err


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "textual_serve.py").write_text("raise ImportError(name='textual_serve')")
    done = trajectory("watch", "--web", PYTHONPATH=str(tmp_path))
    assert done.code == 2 and "pip install 'trajectory-tracing[web]'" in done.err
