"""Checks JSON against as much of JSON Schema (draft 2020-12) as report.schema.json uses; no other keyword passes."""

import json
from importlib.resources import files

_TYPES = {
    "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None), "integer": int,
    "number": (int, float),
}  # fmt: skip
_WORDS = {"$schema", "$defs", "title", "description"}


def report_schema():
    return json.loads(files("clickweave.evaluation").joinpath("report.schema.json").read_text(encoding="utf-8"))


def problems(value, schema, root=None, place="report"):
    """One line per place where the value is not what the schema says."""
    root = schema if root is None else root
    found = []
    for word, told in schema.items():
        if word not in _WORDS:
            found += _CHECKS[word](value, told, schema, root, place)
    return found


def _is(value, kind):
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _type(value, told, schema, root, place):
    kinds = [told] if isinstance(told, str) else told
    return [] if any(_is(value, kind) for kind in kinds) else [f"{place}: {value!r:.40} is no {told}"]


def _ref(value, told, schema, root, place):
    return problems(value, root["$defs"][told.removeprefix("#/$defs/")], root, place)


def _properties(value, told, schema, root, place):
    known = told.items() if isinstance(value, dict) else []
    return [line for key, one in known if key in value for line in problems(value[key], one, root, f"{place}.{key}")]


def _additional(value, told, schema, root, place):
    others = [key for key in value if key not in schema.get("properties", {})] if isinstance(value, dict) else []
    if told is False:
        return [f"{place}: unknown key {key}" for key in others]
    return [line for key in others for line in problems(value[key], told, root, f"{place}.{key}")]


def _required(value, told, schema, root, place):
    return [f"{place}: {key} is missing" for key in told if isinstance(value, dict) and key not in value]


def _items(value, told, schema, root, place):
    every = enumerate(value) if isinstance(value, list) else []
    return [line for number, one in every for line in problems(one, told, root, f"{place}[{number}]")]


def _one_of(value, told, schema, root, place):
    return [] if value in told else [f"{place}: {value!r:.40} is none of {told}"]


def _bound(right):
    def check(value, told, schema, root, place):
        size = len(value) if isinstance(value, list) else value
        is_number = isinstance(size, int | float)
        return [f"{place}: {size} is beyond {told}"] if is_number and not right(size, told) else []

    return check


_CHECKS = {
    "type": _type, "$ref": _ref, "properties": _properties, "additionalProperties": _additional, "items": _items,
    "required": _required, "enum": _one_of, "const": lambda value, told, *rest: _one_of(value, [told], *rest),
    "minimum": _bound(lambda size, least: size >= least), "maximum": _bound(lambda size, most: size <= most + 1e-9),
    "minItems": _bound(lambda size, least: size >= least), "maxItems": _bound(lambda size, most: size <= most),
}  # fmt: skip
