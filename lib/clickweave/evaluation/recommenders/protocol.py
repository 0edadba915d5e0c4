"""What every recommender is: fitted on training events, it scores the catalogue for users that it has never seen.

A recommender's module gives `Params` (pydantic), and

    fit(events, items, users, task, params) -> Fitted

Legend: U users, E events of them all, N candidates.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.errors import ContractError


@dataclass(frozen=True)
class Task:
    """What is to be learnt, the same in every arm.

    Attributes:
        schema: what the log's columns mean.
        level: a row counts as consumed where its label is at least this; None: every row does.
        seed: of every draw.
    """

    schema: SchemaConfig
    level: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Histories:
    """Users to score and what they did: bounded, on the driver; the events of a user in order of time.

    Attributes:
        user_ids: [U] text, ascending.
        starts: [U + 1] int64; the events of user u are starts[u] to starts[u + 1].
        item_ids: [E] text.
        time_us: [E] int64, microseconds since 1970; 0 for logs without time.
        labels: [E] int64, funnel levels.
        weights: [E] float64, how much an event counts; of an explicit log the rating.
    """

    user_ids: np.ndarray
    starts: np.ndarray
    item_ids: np.ndarray
    time_us: np.ndarray
    labels: np.ndarray
    weights: np.ndarray

    def __post_init__(self) -> None:
        if len(self.starts) != self.num_users + 1 or self.starts[-1] != len(self.item_ids):
            raise ContractError(
                f"histories: {len(self.starts)} starts up to {self.starts[-1]} do not fit {self.num_users} users "
                f"and {len(self.item_ids)} events"
            )

    @classmethod
    def of_table(cls, table: pa.Table) -> "Histories":
        """From entity_id, item_id, time_us, label, weight and row_id, one row per event in any order.

        Events of the same microsecond stand by row_id.
        """
        frame = table.to_pandas().sort_values(["entity_id", "time_us", "row_id"], kind="stable")
        user_E = frame["entity_id"].to_numpy(dtype=object)
        first = np.flatnonzero(np.append(True, user_E[1:] != user_E[:-1])) if len(user_E) else np.zeros(0, np.int64)
        return cls(
            user_ids=user_E[first],
            starts=np.append(first, len(user_E)).astype(np.int64),
            item_ids=frame["item_id"].to_numpy(dtype=object),
            time_us=frame["time_us"].to_numpy(dtype=np.int64),
            labels=frame["label"].to_numpy(dtype=np.int64),
            weights=frame["weight"].to_numpy(dtype=np.float64),
        )

    @property
    def num_users(self) -> int:
        return len(self.user_ids)

    @property
    def owners(self) -> np.ndarray:
        """Number of the user of each event [E], ascending."""
        return np.repeat(np.arange(self.num_users), np.diff(self.starts))

    def kept(self, wanted_E: np.ndarray) -> "Histories":
        """All users, with the events where `wanted_E` is true; a user may be left without any."""
        before = np.append(0, np.cumsum(wanted_E))
        columns = (self.item_ids, self.time_us, self.labels, self.weights)
        return Histories(self.user_ids, before[self.starts], *[column[wanted_E] for column in columns])

    def consumed(self, level: int | None) -> "Histories":
        """All users, with the events that count as consumed."""
        return self if level is None else self.kept(self.labels >= level)

    def blocks(self, num_users: int) -> Iterator["Histories"]:
        """The users in order, `num_users` at a time."""
        for start in range(0, self.num_users, num_users):
            stop = min(start + num_users, self.num_users)
            events = slice(self.starts[start], self.starts[stop])
            columns = (self.item_ids, self.time_us, self.labels, self.weights)
            starts = self.starts[start : stop + 1] - self.starts[start]
            yield Histories(self.user_ids[start:stop], starts, *[column[events] for column in columns])


class Fitted(Protocol):
    """A recommender that has seen its training events."""

    def score(self, histories: Histories, candidates: np.ndarray) -> np.ndarray:
        """Scores of the candidates [N] (item ids as text) for each user, float32 [U, N]; higher is better.

        Finite, and for each user a function of their own history; permuted candidates give permuted scores.
        Items that the user has consumed are scored as any other: whether they may be recommended again is for the
        caller to say. What the recommender knows nothing of (no training event or attribute) gets no more than what
        it knows nothing good of. Memory is a few times U x N: call it by `Histories.blocks`.
        """


class Recommender(Protocol):
    """What a recommender's module offers.

    `fit(events, items, users, task, params)`: events in canonical columns (contracts/tables.py); items and users are
    side tables with one row per item_id and user_id and a column feature_<name> per attribute, or None.
    """

    Params: type[Section]
    fit: Callable[..., Fitted]


class ItemIndex:
    """Places of item ids in the order in which a recommender keeps its items."""

    def __init__(self, item_ids: np.ndarray) -> None:
        self.ids = pd.Index(item_ids, dtype=object)

    def __len__(self) -> int:
        return len(self.ids)

    def places(self, item_ids: np.ndarray) -> np.ndarray:
        """int64, -1 for items that the recommender does not know."""
        return np.asarray(self.ids.get_indexer(pd.Index(item_ids, dtype=object)), dtype=np.int64)


def at_candidates(known_UI: np.ndarray, places_N: np.ndarray, unknown_U: np.ndarray | float) -> np.ndarray:
    """float32 [U, N]: scores of the items that a recommender knows where the candidates are; else `unknown_U`."""
    num_users = len(known_UI)
    rest_U1 = np.broadcast_to(np.asarray(unknown_U, np.float32), (num_users,))[:, None]
    if known_UI.shape[1] == 0:
        return np.repeat(rest_U1, len(places_N), axis=1)
    scores_UN = known_UI[:, places_N].astype(np.float32, order="C", copy=False)
    return np.where(places_N >= 0, scores_UN, rest_U1)
