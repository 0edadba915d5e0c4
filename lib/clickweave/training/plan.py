"""Which rank reads which row groups, and how many steps all take: pure, made once by the driver (law 11)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clickweave.errors import ConfigError, ContractError


@dataclass(frozen=True, order=True)
class RowGroup:
    """One row group of a Parquet file: the smallest piece that a rank reads. `file` is a full path or URI."""

    file: str
    index: int
    rows: int


@dataclass(frozen=True)
class Plan:
    """The same number of equal batches for every rank.

    Attributes:
        train, validation: row groups by rank. Each row group stands once.
        batch_rows: rows per step and rank.
        steps: steps per epoch, the same on every rank; rows beyond them are left out, others each epoch.
    """

    train: tuple[tuple[RowGroup, ...], ...]
    validation: tuple[tuple[RowGroup, ...], ...]
    batch_rows: int
    steps: int

    @property
    def ranks(self) -> int:
        return len(self.train)

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> "Plan":
        """From what `dataclasses.asdict` and JSON made of a plan."""

        def shares(listed: list[list[dict[str, Any]]]) -> tuple[tuple[RowGroup, ...], ...]:
            return tuple(tuple(RowGroup(**group) for group in groups) for groups in listed)

        return cls(shares(raw["train"]), shares(raw["validation"]), raw["batch_rows"], raw["steps"])


def make_plan(train: Sequence[RowGroup], validation: Sequence[RowGroup], *, ranks: int, batch_size: int) -> Plan:
    """Shares row groups out so that ranks hold nearly the same number of rows.

    `batch_size` counts the rows of a step over all ranks. Where a rank holds fewer rows than its part of that,
    batches shrink to what the smallest rank holds.

    Raises:
        ConfigError: `batch_size` is below `ranks`.
        ContractError: there are fewer training row groups with rows than ranks, or no validation rows.
    """
    if ranks < 1:
        raise ConfigError(f"train.ranks must be at least 1, got {ranks}")
    if batch_size < ranks:
        raise ConfigError(f"train.batch_size {batch_size} is below {ranks} ranks; each rank needs a row per step")
    filled = [group for group in train if group.rows > 0]
    if not filled:
        raise ContractError(
            "train: the training shards hold no rows; encode more rows or lower encode.validation_share"
        )
    if len(filled) < ranks:
        raise ContractError(
            f"train: {len(filled)} row groups for {ranks} ranks; lower train.ranks or encode.row_group_rows"
        )
    measured = [group for group in validation if group.rows > 0]
    if not measured:
        raise ContractError("train: the validation shards hold no rows; raise encode.validation_share or add rows")
    shares = _share_out(filled, ranks)
    smallest = min(sum(group.rows for group in groups) for groups in shares)
    batch_rows = min(batch_size // ranks, smallest)
    return Plan(shares, _share_out(measured, ranks), batch_rows, smallest // batch_rows)


def _share_out(groups: Sequence[RowGroup], ranks: int) -> tuple[tuple[RowGroup, ...], ...]:
    """Largest first, each to the rank with the fewest rows so far (Graham 1969); ties by file, then rank."""
    shares: list[list[RowGroup]] = [[] for _ in range(ranks)]
    held = [0] * ranks
    for group in sorted(groups, key=lambda group: (-group.rows, group)):
        rank = held.index(min(held))
        shares[rank].append(group)
        held[rank] += group.rows
    return tuple(tuple(sorted(share)) for share in shares)
