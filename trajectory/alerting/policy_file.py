"""A policy out of a TOML file. What is wrong in it is said with its line, its key and what was expected.

Invariant: a file is read whole or not at all: a policy never has a part of a wrong one. Called by `trajectory serve`, by the
process that sends, and by the commands about alerts.
"""

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec

from trajectory.alerting.channels.registry import kinds, options_of
from trajectory.alerting.policy import Channel, Check, Policy, Quiet, Rule
from trajectory.errors import ConfigError
from trajectory.view.nearly import meant

VARIABLE = "TRAJECTORY_ALERTS"
MAX_BYTES = 1_000_000
MAX_PER_MINUTE = 600
_PER_MINUTE = 6
_AT = re.compile(r" - at `\$(.*)`$")
_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+|\.\.\.)\]")
_KEY = re.compile(r"^([a-z_]+): (.*)$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `([^`]*)`")
_MISSING = re.compile(r"Object missing required field `([^`]*)`")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_HEADER = re.compile(r"\s*\[(\[?)\s*([^\]]+?)\s*\]")


_TABLES = {"rule": Rule, "quiet": Quiet, "check": Check}


class _Common(msgspec.Struct):
    type: str = ""
    per_minute: int = _PER_MINUTE


class _File(msgspec.Struct, forbid_unknown_fields=True):
    rule: list[Rule] = []
    quiet: list[Quiet] = []
    check: list[Check] = []
    channels: dict[str, dict[str, Any]] = {}
    severity: dict[str, list[str]] = {}
    state: str = ""


def default_file() -> Path:
    """`TRAJECTORY_ALERTS`, else `$XDG_CONFIG_HOME/trajectory/alerts.toml`, else under `~/.config`."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(os.environ.get(VARIABLE) or Path(base) / "trajectory" / "alerts.toml")


def read_policy(path: Path) -> Policy:
    """The policy in a file. Raises ConfigError with path, line, key and what was expected."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path} is larger than {MAX_BYTES // 1000} kB: it is no policy of alerts", "alerts")
        text = path.read_text(encoding="utf-8")
    except OSError as fault:
        raise ConfigError(f"the policy {path} cannot be read: {fault.strerror}", "alerts") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text", "alerts") from None
    return parse_policy(text, str(path))


def parse_policy(text: str, where: str = "alerts.toml") -> Policy:
    """The policy that a text says. Raises ConfigError as `read_policy`."""
    try:
        said = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as fault:
        line = re.search(r"at line (\d+)", str(fault))
        raise ConfigError(
            f"{where}:{line[1] if line else len(text.splitlines()) or 1}: no TOML: {fault}", "alerts"
        ) from None
    try:
        read = msgspec.convert(said, _File)
        channels = {name: _channel(name, table) for name, table in read.channels.items()}
        _name_known(read, channels)
    except msgspec.ValidationError as fault:
        raise _told(str(fault), text, where) from None
    return Policy(read.rule, read.quiet, read.check, channels, read.severity, read.state)


def _channel(name: str, table: dict[str, Any]) -> Channel:
    def wrong(key: str, said: str) -> msgspec.ValidationError:
        return msgspec.ValidationError(f"{key}: {said} - at `$.channels.{name}`")

    if not _NAME.fullmatch(name):
        raise msgspec.ValidationError(
            f"{name[:40]!r} is no name of a channel; expected letters, digits, . _ - - at `$.channels`"
        )
    common = _converted(table, _Common, name)
    if not common.type:
        raise wrong("type", f"is missing; expected one of {', '.join(kinds())}")
    if common.type not in kinds():
        expected = f"; expected one of {', '.join(kinds())}"
        raise wrong("type", f"{common.type[:40]!r} is no kind of channel{meant(common.type, kinds(), expected)}")
    if not 1 <= common.per_minute <= MAX_PER_MINUTE:
        raise wrong("per_minute", f"{common.per_minute} messages a minute; expected 1 to {MAX_PER_MINUTE}")
    options = {key: value for key, value in table.items() if key not in _Common.__struct_fields__}
    _converted(options, options_of(common.type), name)
    return Channel(name, common.type, common.per_minute, options)


def _converted(table: dict[str, Any], kind: Any, name: str) -> Any:
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as fault:
        said = str(fault)
        at = _AT.search(said)
        raise msgspec.ValidationError(f"{_AT.sub('', said)} - at `$.channels.{name}{at[1] if at else ''}`") from None


def _name_known(read: _File, channels: dict[str, Channel]) -> None:
    """Channels that are named have to be there: a typing error would be silence."""
    expected = f"; expected one of {', '.join(channels) or 'those under [channels.NAME], and there are none'}"
    named = [(f"rule[{n}].channels", rule.channels) for n, rule in enumerate(read.rule)]
    named += [(f"quiet[{n}].channels", quiet.channels) for n, quiet in enumerate(read.quiet)]
    for severity, names in read.severity.items():
        if severity not in (there := ("info", "warning", "critical")):
            hint = meant(severity, there, "; expected info, warning or critical")
            raise msgspec.ValidationError(f"{severity[:40]!r} is no severity{hint} - at `$.severity.{severity}`")
        named.append((f"severity.{severity}", names))
    for key, names in named:
        for name in names:
            if name not in channels:
                raise msgspec.ValidationError(
                    f"{name[:40]!r} is no channel{meant(name, channels, expected)} - at `$.{key}`"
                )
    seen: set[str] = set()
    for number, rule in enumerate(read.rule):
        if rule.name and rule.name in seen:
            raise msgspec.ValidationError(
                f"name: {rule.name[:40]!r} is another rule's; expected one of its own - at `$.rule[{number}]`"
            )
        seen.add(rule.name)


def _told(said: str, text: str, where: str) -> ConfigError:
    """What msgspec, or a rule's own check, found wrong, at the line where it stands."""
    at = _AT.search(said)
    steps = [step[0] or step[1] for step in _STEP.findall(at[1])] if at else []
    said = _AT.sub("", said)
    if found := _UNKNOWN.match(said):
        keys = _keys_at(steps, text)
        steps.append(found[1])
        expected = f"; expected {', '.join(keys)}"
        said = f"is no key here{meant(found[1], keys, expected)}"
    elif found := _MISSING.match(said):
        steps.append(found[1])
        said = "is missing; expected it here"
    if said.startswith("Invalid enum value") and (words := _words_of(steps, text)):
        word = said.removeprefix("Invalid enum value ")
        expected = f"; expected {', '.join(words)}"
        said = f"{word} is none{meant(word[1:-1], words, expected)}"
    if found := _KEY.match(said):
        steps.append(found[1])
        said = found[2]
    said = said.replace("Expected", "expected", 1)
    key = "".join(f"[{step}]" if step.isdigit() else f".{step}" for step in steps).lstrip(".") or "the file"
    return ConfigError(f"{where}:{_line(steps, text)}: {key}: {said}", steps[-1] if steps else "alerts")


def _keys_at(steps: list[str], text: str) -> tuple[str, ...]:
    if not steps:
        return _encoded(_File)
    if steps[0] == "channels" and len(steps) > 1:
        table = tomllib.loads(text)["channels"].get(steps[1], {})
        return (*_encoded(_Common), *_encoded(options_of(str(table.get("type", "")))))
    return _encoded(_TABLES[steps[0]]) if steps[0] in _TABLES else ("another",)


def _words_of(steps: list[str], text: str) -> tuple[str, ...]:
    """The words that may stand at a place."""
    kind = _struct_at(steps, text)
    key = next((step for step in reversed(steps) if not step.isdigit() and step != "..."), "")
    field = next((f for f in msgspec.structs.fields(kind) if f.encode_name == key), None) if kind else None
    wanted: Any = field.type if field is not None else None
    while get_origin(wanted) is list:
        wanted = get_args(wanted)[0]
    return get_args(wanted) if get_origin(wanted) is Literal else ()


def _struct_at(steps: list[str], text: str) -> Any:
    if steps[:1] == ["channels"] and len(steps) > 1:
        return options_of(str(tomllib.loads(text)["channels"][steps[1]].get("type", "")))
    return _TABLES.get(steps[0]) if steps else _File


def _encoded(kind: Any) -> tuple[str, ...]:
    return tuple(kind.__struct_encode_fields__)


def _line(steps: list[str], text: str) -> int:
    """The line of a key, else of the table around it, else the first."""
    table, number, wanted, best = "", -1, steps, 1
    count: dict[str, int] = {}
    for at, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = header[2].replace('"', "").replace("'", "").replace(" ", "")
            number = count.get(table, -1) + 1 if header[1] else -1
            count[table] = number
            path = [*table.split("."), *([str(number)] if number >= 0 else [])]
            if wanted[: len(path)] == path:
                best = at
            continue
        key = line.partition("=")[0].strip().strip("\"'")
        path = [*(table.split(".") if table else []), *([str(number)] if number >= 0 else []), *key.split(".")]
        if "=" in line and wanted[: len(path)] == path:
            return at
    return best
