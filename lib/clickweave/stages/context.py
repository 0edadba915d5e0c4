"""What every stage is given, and what it gives back. The runner (jobkit/pipeline) writes the manifest."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from clickweave.config.load import Recipe
from clickweave.contracts.days import RunDays
from clickweave.contracts.manifest import Manifest, Output
from clickweave.contracts.tables import IS_WHAT_IF
from clickweave.store import files
from clickweave.store.tables import count_rows, read_table, write_table
from clickweave.store.workspace import Workspace


@dataclass
class StageRun:
    """One try of one stage.

    Attributes:
        key: of the stage; also the `run_id` of the rows that it makes.
        attempt: relative path of the fresh folder that this try writes into.
        progress: takes a line for people.
        outputs: what was written so far, by name.
        days: the days of the log that this run processes; None: all of it.
    """

    stage: str
    key: str
    recipe: Recipe
    workspace: Workspace
    attempt: str
    session: Callable[[], SparkSession]
    progress: Callable[[str], None]
    outputs: dict[str, Output] = field(default_factory=dict)
    days: RunDays | None = None

    @property
    def spark(self) -> SparkSession:
        """The session, started on first use."""
        return self.session()

    @contextmanager
    def checkpoints(self) -> Iterator[None]:
        """A folder for Spark's checkpoints, and no trace of it afterwards. Without one, what a task of an algorithm of
        many rounds is sent tells of all rounds before, until the stack of its thread is too small to read it.
        """
        folder = self.workspace.path(self.workspace.new_attempt(self.stage))
        self.spark.sparkContext.setCheckpointDir(folder)
        try:
            yield
        finally:
            files.delete_dir(folder)

    def manifest(self, stage: str) -> Manifest:
        """The manifest of a finished stage."""
        found = self.workspace.manifest(stage)
        assert found is not None, f"{stage} runs before {self.stage}"
        return found

    def read(self, stage: str, name: str) -> DataFrame:
        """A table of a finished stage."""
        return read_table(self.spark, self.workspace.output(stage, name))

    def read_part(self, part: str) -> DataFrame:
        """One part of `real`, by contracts.tables.PARTS; an empty frame if it has no rows."""
        real = self.workspace.output("ingest", "real")
        schema = read_table(self.spark, real).drop("part").schema
        if self.rows_of_part(part) == 0:
            return self.spark.createDataFrame([], schema)
        return read_table(self.spark, f"{real}/part={part}", schema=schema)

    def read_items(self) -> DataFrame:
        """All items that generated events may be of, one row each: the catalogue's and those of what-if targets, which
        the column IS_WHAT_IF tells apart.
        """
        items = self.read("ingest", "items").withColumn(IS_WHAT_IF, F.lit(False))
        sampled = self.workspace.manifest("sample")
        if sampled is None or IS_WHAT_IF not in sampled.outputs:
            return items
        new = self.read("sample", IS_WHAT_IF).withColumn(IS_WHAT_IF, F.lit(True))
        return items.unionByName(new.select(*items.columns))

    def rows_of_part(self, part: str) -> int:
        """Rows of one part of `real`."""
        return self.manifest("ingest").rows[part]

    def write(self, name: str, table: DataFrame, **options: Any) -> DataFrame:
        """Writes a table of this stage and returns it as it lies on disk."""
        relative = f"{self.attempt}/{name}"
        path = self.workspace.path(relative)
        write_table(table, path, **options)
        self.outputs[name] = Output(relative, count_rows(path))
        return read_table(self.spark, path, schema=None if options.get("partition_by") else table.schema)

    def read_own(self, name: str) -> DataFrame:
        """A table that this try has written."""
        return read_table(self.spark, self.workspace.path(self.outputs[name].path))

    def file(self, name: str) -> str:
        """Full path of a file or folder that this stage writes itself; it becomes an output."""
        relative = f"{self.attempt}/{name}"
        self.outputs[name.partition(".")[0]] = Output(relative)
        return self.workspace.path(relative)


@dataclass(frozen=True)
class StageResult:
    """What a stage has to say about its work; see contracts.manifest.Manifest."""

    rows: dict[str, int] = field(default_factory=dict)
    fitted: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
