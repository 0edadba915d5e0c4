"""Generators by name. `params` imports neither torch nor pyspark, so that recipes are checked fast."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from clickweave.codec.spec import CodecSpec
from clickweave.config.base import Section
from clickweave.config.variants import unknown_variant

if TYPE_CHECKING:
    import numpy as np

    from clickweave.models.protocol import Generator

GENERATORS = {
    "autoregressive": "clickweave.models.autoregressive",
    "gan": "clickweave.models.gan",
    "journey": "clickweave.models.journey",
    "vae": "clickweave.models.vae",
}


def params(name: str) -> type[Section]:
    """The model of a generator's own parameters.

    Raises:
        ConfigError: the name is unknown.
    """
    found: type[Section] = import_module(f"{_package(name)}.params").Params
    return found


def build(name: str, codec: CodecSpec, own: Section, tables: Mapping[str, "np.ndarray"]) -> "Generator":
    """A generator with fresh weights from torch's global generator.

    Args:
        own: the generator's checked parameters.
        tables: the codec's item codes, by name; empty where no column has digits.

    Raises:
        ConfigError: the name is unknown.
        ContractError: the codec has a column that the generator cannot produce.
    """
    built: Generator = import_module(f"{_package(name)}.network").build(codec, own, tables)
    return built


def _package(name: str) -> str:
    if name not in GENERATORS:
        raise unknown_variant("train.generator", name, tuple(GENERATORS), ())
    return GENERATORS[name]
