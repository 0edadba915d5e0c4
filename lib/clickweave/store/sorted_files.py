"""Tables whose files are the same bytes each time: as many files as the rows ask for, each sorted. Names aside, since
Spark draws those.
"""

import itertools
from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.store.tables import write_table

FILE_ROWS = 1_000_000  # a file of most logs is then between 50 MB and 500 MB
_FILE, _FIRST, _NUM = "_file", "_first", "_num"


def write_sorted(table: DataFrame, path: str, *, key: str, rows: int) -> None:
    """Writes a table with one row per `key` into a fresh folder; a file holds a hash of keys, sorted by key."""
    num_files = _num_files(rows)
    placed = table.withColumn(_FILE, F.pmod(F.xxhash64(key), F.lit(num_files)).cast("int"))
    write_table(placed.repartitionById(num_files, F.col(_FILE)).sortWithinPartitions(key).drop(_FILE), path)


def write_by_day(table: DataFrame, path: str, *, day: str, key: str, rows: Mapping[str, int]) -> None:
    """Writes one folder `<day>=...` for each day of `rows`, which says how many rows the table has of it, at least one.

    Rows of other days are left out. A file holds a hash of keys of one day, sorted by key. One shuffle; as many tasks
    as files.
    """
    counts = {name: _num_files(rows[name]) for name in sorted(rows)}
    firsts = itertools.accumulate(counts.values(), initial=0)
    places = [(name, first, num) for (name, num), first in zip(counts.items(), firsts, strict=False)]
    known = table.sparkSession.createDataFrame(places, f"{day} string, {_FIRST} bigint, {_NUM} bigint")
    number = (F.col(_FIRST) + F.pmod(F.xxhash64(key), F.col(_NUM))).cast("int")
    placed = table.join(F.broadcast(known), day).withColumn(_FILE, number).drop(_FIRST, _NUM)
    whole = placed.repartitionById(max(1, sum(counts.values())), F.col(_FILE))
    write_table(whole.sortWithinPartitions(day, key).drop(_FILE), path, partition_by=day)


def _num_files(rows: int) -> int:
    return max(1, -(-rows // FILE_ROWS))
