"""What every part of a recipe shares: a frozen, strict pydantic model, and durations such as `30min`."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

_UNITS_S = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


class Section(BaseModel):
    """A part of the recipe. Unknown keys are errors; values never change after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


def parse_duration_s(value: Any) -> float:
    """Seconds from `30min`, `2h`, `1d`, `45s` or a plain number of seconds.

    Raises:
        ValueError: for anything else, or a duration that is not above 0.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h|d)?\s*", str(value))
    if match is None or float(match[1]) <= 0:
        raise ValueError(f"{value!r} is not a duration; write for example 45s, 30min, 2h or 1d")
    return float(match[1]) * _UNITS_S[match[2] or "s"]


Duration = Annotated[float, BeforeValidator(parse_duration_s)]
