"""train: shards -> model bundle, by Horovod ranks on executors, on hosts, or in this process."""

import os
from typing import Any

from clickweave.codec.spec import CodecSpec
from clickweave.contracts.manifest import Output
from clickweave.launch.registry import launch, num_ranks
from clickweave.stages.context import StageResult, StageRun
from clickweave.store import files
from clickweave.training.job import make_job

INPUTS = ("encode",)
SECTIONS = ("train",)


def run(run: StageRun) -> StageResult:
    """Trains the recipe's generator and leaves its bundle."""
    config = run.recipe.train
    codec = CodecSpec.from_json(files.read_bytes(run.workspace.output("encode", "codec")).decode())
    spark = run.spark if config.launcher == "horovod_spark" else None
    ranks = num_ranks(config, spark.sparkContext.defaultParallelism if spark else os.cpu_count() or 1)
    home = f"{run.stage}/{run.key}"  # not a fresh folder: a try that was killed left its checkpoint here
    out_dir = run.workspace.path(home)
    shards, tables = (run.workspace.output("encode", name) for name in ("shards", "tables"))
    job = make_job(codec, config, shards=shards, tables=tables, ranks=ranks, out_dir=out_dir)

    def show(epoch: dict[str, Any]) -> None:
        if "note" in epoch:
            return run.progress(epoch["note"])
        run.progress(
            f"epoch {epoch['epoch']}/{epoch['of']}: train loss {epoch['train_loss']:.4f}, "
            f"validation loss {epoch['validation_loss']:.4f}, {epoch['rows_per_s']:,.0f} rows/s"
        )

    metrics = launch(job, config, ranks, show, spark)
    run.outputs["bundle"] = Output(f"{home}/bundle")
    return StageResult({"in": codec.num_rows}, metrics=metrics)
