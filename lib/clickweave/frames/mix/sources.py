"""What a mix is made from, and the ratio of synthetic to real rows that several strategies know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Discriminator, Field, Tag

from clickweave.config.base import Section

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

AUTO = "auto"
Ratio = Annotated[
    Annotated[float, Tag("<ratio>"), Field(ge=0, le=100)] | Annotated[Literal["auto"], Tag("<auto>")],
    Discriminator(lambda value: "<auto>" if isinstance(value, str) else "<ratio>"),
]


@dataclass(frozen=True)
class MixSources:
    """What a strategy reads; event tables in canonical columns.

    Attributes:
        real: train and reference; every one of these rows stands in the mix as it is.
        augmented: rewrites of real rows.
        synthetic: generated rows after align.
        items: one row per item_id with `feature_<x>` for each of the log's item_features; None for a log without items.
        num_real: rows of `real`.
        num_synthetic: rows of `synthetic`.
        run_id: of rows that the mix itself makes.
    """

    real: DataFrame
    augmented: DataFrame
    synthetic: DataFrame
    items: DataFrame | None
    num_real: int
    num_synthetic: int
    run_id: str = ""


class RatioParams(Section):
    """How many rows are added for each real one."""

    synthetic_per_real: Ratio = Field(
        0.5,
        description="rows added per real row; all there are, if fewer; auto: of 0, .1, .25, .5, 1, 2 the least that "
        "helps measurably on the part reference, else 0",
    )
    metric: Literal["auc"] = Field("auc", description="what auto goes by: AUC of the click model on reference")

    @property
    def ratio(self) -> float:
        """The ratio as a number; the stage puts one in place of `auto` before it asks a strategy."""
        assert not isinstance(self.synthetic_per_real, str)
        return self.synthetic_per_real
