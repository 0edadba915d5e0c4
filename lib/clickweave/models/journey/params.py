"""Parameters of the journey generator. No torch here."""

from typing import ClassVar

from pydantic import Field

from clickweave.config.base import Section
from clickweave.models.sizes import SIZE_MEANING, SizeName


class Params(Section):
    """Whole histories of users (else sessions): profile, start and length, then event by event."""

    GRAIN: ClassVar[str] = "entity"

    size: SizeName = Field("small", description=f"journey: {SIZE_MEANING}")
    window: int = Field(32, ge=2, le=4096, description="journey: events per training window; the state is carried on")
    memory: int = Field(32, ge=1, le=1024, description="journey: last events whose items a history may repeat")
    pair_dropout: float = Field(
        0.3,
        ge=0,
        le=1,
        description="journey: share of training events whose item is hidden among the co-visited ones; 1 learns how "
        "often a new user repeats a known pair, less keeps more of the log's own pairs",
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="journey: share of inputs that a training step leaves out")
    max_events: int = Field(100_000, ge=1, description="journey: most events of one generated history")
