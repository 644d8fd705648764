"""What a model call costs: a table of prices by model, which users replace or extend with a TOML file of their own.

Invariant: a model that the table does not know has an unknown cost, never 0. Prices are US dollars for a million tokens; cached
input is a part of the input tokens, as the GenAI conventions count it. Read once, by whoever measures.
"""

import os
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from trajectory.errors import ConfigError

PRICES_VARIABLE = "TRAJECTORY_PRICES"
_PER = 1_000_000
_MAX_BYTES = 1_000_000
# What providers put after the name that a price is known by: a date, a release, `latest`.
_RELEASE = re.compile(r"(?:[-@:](?:20\d{2}-?\d{2}-?\d{2}|\d{4}|\d{3}|latest|preview|exp|v\d+(?::\d+)?))+$")
_REGION = re.compile(r"^(?:us|eu|apac|jp|au|global)\.")
_MAKER = re.compile(r"^(?:anthropic|meta|amazon|mistral|cohere|ai21|deepseek|openai|qwen)\.")


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of one model. `cached_input` is what input from the cache costs; all input the same where it is not said."""

    input: float
    output: float
    cached_input: float | None = None


class Prices:
    """A table of prices: ours, and over it the user's."""

    def __init__(self, table: dict[str, Price]) -> None:
        self._table = {_plain(name): price for name, price in table.items()}
        self._found: dict[str, Price | None] = {}

    def price_of(self, model: str) -> Price | None:
        """The price of a model by its name with or without maker, region and release; None where it is not known."""
        if model not in self._found:
            if len(self._found) > 10_000:  # names come from agents
                self._found.clear()
            self._found[model] = self._look_up(model)
        return self._found[model]

    def cost_usd(
        self, model: str, input_tokens: int, output_tokens: int, cached_tokens: int = 0, provider: str = ""
    ) -> float | None:
        """What a call cost, in US dollars; None where the model has no price. Raises nothing."""
        price = self.price_of(f"{provider}/{model}") if provider else None
        price = price or self.price_of(model)
        if price is None:
            return None
        cached = min(cached_tokens, input_tokens)
        cached_price = price.input if price.cached_input is None else price.cached_input
        return ((input_tokens - cached) * price.input + cached * cached_price + output_tokens * price.output) / _PER

    def _look_up(self, model: str) -> Price | None:
        name = _plain(model[:200])
        for each in (name, name.rpartition("/")[2], _MAKER.sub("", _REGION.sub("", name.rpartition("/")[2]))):
            for known in (each, _RELEASE.sub("", each)):
                if known in self._table:
                    return self._table[known]
        return None


def _plain(name: str) -> str:
    return name.strip().lower()


def load_prices(path: Path | None = None) -> Prices:
    """Our prices, and over them those of a user's file: a table for each model with `input`, `output` and perhaps `cached_input`.

    `replace = true` at its top leaves ours out. Raises ConfigError with the key and what was expected.
    """
    ours = _read(
        resources.files("trajectory.signals").joinpath("prices.toml").read_text(encoding="utf-8"), "prices.toml"
    )
    if path is None:
        return Prices(ours[0])
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"{path} is larger than {_MAX_BYTES // 1000} kB: it is no table of prices", "prices")
        text = path.read_text(encoding="utf-8")
    except OSError as fault:
        raise ConfigError(f"the prices in {path} cannot be read: {fault.strerror}", "prices") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text", "prices") from None
    theirs, replaces = _read(text, str(path))
    return Prices(theirs if replaces else {**ours[0], **theirs})


def default_prices() -> Prices:
    """The prices to count with: ours, and over them those of the file that TRAJECTORY_PRICES names. Raises ConfigError."""
    named = os.environ.get(PRICES_VARIABLE, "")
    return load_prices(Path(named).expanduser() if named else None)


def _read(text: str, where: str) -> tuple[dict[str, Price], bool]:
    try:
        said: dict[str, Any] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as fault:
        raise ConfigError(f"{where}: {fault}", "prices") from None
    replaces = said.pop("replace", False)
    if not isinstance(replaces, bool):
        raise ConfigError(f"{where}:{_line_of(text, 'replace')}: replace is true or false", "replace")
    table: dict[str, Price] = {}
    for model, value in said.items():
        try:
            price = msgspec.convert(value, Price)
        except msgspec.ValidationError as fault:
            raise ConfigError(
                f"{where}:{_line_of(text, model)}: [{model[:80]!r}]: {fault}; expected input, output, cached_input",
                model,
            ) from None
        if not all(0 <= each < 1e6 for each in (price.input, price.output, price.cached_input or 0)):
            at = f"{where}:{_line_of(text, model)}: [{model[:80]!r}]"
            raise ConfigError(f"{at}: a price is dollars for a million tokens, 0 or more", model)
        table[model] = price
    return table, replaces


def _line_of(text: str, key: str) -> int:
    """The line on which a key or its table stands, from 1; 1 where it is written in a way that is not looked for."""
    written = re.compile(rf"\s*\[?\s*[\"']?{re.escape(key)}[\"']?\s*[\]=]")
    return next((n for n, line in enumerate(text.splitlines(), 1) if written.match(line)), 1)
