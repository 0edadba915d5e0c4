"""Parameters of the autoregressive row generator. No torch here."""

from typing import ClassVar

from pydantic import Field

from clickweave.config.base import Section
from clickweave.models.sizes import SIZE_MEANING, SizeName


class Params(Section):
    """Each column given the ones before it, or any other subset (Uria, Murray & Larochelle 2014, arXiv 1310.1757)."""

    GRAIN: ClassVar[str] = "row"

    size: SizeName = Field("small", description=f"autoregressive: {SIZE_MEANING}")
    any_order: float = Field(
        0.2,
        ge=0,
        le=1,
        description="autoregressive: share of steps with columns in random order, so that any subset can be given",
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="autoregressive: share of hidden numbers left out in training")
