"""From files and overrides to one checked Recipe. Nothing here starts Spark or imports torch or pyspark."""

import difflib
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError

from clickweave.config import stages
from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig, SourceConfig
from clickweave.config.variants import Variants, split_section
from clickweave.config.yaml_subset import parse_yaml
from clickweave.errors import ConfigError

PROFILES = ("local", "cluster")
AUTO = "auto"


class Recipe(Section):
    """Everything one run is told."""

    dataset: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name of the dataset that is published")
    terms: str | None = Field(None, description="source and licence of the log; the data card carries it")
    source: SourceConfig
    log: SchemaConfig = Field(alias="schema")
    ingest: stages.IngestConfig = stages.IngestConfig()
    split: stages.SplitConfig = stages.SplitConfig()
    augment: stages.AugmentConfig = stages.AugmentConfig()
    encode: stages.EncodeConfig = stages.EncodeConfig()
    train: stages.TrainConfig = stages.TrainConfig()
    sample: stages.SampleConfig = stages.SampleConfig()
    align: stages.AlignConfig = stages.AlignConfig()
    mix: stages.MixConfig = stages.MixConfig()
    evaluate: stages.EvaluateConfig = stages.EvaluateConfig()
    publish: stages.PublishConfig = stages.PublishConfig()
    spark: stages.SparkConfig = stages.SparkConfig()


def load_recipe(
    path: str, variants: Variants, *, profile: str | None = None, overrides: list[str] | None = None
) -> Recipe:
    """Reads a recipe over its profile, applies `section.key=value` overrides and checks everything.

    Raises:
        ConfigError: a file is missing, is not safe YAML, or holds an unknown key or a bad value; one line.
    """
    merged: dict[str, Any] = {}
    if profile is not None:
        merged = _read_yaml(_profile_path(profile))
    merged = _merge(merged, _read_yaml(Path(path)))
    for override in overrides or []:
        merged = _merge(merged, _parse_override(override))
    try:
        return check_recipe(merged, variants)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def check_recipe(raw: dict[str, Any], variants: Variants) -> Recipe:
    """A Recipe from plain data; variants' own parameters (operators, generator, strategy) are checked with it.

    Raises:
        ConfigError: with the first problem in one line.
    """
    sections = {name: value for name, value in raw.items() if value is not None}
    sections["train"] = _with_generator(sections.get("train", {}), sections.get("schema"))
    for name, split in (("augment", _operators), ("train", _generator), ("mix", _strategy)):
        sections[name] = _checked(name, split, sections.get(name, {}), variants)
    sections["encode"] = _with_grain(sections.get("encode", {}), sections["train"])
    recipe: Recipe = _validate(Recipe, sections, "")
    _check_meaning(recipe)
    return recipe


def _checked(
    name: str, split: Callable[[dict[str, Any], Variants], dict[str, Any]], section: Any, variants: Variants
) -> Any:
    if not isinstance(section, dict):
        raise ConfigError(f"{name}: must be a mapping, got {section!r}")
    return split(dict(section), variants)


def _operators(section: dict[str, Any], variants: Variants) -> dict[str, Any]:
    listed = section.get("operators", [])
    if not isinstance(listed, list | tuple):
        raise ConfigError(f"augment.operators: must be a list, got {listed!r}")
    chains = []
    for number, entry in enumerate(listed):
        where, is_chain = f"augment.operators[{number}]", isinstance(entry, list) and len(entry) > 0
        chain = entry if is_chain else [entry]
        places = [f"{where}[{step}]" if is_chain else where for step in range(len(chain))]
        checked = tuple(_operator(step, place, variants) for step, place in zip(chain, places, strict=True))
        for place, step, params in zip(places[:-1], chain[:-1], checked[:-1], strict=True):
            if getattr(params, "ENDS_CHAIN", False):
                raise ConfigError(f"{place}: {step['name']} must be the last operator of its chain")
        chains.append(checked)
    return {**section, "operators": tuple(chains)}


def _operator(entry: Any, where: str, variants: Variants) -> BaseModel:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise ConfigError(f"{where}: must be a mapping with a name, or a list of these, got {entry!r}")
    checked: BaseModel = _validate(variants.operator(entry["name"]), entry, where)
    return checked


def _with_generator(train: Any, schema: Any) -> Any:
    """The train section with a generator's name in place of `auto`."""
    if not isinstance(train, dict) or train.get("generator", AUTO) != AUTO:
        return train
    roles = {role for role, column in schema.items() if column is not None} if isinstance(schema, dict) else set()
    sequences = "event_time" in roles and not roles.isdisjoint({"user", "session"})
    return {**train, "generator": "journey" if sequences else "autoregressive"}


def _generator(section: dict[str, Any], variants: Variants) -> dict[str, Any]:
    _refuse_inner(section, "train", "model")
    params = variants.generator(str(section["generator"]))
    own, others = split_section(section, stages.TrainConfig, params)
    return {**own, "model": _validate(params, others, "train")}


def _with_grain(encode: Any, train: dict[str, Any]) -> Any:
    """The encode section with the grain that the generator needs: its parameters' GRAIN."""
    needed = getattr(train["model"], "GRAIN", "row")
    if not isinstance(encode, dict) or encode.get("grain") == needed:
        return encode
    if encode.get("grain") in ("row", "entity"):
        raise ConfigError(
            f"encode.grain is {encode['grain']!r}, but generator {train['generator']!r} needs {needed!r}; leave it out"
        )
    return encode if encode.get("grain") is not None else {**encode, "grain": needed}


def _strategy(section: dict[str, Any], variants: Variants) -> dict[str, Any]:
    _refuse_inner(section, "mix", "how")
    params = variants.strategy(str(section.get("strategy", stages.MixConfig().strategy)))
    own, others = split_section(section, stages.MixConfig, params)
    return {**own, "how": _validate(params, others, "mix")}


def _refuse_inner(section: dict[str, Any], name: str, inner: str) -> None:
    """`inner` holds the variant's checked parameters; a recipe gives them beside the section's own keys."""
    if inner in section:
        raise ConfigError(f"unknown key '{name}.{inner}'; write its keys directly under {name}")


def _check_meaning(recipe: Recipe) -> None:
    """What no single section can know."""
    log = recipe.log
    by = recipe.split.by
    if (by == "user" and log.user is None) or (by == "session" and log.session is None):
        raise ConfigError(f"split.by is {by!r}, but schema.{by} names no column; map it or choose another split")
    if recipe.split.test_share > 0 and log.event_time is None:
        raise ConfigError("split.test_share needs schema.event_time")
    if recipe.sample.continue_share > 0 and recipe.encode.grain != "entity":
        raise ConfigError(
            f"sample.continue_share needs a generator of histories (journey); {recipe.train.generator!r} makes rows"
        )
    for variant in (*itertools.chain(*recipe.augment.operators), recipe.mix.how):
        check = getattr(variant, "check", None)
        if check is not None:
            check(log)
    for target in recipe.sample.targets:
        target.check(log, recipe.encode.grain or "row")
    unknown = set(recipe.evaluate.gates) - set(GATE_ROWS)
    if unknown:
        raise ConfigError(f"evaluate.gates: unknown row {sorted(unknown)[0]!r}; rows are {', '.join(GATE_ROWS)}")


GATE_ROWS = ("F1", "F3", "F4", "F7", "F8", "U1", "U3", "P1", "P2", "P3", "P4")


def _validate(model: type[BaseModel], raw: dict[str, Any], where: str) -> Any:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(explain(error, model, where)) from None


def explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """The first problem of a pydantic error in one line, with the nearest known key for a misspelt one."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"] if not str(part).startswith("<")]  # tags of unions, such as <threshold>
    place = ".".join([where, *path] if where else path) or "recipe"
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(path[-1], _known_keys(model, path[:-1]), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "; `clickweave describe --defaults` lists all keys"
        return f"unknown key {place!r}{hint}"
    if first["type"] == "missing":
        return f"{place!r} is missing"
    return f"{place} = {first['input']!r}: {first['msg'].removeprefix('Value error, ')}"


def _known_keys(model: type[BaseModel], path: list[str]) -> list[str]:
    models = [model]
    for part in path:
        fields = [field for kind in models for name, field in kind.model_fields.items() if part in (name, field.alias)]
        models = [kind for field in fields for kind in _models_in(field.annotation)] or models  # else a dict's own key
    return [field.alias or name for kind in models for name, field in kind.model_fields.items()]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that stand anywhere in a type, such as `dict[str, FeatureSpec] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [kind for inner in get_args(annotation) for kind in _models_in(inner)]


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, ValueError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None


def _profile_path(profile: str) -> Path:
    if profile not in PROFILES:
        raise ConfigError(f"profile {profile!r} is unknown; there are {', '.join(PROFILES)}")
    inside = Path("conf", "profiles", f"{profile}.yaml")
    return inside if inside.is_file() else Path(__file__).parents[3] / inside


def _parse_override(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"argument {text!r} is not of the form section.key=value")
    try:
        parsed: Any = parse_yaml(f"value: {value}")["value"]
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"argument {text!r}: {' '.join(str(error).split())}") from None
    for part in reversed(parts):
        parsed = {part: parsed}
    return dict(parsed)


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` wins; mappings merge key by key, everything else is replaced."""
    merged = dict(under)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
