"""The tools that a model call had on offer, by name, with the JSON Schema of each one's arguments.

Invariant: pure and bounded; definitions in any of the usual shapes are read (OpenAI's `function.parameters`, Anthropic's
`input_schema`, the Model Context Protocol's `inputSchema`, Google's and Bedrock's wrappers), and where one cannot be read the
offer says that it is not whole. Called by the detector of bad arguments.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from trajectory.dialects.values import decoded

MAX_BODY_BYTES = 1024 * 1024
_MAX_TOOLS_COUNT = 1024
_GROUPS = ("tools", "functions", "function_declarations", "functionDeclarations")
_INNER = ("function", "toolSpec", "tool", "custom")
_SCHEMAS = (
    "parameters", "input_schema", "inputSchema", "parameters_json_schema", "parametersJsonSchema", "args_schema", "json_schema",
    "schema",
)  # fmt: skip
_WRAPPERS = ("json", "jsonSchema", "json_schema")


class Offer(NamedTuple):
    """What was on offer: schema by tool name (None where a tool has none). `is_whole`: every definition was understood."""

    schemas: dict[str, Any]
    is_whole: bool


def offer_in(body: tuple[str, bytes]) -> Offer:
    """The tools that a payload defines. Never raises."""
    if len(body[1]) > MAX_BODY_BYTES:
        return Offer({}, False)
    value = body[1].decode("utf-8", "replace")
    schemas: dict[str, Any] = {}
    is_whole = True
    for name, schema in _tools_in(_unquoted(value), 0):
        if not name or len(schemas) >= _MAX_TOOLS_COUNT:
            is_whole = False
        elif schemas.get(name) is None:
            schemas[name] = schema
    return Offer(schemas, is_whole)


def plain_name(name: str) -> str:
    """A tool's name without what its way may change: case, blanks, dashes, underscores."""
    return re.sub(r"[\W_]+", "", name[:256]).casefold()


def is_on_offer(name: str, offered: Iterable[str]) -> bool:
    """Whether a name is one of those on offer, perhaps with a server's or a namespace's name before it."""
    asked = _forms(name)
    return any(not asked.isdisjoint(_forms(known)) for known in offered)


def _forms(name: str) -> set[str]:
    """A plain name, whole and without its namespace (`functions.search`, `mcp__maps__search`)."""
    return {plain_name(name), plain_name(re.split(r"[.:/]|__", name[:256])[-1])} - {""}


def _unquoted(value: Any) -> Any:
    for _ in range(3):
        if not isinstance(value, str):
            break
        value = decoded(value)
    return value


def _tools_in(value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """Name and schema of each definition; an empty name for what is not understood."""
    value = _unquoted(value)
    if isinstance(value, list) and depth < 4:
        for each in value[: _MAX_TOOLS_COUNT + 1]:
            yield from _tools_in(each, depth + 1)
    elif isinstance(value, Mapping) and depth < 5:
        yield from _in_mapping(value, depth)
    else:
        yield "", None


def _in_mapping(value: Mapping[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    groups = [value[key] for key in _GROUPS if isinstance(value.get(key), (list, str))]
    if groups:
        for group in groups:
            yield from _tools_in(group, depth + 1)
        return
    inner = next((value[key] for key in _INNER if isinstance(value.get(key), Mapping)), value)
    name = inner.get("name") or value.get("name")
    if isinstance(name, str) and name:
        yield name, _schema_of(inner) or _schema_of(value)
    elif isinstance(value.get("type"), str) and value["type"] != "function":
        yield value["type"], None  # a tool of the provider's own
    elif value and all(isinstance(v, Mapping) and _schema_of(v) for v in value.values()):
        yield from ((str(key), _schema_of(v)) for key, v in value.items())
    else:
        yield "", None


def _schema_of(tool: Mapping[str, Any]) -> Any:
    """The schema in a definition; None where it has none, or nothing that may be one."""
    schema = _unquoted(next((tool[key] for key in _SCHEMAS if tool.get(key)), None))
    if isinstance(schema, Mapping) and "properties" not in schema:
        schema = next((_unquoted(schema[key]) for key in _WRAPPERS if schema.get(key)), schema)
    return schema if isinstance(schema, Mapping) else None
