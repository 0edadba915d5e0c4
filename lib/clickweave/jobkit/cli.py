"""The command line: `clickweave run`, one command per stage, export, report, compare, describe."""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer

from clickweave.config.days import parse_days
from clickweave.config.defaults import render_defaults
from clickweave.config.load import load_recipe
from clickweave.config.variants import Variants
from clickweave.errors import ClickweaveError, ConfigError
from clickweave.evaluation.policy import check_gates
from clickweave.frames.augment import registry as augment_registry
from clickweave.frames.mix import registry as mix_registry
from clickweave.jobkit.compare import print_comparison, read_report
from clickweave.jobkit.describe import describe_recipe
from clickweave.jobkit.failures import translate
from clickweave.jobkit.pipeline import STAGES, Pipeline
from clickweave.jobkit.progress import Progress
from clickweave.jobkit.verdicts import print_verdicts
from clickweave.models import registry as model_registry
from clickweave.store import files
from clickweave.store.export import TABLES, RepeatPad, export_table
from clickweave.store.publish import current_version
from clickweave.store.workspace import Workspace

VARIANTS = Variants(augment_registry.params, model_registry.params, mix_registry.params, check_gates)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Turns a real click log into a better, or a shareable, training set.",
)

RecipeArg = Annotated[str, typer.Argument(metavar="RECIPE", help="the recipe, a YAML file")]
OverridesArg = Annotated[list[str] | None, typer.Argument(metavar="[section.key=value ...]", help="over the recipe")]
WorkspaceOpt = Annotated[str, typer.Option("--workspace", help="folder of this run; made if it is not there")]
ProfileOpt = Annotated[str | None, typer.Option("--profile", help="local or cluster")]
PartitionsOpt = Annotated[
    str | None,
    typer.Option("--partitions", metavar="A..B", help="only these days (UTC, both included); replaces them alone"),
]
DebugOpt = Annotated[bool, typer.Option("--debug", help="show the stack trace of an error")]


@app.command("run")
def run_command(
    recipe: RecipeArg,
    workspace: WorkspaceOpt,
    overrides: OverridesArg = None,
    profile: ProfileOpt = None,
    first: Annotated[str, typer.Option("--from", help="first stage to run")] = STAGES[0],
    last: Annotated[str, typer.Option("--to", help="last stage to run")] = STAGES[-1],
    partitions: PartitionsOpt = None,
    debug: DebugOpt = False,
) -> None:
    """Runs all stages that are not done yet, up to a published version."""
    with _failing_loudly(debug):
        _run(recipe, workspace, overrides, profile, first, last, partitions)


def _stage_command(stage: str) -> Callable[..., None]:
    def command(
        recipe: RecipeArg,
        workspace: WorkspaceOpt,
        overrides: OverridesArg = None,
        profile: ProfileOpt = None,
        partitions: PartitionsOpt = None,
        debug: DebugOpt = False,
    ) -> None:
        with _failing_loudly(debug):
            _run(recipe, workspace, overrides, profile, stage, stage, partitions)

    command.__doc__ = f"Runs the stage {stage} alone."
    return command


for _stage in STAGES:
    app.command(_stage)(_stage_command(_stage))


@app.command("export")
def export_command(
    workspace: WorkspaceOpt,
    table: Annotated[str, typer.Option("--table", help=" | ".join(TABLES))],
    out: Annotated[str, typer.Option("--out", help="the Parquet file to write")],
    part: Annotated[str | None, typer.Option("--part", help="holdout only: future")] = None,
    repeat_pad: Annotated[
        int | None,
        typer.Option("--repeat-pad", min=2, help="fill shorter histories up to so many events by whole copies"),
    ] = None,
    max_repeats: Annotated[int, typer.Option("--max-repeats", min=1, help="copies of a history at most")] = 10,
    debug: DebugOpt = False,
) -> None:
    """Writes a table as one Parquet file in the raw log's own columns, types and units."""
    with _failing_loudly(debug):
        if not out.endswith(".parquet"):
            raise ConfigError(f"export: --out {out!r} must end with .parquet")
        place = Workspace(workspace)
        augment = place.manifest("augment")
        adds_label = augment is not None and bool(augment.metrics.get("adds_label"))
        pad = None if repeat_pad is None else RepeatPad(repeat_pad, max_repeats)
        rows = export_table(place, table, out, part=part, adds_label=adds_label, pad=pad)
        typer.echo(f"{out}: {rows:,} rows of {table}")


@app.command("report")
def report_command(workspace: WorkspaceOpt, debug: DebugOpt = False) -> None:
    """Prints the verdicts of the last evaluation and says where report.html is."""
    with _failing_loudly(debug):
        place = Workspace(workspace)
        folder = place.output("evaluate", "report")
        print_verdicts(files.read_json(f"{folder}/report.json"))
        typer.echo(f"report: {folder}/report.html")


@app.command("compare")
def compare_command(
    first: Annotated[str, typer.Argument(metavar="RUN_A", help="a workspace, a published version or a report.json")],
    second: Annotated[str, typer.Argument(metavar="RUN_B", help="the same")],
    debug: DebugOpt = False,
) -> None:
    """Shows the verdicts of two runs side by side, and the settings in which their recipes differ."""
    with _failing_loudly(debug):
        print_comparison(read_report(first), read_report(second), (first, second))


@app.command("describe")
def describe_command(
    recipe: Annotated[str | None, typer.Argument(metavar="RECIPE")] = None,
    overrides: OverridesArg = None,
    profile: ProfileOpt = None,
    defaults: Annotated[bool, typer.Option("--defaults", help="print every key with its default and meaning")] = False,
    debug: DebugOpt = False,
) -> None:
    """Says what a recipe means; starts no Spark."""
    with _failing_loudly(debug):
        if defaults:
            typer.echo(default_recipe(), nl=False)
        elif recipe is None:
            raise ConfigError("describe: name a recipe, or ask for --defaults")
        else:
            typer.echo(describe_recipe(load_recipe(recipe, VARIANTS, profile=profile, overrides=overrides)))


def default_recipe() -> str:
    """What `describe --defaults` prints: conf/base.yaml."""
    return render_defaults(_listings())


def main() -> NoReturn:
    """The console script."""
    sys.argv[0] = "clickweave"
    app()
    raise SystemExit(0)


def stage_job(stage: str) -> NoReturn:
    """What jobs/STAGE.py runs under spark-submit: the stage's command with the job's arguments."""
    sys.argv[0] = f"jobs/{stage}.py"
    app([stage, *sys.argv[1:]])
    raise SystemExit(0)


def _run(
    recipe: str,
    workspace: str,
    overrides: list[str] | None,
    profile: str | None,
    first: str,
    last: str,
    partitions: str | None,
) -> None:
    loaded = load_recipe(recipe, VARIANTS, profile=profile, overrides=overrides)
    days = None if partitions is None else parse_days(partitions, loaded.log, loaded.ingest)
    place = Workspace(workspace)
    pipeline = Pipeline(loaded, place, Progress(place.path("log.jsonl")), days)
    try:
        ran = pipeline.run(first, last)
    finally:
        pipeline.close()
    if not ran:
        typer.echo(f"nothing to do: every stage from {first} to {last} is done with this recipe, data and code")
    if last == STAGES[-1]:
        version = current_version(place)
        if version is not None:
            held = "" if version.days is None else f" of {len(version.days)} days"
            typer.echo(f"published: {version.dataset} version {version.number}{held} in {place.path(version.path)}")
            typer.echo(f"report: {place.output('evaluate', 'report')}/report.html")


def _listings() -> dict[str, dict[str, type]]:
    """Every variant's parameters, for `describe --defaults`."""
    return {
        "augment": {name: VARIANTS.operator(name) for name in augment_registry.OPERATORS},
        "train": {name: VARIANTS.generator(name) for name in model_registry.GENERATORS},
        "mix": {name: VARIANTS.strategy(name) for name in mix_registry.STRATEGIES},
    }


@contextmanager
def _failing_loudly(debug: bool) -> Iterator[None]:
    """One line on standard error and the error's exit code; the stack trace only with --debug."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # who reads the output has stopped, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(128 + signal.SIGPIPE) from None
    except (Exception, KeyboardInterrupt) as error:
        known: ClickweaveError = translate(error)
        if debug:
            traceback.print_exc()
        print(f"clickweave: {' '.join(str(known).split())}", file=sys.stderr)
        raise SystemExit(known.exit_code) from None
