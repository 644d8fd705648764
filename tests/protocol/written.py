"""What people write with an editor, or hand on as a line: policies, prices, settings, key files, links, filters; and saved sums.

Invariant: as in `mouths`, which has them all.
"""

import contextlib
import tempfile
from functools import cache
from pathlib import Path

from tests.protocol.mouth import Mouth, refusing
from trajectory.alerting.policy_file import read_policy
from trajectory.errors import ConfigError, QueryError, TrajectoryError
from trajectory.graph.trace import Trace
from trajectory.protocol.keys import client_keys
from trajectory.signals.book import Book
from trajectory.signals.figures import Figures, Group, Spread
from trajectory.signals.prices import default_prices, load_prices
from trajectory.signals.tally import TraceTally, read_saved
from trajectory.view.link import is_link, parse_link
from trajectory.view.query import parse
from tui.settings import Settings

EXAMPLES = Path(__file__).parents[2] / "examples"
_PRICES = b'replace = false\n["gpt-5"]\ninput = 1.25\noutput = 10.0\ncached_input = 0.125\n'
_SETTINGS = b"""theme = "okabe-dark"
glyphs = "ascii"
mouse = false
[filters]
bad = "err>0 since:1h"
[keys]
quit = "x"
[[panels]]
title = "slow"
metric = "p95"
group = "model"
window = "1h"
threshold = 2.5
"""
_LINKS = [
    b"trajectory://" + b"ab" * 16 + b"/span/" + b"cd" * 8 + b"?t=33.5s&v=timeline",
    b"trajectory://" + b"ab" * 16 + b"/agent/writer",
    b"trajectory://every?v=signals",
]
_FILTERS = [b'status:error and not (agent:"a b" or cost>0.5) text:refund since:2h', b"kind:tool err>0 @mine"]


def written() -> list[Mouth]:
    """All of them."""
    return [
        Mouth("policy", refusing(_read_policy, ConfigError), [(EXAMPLES / "alerts.toml").read_bytes()]),
        Mouth("prices", refusing(_read_prices, TrajectoryError), [_PRICES]),
        Mouth("settings", _read_settings, [_SETTINGS]),
        Mouth("key file", refusing(_read_key, ConfigError), [_key_file()]),
        Mouth("links", refusing(_read_link, ConfigError), _LINKS),
        Mouth("filters", refusing(_read_filter, QueryError), _FILTERS),
        Mouth("saved sums", _read_sums, [_sums()]),
    ]


def _read_policy(raw: bytes) -> None:
    read_policy(_kept("alerts.toml", raw))


def _read_prices(raw: bytes) -> None:
    prices = load_prices(_kept("prices.toml", raw))
    cost = prices.cost_usd("gpt-5", 1000, 10, 5, "openai")
    assert cost is None or 0 <= cost < float("inf"), cost


def _read_settings(raw: bytes) -> None:
    settings = Settings(_kept("settings.toml", raw))
    _ = settings.told, settings.panels, settings.moved, settings.text("theme")
    with contextlib.suppress(QueryError):
        settings.meant("@bad")
    settings.set("theme", "okabe-light")


def _read_key(raw: bytes) -> None:
    client_keys(str(_kept("client.key", raw)))


def _read_link(raw: bytes) -> None:
    text = _text(raw)
    is_link(text)
    link = parse_link(text)
    assert parse_link(str(link)) == link, "a link comes back as another"


def _read_filter(raw: bytes) -> None:
    parse(_text(raw))


def _read_sums(raw: bytes) -> None:
    saved = read_saved(raw)
    if saved is not None:
        book = Book()
        book.add(dict(saved.groups))
        book.add(dict(saved.groups))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _key_file() -> bytes:
    return b"# a key\nTRAJECTORY_KEY=" + b"0a" * 32 + b"\nexport TRAJECTORY_SERVER_KEY=" + b"0b" * 32 + b"\n"


def _sums() -> bytes:
    tally = TraceTally(Trace(bytes(16)), default_prices())
    tally.tally[Group(5, "model", "m", "a", "s", "1", "p", "")] = Figures(
        count=2, seconds=Spread(1, 0.5, [0, 1, *[0] * 13])
    )
    return tally.written()


def _kept(name: str, raw: bytes) -> Path:
    path = Path(_room().name) / name
    path.write_bytes(raw)
    path.chmod(0o600)
    return path


@cache
def _room() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="trajectory-fuzz-")
