"""conf/base.yaml, printed from the models: every key with its default and meaning."""

import json
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from clickweave.config.load import Recipe
from clickweave.config.log import FeatureSpec, FileSource, TimeColumn

_HEAD = """\
# Every key of a recipe with its default and meaning, printed by `clickweave describe --defaults`.
# A recipe names only what differs. <required> must be given. Durations: 45s, 30min, 2h, 1d.
"""


def render_defaults(variants: dict[str, dict[str, type[BaseModel]]]) -> str:
    """The text of conf/base.yaml.

    Args:
        variants: section -> variant name -> its parameters, as in `augment`, `train` and `mix`.
    """
    lines = [_HEAD.rstrip(), ""]
    for name, info in Recipe.model_fields.items():
        key = info.alias or name
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            lines += [f"{key}:  # {_first_line(kind)}", *_fields(kind, "  ")]
            lines += [
                line for variant, params in variants.get(key, {}).items() for line in _variant(key, variant, params)
            ]
            lines.append("")
        else:
            lines.append(_line(key, info, ""))
    lines += ["# A feature is `name: kind`, or `name:` with these keys:", *_fields(FeatureSpec, "#   ")]
    lines += ["# schema.event_time:", *_fields(TimeColumn, "#   ")]
    lines += ["# source.events, items and users are a path, or:", *_fields(FileSource, "#   ")]
    return "\n".join(lines).rstrip() + "\n"


def _variant(section: str, name: str, params: type[BaseModel]) -> list[str]:
    where = {"augment": f"one of operators: {{name: {name}, ...}}", "train": f"beside generator: {name}"}
    head = f"  # {where.get(section, f'beside strategy: {name}')}"
    fields = [line for line in _fields(params, "  #   ") if not line.startswith("  #   name:")]
    return [head, *(fields or ["  #   (no parameters)"])]


def _fields(model: type[BaseModel], indent: str) -> list[str]:
    return [_line(info.alias or name, info, indent) for name, info in model.model_fields.items() if not _hidden(info)]


def _hidden(info: FieldInfo) -> bool:
    return info.exclude_if is not None  # holds a variant's parameters, which stand beside the section's keys


def _line(key: str, info: FieldInfo, indent: str) -> str:
    about = info.description or ""
    return f"{indent}{key}: {_value(info)}" + (f"  # {about}" if about else "")


def _value(info: FieldInfo) -> str:
    default: Any = info.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        return "<required>"
    if isinstance(default, BaseModel):
        default = default.model_dump(mode="json")
    if isinstance(default, str) and default.isidentifier():
        return default
    return json.dumps(default, default=list)


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]
