"""What a recipe says of a gate: whether red blocks, and other bounds. evaluation/policy.py knows all gates."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from clickweave.config.base import Section


class GateChange(Section):
    """What a recipe changes about a figure of the report; what is null stays as it is."""

    block: bool | None = Field(None, description="whether a red figure refuses a publication")
    gate: float | None = Field(None, description="the figure is amber from here on, in the figure's own unit")
    target: float | None = Field(None, description="the figure is green from here on")


GateSetting = Annotated[
    Annotated[Literal["block", "grade"], Tag("<word>")] | Annotated[GateChange, Tag("<change>")],
    Discriminator(lambda value: "<change>" if isinstance(value, dict | GateChange) else "<word>"),
]
