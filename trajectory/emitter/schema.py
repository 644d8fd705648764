"""A function's signature as the JSON Schema that models are told: name, description, parameters.

Invariant: any callable gives a definition; what cannot be read of it is left open rather than guessed. Called by the `tool`
decorator and for functions on offer to a model. Format: JSON Schema 2020-12 inside the conventions' shape of a function tool.
"""

import dataclasses
import enum
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

Schema = dict[str, Any]

MAX_DEPTH = 6
_SIMPLE: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    bytes: {"type": "string", "contentEncoding": "base64"},
    type(None): {"type": "null"},
}
_LISTS = (list, set, frozenset, tuple)


def definition_of(function: Callable[..., Any], name: str = "") -> Schema:
    """The tool definition of a function; its docstring's first paragraph is the description."""
    written = inspect.getdoc(function) or ""
    definition: Schema = {"type": "function", "name": name or getattr(function, "__name__", type(function).__name__)}
    if written:
        definition["description"] = " ".join(written.split("\n\n")[0].split())
    definition["parameters"] = parameters_of(function)
    return definition


def parameters_of(function: Callable[..., Any]) -> Schema:
    """The object schema of a function's parameters, `self` and `cls` left out."""
    properties: Schema = {}
    required: list[str] = []
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return {"type": "object"}
    hints = _hints(function)
    for index, parameter in enumerate(parameters):
        if index == 0 and parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            schema["additionalProperties"] = True
        elif parameter.kind is parameter.VAR_POSITIONAL:
            properties[parameter.name] = {"type": "array", "items": schema_of(hints.get(parameter.name))}
        else:
            properties[parameter.name] = _parameter(parameter, hints)
            if parameter.default is parameter.empty:
                required.append(parameter.name)
    if required:
        schema["required"] = required
    return schema


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except Exception:  # annotations are a user's code, and may name what is not there
        return {}


def _parameter(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Schema:
    schema = dict(schema_of(hints.get(parameter.name)))
    if isinstance(parameter.default, (str, int, float, bool)):
        schema["default"] = parameter.default.value if isinstance(parameter.default, enum.Enum) else parameter.default
    return schema


def schema_of(hint: Any, depth: int = 0) -> Schema:
    """The schema of a type annotation; empty, which allows anything, where it says nothing that JSON could."""
    if hint in _SIMPLE if _hashable(hint) else False:
        return dict(_SIMPLE[hint])
    if depth > MAX_DEPTH or hint is None:
        return {}
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is typing.Annotated:
        return _annotated(arguments, depth)
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema_of(one, depth + 1) for one in arguments]}
    if origin is Literal:
        return {"enum": [one.value if isinstance(one, enum.Enum) else one for one in arguments]}
    container = origin or hint
    if not isinstance(container, type):
        return {}
    return _of_class(container, hint, arguments, depth)


def _hashable(hint: Any) -> bool:
    try:
        hash(hint)
    except TypeError:
        return False
    return True


def _annotated(arguments: tuple[Any, ...], depth: int) -> Schema:
    schema = schema_of(arguments[0], depth + 1)
    notes = [note for note in arguments[1:] if isinstance(note, str)]
    return {**schema, "description": notes[0]} if notes else schema


def _of_class(container: type, hint: Any, arguments: tuple[Any, ...], depth: int) -> Schema:
    if container is tuple and arguments and arguments[-1] is not Ellipsis:
        return {"type": "array", "prefixItems": [schema_of(one, depth + 1) for one in arguments]}
    if issubclass(container, _LISTS) or container.__name__ in ("Sequence", "Iterable", "Collection", "Set"):
        return {"type": "array", **({"items": schema_of(arguments[0], depth + 1)} if arguments else {})}
    if issubclass(container, enum.Enum):
        return {"enum": [member.value for member in container]}
    if typing.is_typeddict(container) or dataclasses.is_dataclass(container):
        return _of_fields(container, depth)
    if issubclass(container, Mapping):
        values = schema_of(arguments[1], depth + 1) if len(arguments) == 2 else {}
        return {"type": "object", **({"additionalProperties": values} if values else {})}
    return _by_itself(hint)


def _of_fields(container: type, depth: int) -> Schema:
    hints = _hints(container)
    properties = {name: schema_of(hint, depth + 1) for name, hint in hints.items()}
    if dataclasses.is_dataclass(container):
        required = [
            field.name
            for field in dataclasses.fields(container)
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        ]
    else:
        required = sorted(getattr(container, "__required_keys__", ()))
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _by_itself(hint: Any) -> Schema:
    """A class that knows its own schema, as pydantic's models do."""
    own = getattr(hint, "model_json_schema", None)
    if callable(own):
        try:
            schema = own()
        except Exception:  # a user's class may raise anything
            return {}
        return dict(schema) if isinstance(schema, Mapping) else {}
    return {}
