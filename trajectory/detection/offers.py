"""The tools that a model call had on offer, by name, with the JSON Schema of each one's arguments.

Invariant: pure and bounded; definitions in any of the usual shapes are read (OpenAI's `function.parameters`, Anthropic's
`input_schema`, the Model Context Protocol's `inputSchema`, Google's and Bedrock's wrappers), and where one cannot be read the
offer says that it is not whole. Each payload is read once and each schema made ready once, however many calls they are on
offer to. Called by the detector of bad arguments.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from trajectory.detection.schemas import Schema
from trajectory.detection.touched import Line, line_of
from trajectory.dialects.values import decoded
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.words import Slot

MAX_BODY_BYTES = 1024 * 1024
_MAX_OFFERS_COUNT = 4_096
_MAX_SCHEMAS_COUNT = 8  # of one name
_MAX_TOOLS_COUNT = 1024
_GROUPS = ("tools", "functions", "function_declarations", "functionDeclarations")
_INNER = ("function", "toolSpec", "tool", "custom")
_SCHEMAS = (
    "parameters", "input_schema", "inputSchema", "parameters_json_schema", "parametersJsonSchema", "args_schema", "json_schema",
    "schema",
)  # fmt: skip
_WRAPPERS = ("json", "jsonSchema", "json_schema")
_Known = dict[bytes, Schema]  # by digest


class Offer(NamedTuple):
    """What was on offer: schema by tool name (None where a tool has none). `is_whole`: every definition was understood."""

    schemas: dict[str, Schema | None]
    is_whole: bool


class Offers:
    """Everything that was on offer in a trace: by payload, and by name to a line of work, to an agent, to anyone."""

    def __init__(self) -> None:
        self._bodies: dict[bytes, Offer] = {}
        self._schemas: _Known = {}
        self._noted: dict[Line, set[bytes]] = {}
        self._by_line: dict[tuple[Line, str], _Known] = {}
        self._by_agent: dict[tuple[str, str], _Known] = {}
        self._by_name: dict[str, _Known] = {}

    def of(self, spans: Iterable[Span], trace: Trace) -> Offer:
        """What a model call had on offer, by the spans that tell of it."""
        schemas: dict[str, Schema | None] = {}
        is_whole = True
        for address in {address: None for span in spans for address in span.digests(Slot.TOOLS)}:
            offer = self._read(address, trace)
            schemas.update(offer.schemas)
            is_whole = is_whole and offer.is_whole
        return Offer(schemas, is_whole and bool(schemas))

    def note(self, span: Span, trace: Trace) -> Iterator[str]:
        """Takes in what a span says was on offer; the plain names of tools by whose schemas calls may now be judged otherwise."""
        line = line_of(span)
        noted = self._noted.setdefault(line, set())
        for address in span.digests(Slot.TOOLS):
            if address not in noted and address not in self._bodies and len(self._bodies) >= _MAX_OFFERS_COUNT:
                return
            if address in noted or trace.body(address) is None:
                continue
            noted.add(address)
            for name, schema in self._read(address, trace).schemas.items():
                if schema is not None and self._put(plain_name(name), schema, line, span.agent_name):
                    yield plain_name(name)

    def named(self, plain: str, line: Line, agent: str) -> list[Schema]:
        """The schemas under a name: those on offer in a line of work, else to an agent, else to anyone."""
        held = self._by_line.get((line, plain)) or self._by_agent.get((agent, plain)) or self._by_name.get(plain, {})
        return [held[key] for key in sorted(held)]

    def _put(self, plain: str, schema: Schema, line: Line, agent: str) -> bool:
        known = self._by_name.setdefault(plain, {})
        nearer = (self._by_line.setdefault((line, plain), {}), self._by_agent.setdefault((agent, plain), {}))
        is_better = schema.key not in known or (len(known) > 1 and not all(schema.key in held for held in nearer))
        for held in (known, *nearer):
            if len(held) < _MAX_SCHEMAS_COUNT:
                held[schema.key] = schema
        return is_better

    def _read(self, address: bytes, trace: Trace) -> Offer:
        offer = self._bodies.get(address)
        if offer is not None:
            return offer
        body = trace.body(address)
        if body is None or len(self._bodies) >= _MAX_OFFERS_COUNT:
            return Offer({}, False)
        said, is_whole = offer_in(body)
        made = {name: Schema(schema) if schema is not None else None for name, schema in said.items()}
        schemas = {n: self._schemas.setdefault(m.key, m) if m is not None else None for n, m in made.items()}
        offer = self._bodies[address] = Offer(schemas, is_whole)
        return offer


def offer_in(body: tuple[str, bytes]) -> tuple[dict[str, Any], bool]:
    """The tools that a payload defines, schema by name, and whether every definition was understood. Never raises."""
    if len(body[1]) > MAX_BODY_BYTES:
        return {}, False
    schemas: dict[str, Any] = {}
    is_whole = True
    for name, schema in _tools_in(body[1].decode("utf-8", "replace"), 0):
        if not name or len(schemas) >= _MAX_TOOLS_COUNT:
            is_whole = False
        elif schemas.get(name) is None:
            schemas[name] = schema
    return schemas, is_whole


def plain_name(name: str) -> str:
    """A tool's name without what its way may change: case, blanks, dashes, underscores."""
    return re.sub(r"[\W_]+", "", name[:256]).casefold() or "?"


def is_on_offer(name: str, offered: Iterable[str]) -> bool:
    """Whether a name is one of those on offer, perhaps with a server's or a namespace's name before it."""
    asked = _forms(name)
    return any(not asked.isdisjoint(_forms(known)) for known in offered)


def _forms(name: str) -> set[str]:
    """A plain name, whole and without its namespace (`functions.search`, `mcp__maps__search`)."""
    return {plain_name(name), plain_name(re.split(r"[.:/]|__", name[:256])[-1])}


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
