"""Sizes of networks by name. No torch here."""

from dataclasses import dataclass
from typing import Literal

SizeName = Literal["small", "base", "large"]


@dataclass(frozen=True)
class Size:
    """Units per hidden layer, residual blocks, numbers per code."""

    hidden: int
    depth: int
    embedding: int


SIZES: dict[str, Size] = {
    "small": Size(hidden=192, depth=2, embedding=32),  # trains on a CPU in minutes
    "base": Size(hidden=768, depth=4, embedding=96),
    "large": Size(hidden=4096, depth=8, embedding=512),  # some 300 million weights: for GPUs
}
SIZE_MEANING = "small trains on a CPU in minutes; base and large (some 300 million weights) are for GPUs"
