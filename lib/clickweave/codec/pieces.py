"""A text as pieces that many users share: words, and runs of characters of the words that few users wrote.

A piece of a column begins with a space where one stands before it, so that pieces are joined as they are. Scripts
without spaces are runs of characters throughout. What no piece covers is left out.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

VOCABULARY = 4_096  # pieces of a column
WORDS = 3_072  # of them at most that are whole words
RUN = 4  # most characters of a run that is no word
WORD_READ = 64  # characters of a word in which runs are counted
_SPACES = r"(?U)\s+"  # any white space, as Python's str.split has it


class Pieces:
    """Cuts texts into pieces of one vocabulary: a word that is one, else the longest pieces from left to right."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._known = frozenset(vocabulary)
        self._longest = max(map(len, vocabulary), default=0)

    def __call__(self, text: str, most: int) -> list[str]:
        """At most `most` pieces, in order."""
        found: list[str] = []
        for word in text.split():
            space = " " if found else ""
            for piece in [word] if word in self._known else self._runs(word, most):
                if len(found) == most:
                    return found
                found.append(space + piece)
                space = ""
        return found

    def _runs(self, word: str, most: int) -> list[str]:
        found: list[str] = []
        at = 0
        while at < len(word) and len(found) < most:
            longest = min(self._longest, len(word) - at)
            size = next((n for n in range(longest, 0, -1) if word[at : at + n] in self._known), 0)
            if size:
                found.append(word[at : at + size])
            at += max(size, 1)
        return found


class TextParts:
    """Makes the columns of texts: how many pieces, then each piece; null where the text is."""

    def __init__(self, vocabulary: Sequence[str], most: int) -> None:
        self._pieces, self._most = Pieces(vocabulary), most

    def columns(self, values: pa.Array) -> list[pa.Array]:
        """The number of pieces (int64) and `most` arrays of pieces, null where a text has fewer."""
        cut = [None if text is None else self._pieces(text, self._most) for text in values.to_pylist()]
        lengths = pa.array([None if found is None else len(found) for found in cut], pa.int64())
        slots = [[found[n] if found and n < len(found) else None for found in cut] for n in range(self._most)]
        return [lengths, *[pa.array(slot, pa.string()) for slot in slots]]


def fit_vocabulary(texts: DataFrame, *, min_users: int) -> tuple[str, ...]:
    """Words, then runs of characters, each in the texts of at least `min_users` users, the most frequent first, ties
    by value. The driver holds the vocabulary alone; two jobs, each one shuffle by piece.

    Args:
        texts: `text` and `entity_id`, one row per event.
    """
    word = F.explode(F.split("text", F.lit(_SPACES))).alias("piece")
    words = texts.select("entity_id", word).where(F.length("piece") > 0)
    kept = _backed(words, min_users, WORDS)
    known = texts.sparkSession.createDataFrame(pa.table({"piece": pa.array(kept, pa.string())}))
    other = words.join(F.broadcast(known), "piece", "left_anti")
    runs = other.select("entity_id", F.explode(_runs(F.substring("piece", 1, WORD_READ))).alias("piece"))
    return (*kept, *_backed(runs, min_users, VOCABULARY - len(kept)))


def joined_pieces(lengths: pa.Array, pieces: Sequence[pa.Array], rare_B: np.ndarray) -> pa.Array:
    """Texts where the code is rare and there are pieces, else null; pieces from the length on are left out."""
    rows = np.flatnonzero(rare_B & lengths.is_valid().to_numpy(zero_copy_only=False))
    takes = pa.array(rows)
    parts = zip(*[piece.take(takes).to_pylist() for piece in pieces], strict=True)
    texts = np.full(len(rare_B), None, object)
    for row, length, found in zip(rows, lengths.take(takes).to_pylist(), parts, strict=True):
        texts[row] = "".join(piece or "" for piece in found[:length]).strip() or None
    return pa.array(texts, pa.string())


def _runs(word: Column) -> Column:
    """All runs of 1 to RUN characters of a word."""
    runs = []
    for size in range(1, RUN + 1):
        starts = F.sequence(F.lit(1), F.length(word) - F.lit(size - 1))
        found = F.transform(starts, partial(_cut, word, size))
        runs.append(F.when(F.length(word) >= size, found).otherwise(F.array().cast("array<string>")))
    return F.concat(*runs)


def _cut(word: Column, size: int, start: Column) -> Column:
    return F.substr(word, start, F.lit(size))


def _backed(pieces: DataFrame, min_users: int, most: int) -> list[str]:
    users = F.lit(1) if min_users == 1 else F.count_distinct("entity_id")
    counted = pieces.groupBy("piece").agg(F.count(F.lit(1)).alias("n"), users.alias("users"))
    kept = counted.where(F.col("users") >= min_users).orderBy(F.desc("n"), "piece").limit(most)
    return [row["piece"] for row in kept.collect()]
