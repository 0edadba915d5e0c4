"""Where the loader finds the parameters of a variant (operator, generator, strategy). jobkit hands it in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from clickweave.errors import ConfigError

Lookup = Callable[[str], type[BaseModel]]


@dataclass(frozen=True)
class Variants:
    """For each kind of variant: name -> model of its parameters; each raises ConfigError for an unknown name.

    `check_gates` raises it for a recipe's `evaluate.gates` that name no figure of the report, or change nothing.
    """

    operator: Lookup
    generator: Lookup
    strategy: Lookup
    check_gates: Callable[[Mapping[str, Any]], None] = lambda gates: None


def split_section(
    section: dict[str, Any], model: type[BaseModel], params: type[BaseModel]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys of the section itself, and those of the variant that stand beside them.

    A key that neither knows stays with the section, which then names it as unknown.
    """
    if set(model.model_fields) & set(params.model_fields):
        raise AssertionError(f"{params.__name__} and {model.__name__} share a key")
    others = {key: value for key, value in section.items() if key in params.model_fields}
    return {key: value for key, value in section.items() if key not in others}, others


def unknown_variant(what: str, name: str, known: tuple[str, ...], planned: tuple[str, ...] = ()) -> ConfigError:
    """The error for a variant that does not exist, or does not exist yet."""
    if name in planned:
        return ConfigError(f"{what} {name!r} is not built yet; there are {', '.join(known)}")
    return ConfigError(f"{what} {name!r} is unknown; there are {', '.join(known)}")
