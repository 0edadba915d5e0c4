"""What a recipe means, in plain words, without starting Spark."""

from collections.abc import Iterable

from clickweave.config.load import Recipe
from clickweave.config.log import EventTypes, LabelColumns, Threshold
from clickweave.errors import ContractError
from clickweave.jobkit.pipeline import STAGES
from clickweave.store import files
from clickweave.store.tables import footer_rows, raw_files, source_format

# measured on two cores with the MovieLens recipe; only meant to tell minutes from hours
TRAIN_ROWS_PER_S = 20_000
OTHER_ROWS_PER_S = 4_000


def describe_recipe(recipe: Recipe) -> str:
    """Roles, entity, split, stages and a rough cost, a line each."""
    log = recipe.log
    entity = {"user_id": f"the user ({log.user})", "session_id": f"the session ({log.session})", None: "the row"}
    lines = [
        f"dataset    {recipe.dataset}",
        f"events     {recipe.source.events.path} ({_size(recipe)})",
        f"entity     {entity[log.entity_column]}; split by {recipe.split.by or 'entity'}, "
        f"{recipe.split.holdout_share:.0%} held out, {recipe.split.reference_share:.0%} of the rest kept for reference",
        f"item       {log.item or 'none'}; query {log.query or 'none'}; time {_time(recipe)}",
        f"labels     {_labels(recipe)}",
        f"features   {', '.join(f'{name} ({spec.kind})' for name, spec in log.event_features.items()) or 'none'}",
        f"augment    {', '.join(map(_chain, recipe.augment.operators)) or 'no operators'}",
        f"train      {recipe.train.generator}, {recipe.train.epochs} epochs, {_ranks(recipe)}, {recipe.train.launcher}",
        f"sample     {_amount(recipe.sample.entities)}",
        f"mix        {recipe.mix.strategy} {recipe.mix.how.model_dump() if recipe.mix.how else ''}".rstrip(),
        f"stages     {' > '.join(STAGES)}",
        f"cost       {_cost(recipe)}",
    ]
    return "\n".join(lines)


def _num_rows(recipe: Recipe) -> int | None:
    """Rows by Parquet footers; None for other formats and missing files."""
    events = recipe.source.events
    try:
        if source_format(events, "events") != "parquet":
            return None
        return sum(rows for path in raw_files(events.path) for _, rows in footer_rows(path))
    except (ContractError, OSError, ValueError):
        return None


def _size(recipe: Recipe) -> str:
    events = recipe.source.events
    if events.format == "table":
        return "a table of the catalog"
    if not files.expand(events.path):
        return "not there yet"
    rows = _num_rows(recipe)
    return "size unknown before reading" if rows is None else f"{rows:,} rows"


def _time(recipe: Recipe) -> str:
    spec = recipe.log.event_time
    return "none" if spec is None else f"{spec.column} ({spec.unit or spec.format or 'timestamp'})"


def _labels(recipe: Recipe) -> str:
    match recipe.log.labels:
        case EventTypes(column=column, order=order):
            return f"{' < '.join(order)} in {column}"
        case LabelColumns(names=names, columns=columns):
            said = [f"{c.column} >= {c.at_least:g}" if isinstance(c, Threshold) else c for c in columns]
            return " < ".join(f"{name} ({column})" for name, column in zip(names, said, strict=True))
    return "none: every row is a positive"


def _chain(chain: Iterable[object]) -> str:
    return " > ".join(map(_operator, chain))


def _operator(params: object) -> str:
    shown = {key: value for key, value in params.model_dump().items() if key != "name"}  # type: ignore[attr-defined]
    return f"{params.name} {shown}"  # type: ignore[attr-defined]


def _ranks(recipe: Recipe) -> str:
    return f"{recipe.train.ranks} ranks" if recipe.train.ranks else "one rank per slot"


def _amount(entities: float) -> str:
    return f"{entities:,} rows" if isinstance(entities, int) else f"{entities:g} times the rows of real/train"


def _cost(recipe: Recipe) -> str:
    rows = _num_rows(recipe)
    if rows is None:
        return "unknown before the log is read"
    seconds = 40 + rows * recipe.train.epochs / TRAIN_ROWS_PER_S + rows / OTHER_ROWS_PER_S
    return f"about {max(1, round(seconds / 60)):,} minutes on two cores; training shares its part among ranks"
