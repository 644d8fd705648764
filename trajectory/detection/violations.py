"""What a JSON Schema library says of arguments, in words that people understand, and how sure it is.

Invariant: pure; each place has one violation, and what every usual framework mends on its way has none. Called by `schemas`
with the errors of its own, bounded validator.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from trajectory.detection.words import shorten

MAX_VIOLATIONS_COUNT = 8
_ARTICLE = {"integer": "an integer", "object": "an object", "array": "an array", "null": "null"}


class Violation(NamedTuple):
    """One place where arguments do not fit. `path` is as people write it (`stops[1].city`), empty for the whole; `says` is what
    is expected there and what came; `schema` is the violated part. `is_certain`: no usual framework mends it."""

    path: str
    reason: str
    says: str
    schema: str
    is_certain: bool


def violations_of(error: Any) -> Iterator[Violation]:
    """The violations that one of the library's errors stands for."""
    yield from _read(error, 0)


def _read(error: Any, depth: int) -> Iterator[Violation]:
    if error.validator == "anyOf":
        if depth < 8:
            yield from _of_branches(error, depth)
        return
    path = _path(error.absolute_path)
    part = shorten(json.dumps({error.validator: error.validator_value}, ensure_ascii=False, default=str))
    if error.validator == "required":
        for name in [n for n in error.validator_value if n not in error.instance][:MAX_VIOLATIONS_COUNT]:
            place = f"{path}.{name}" if path else name
            yield Violation(place, "missing", f"{place} is required and missing", part, True)
    elif error.validator == "additionalProperties":
        names = sorted(error.schema.get("properties", {}))
        known = shorten(", ".join(names), 80) or "none"
        for name in sorted(set(error.instance) - set(names))[:MAX_VIOLATIONS_COUNT]:
            place = shorten(f"{path}.{name}" if path else name, 60)
            yield Violation(place, "unknown", f"{place} is not an argument of it (known: {known})", part, True)
    elif error.validator == "type":
        types = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        yield from _of_type(path, types, error.instance, part)
    elif error.validator == "enum":
        yield from _of_values(path, error.validator_value, error.instance, part)
    else:
        wanted = f"{re.sub('([A-Z])', lambda m: ' ' + m[0].lower(), error.validator)} {error.validator_value}"
        yield Violation(path, "bound", f"{path or 'the whole'} has {wanted}, got {_got(error.instance)}", part, False)


def _of_branches(error: Any, depth: int) -> Iterator[Violation]:
    """What is wrong by the branch that was meant: the one whose type the value has. Nothing where any branch may be mended."""
    branches: dict[Any, list[Any]] = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0], []).append(inner)
    read = {index: [v for inner in errors for v in _read(inner, depth + 1)] for index, errors in branches.items()}
    if not all(read.values()):
        return
    place = list(error.absolute_path)
    meant = [i for i, errors in branches.items() if not any(_is_misfit(e, place) for e in errors)]
    if len(meant) == 1:
        yield from read[meant[0]]
        return
    path = _path(place)
    types = [
        t for errors in branches.values() for e in errors if _is_misfit(e, place) for t in _listed(e.validator_value)
    ]
    part = shorten(json.dumps({"anyOf": error.validator_value}, ensure_ascii=False, default=str))
    if not meant and types:
        yield from _of_type(path, list(dict.fromkeys(types)), error.instance, part)
    else:
        says = f"{path or 'the whole'} fits none of {len(branches)} forms, got {_got(error.instance)}"
        yield Violation(path, "type", says, part, False)


def _is_misfit(error: Any, place: list[Any]) -> bool:
    return error.validator == "type" and list(error.absolute_path) == place


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def _of_type(path: str, types: list[str], value: Any, part: str) -> Iterator[Violation]:
    mended = [_mending(wanted, value) for wanted in types]
    if "usual" in mended:
        return
    wanted = " or ".join(_ARTICLE.get(t, f"a {t}") for t in types)
    says = f"{path or 'the whole'} must be {wanted}, got {_got(value)}"
    yield Violation(path, "type", says, part, "some" not in mended)


def _mending(wanted: str, value: Any) -> str:
    """Whether frameworks make a value into the wanted type: `usual`, `some` of them, or empty for none."""
    if wanted in ("integer", "number"):
        form = r"[+-]?\d+(\.0*)?" if wanted == "integer" else r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?"
        is_number = isinstance(value, str) and re.fullmatch(form, value.strip(), re.I)
        return "usual" if isinstance(value, bool) or is_number else ""
    if wanted == "boolean":
        said = str(value).strip().lower() if isinstance(value, (str, int, float)) else ""
        return "usual" if said in ("true", "false", "yes", "no", "on", "off", "0", "1") else ""
    if wanted == "string":
        return "some" if value is None or isinstance(value, (bool, int, float)) else ""
    if value is None:
        return "some"
    if isinstance(value, str) and wanted in ("array", "object"):
        return "some" if value.lstrip()[:1] == ("[" if wanted == "array" else "{") else ""
    return ""


def _of_values(path: str, values: list[Any], value: Any, part: str) -> Iterator[Violation]:
    if any(str(v) == str(value) for v in values):
        return
    alike = isinstance(value, str) and any(
        isinstance(v, str) and v.casefold() == value.strip().casefold() for v in values
    )
    allowed = shorten(", ".join(str(v) for v in values), 80)
    yield Violation(path, "enum", f"{path or 'the whole'} must be one of {allowed}; got {_got(value)}", part, not alike)


def _got(value: Any) -> str:
    if isinstance(value, str):
        return f"“{shorten(value, 60)}”"
    return shorten(json.dumps(value, ensure_ascii=False, default=str), 60)


def _path(parts: Any) -> str:
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return shorten(path, 100)
