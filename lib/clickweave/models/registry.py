"""Generators by name. `params` imports neither torch nor pyspark, so that recipes are checked fast."""

from importlib import import_module
from typing import TYPE_CHECKING

from clickweave.codec.spec import CodecSpec
from clickweave.config.base import Section
from clickweave.config.variants import unknown_variant

if TYPE_CHECKING:
    from clickweave.models.protocol import Generator

GENERATORS = {"vae": "clickweave.models.vae"}
PLANNED = ("gan", "autoregressive", "journey")


def params(name: str) -> type[Section]:
    """The model of a generator's own parameters.

    Raises:
        ConfigError: the name is unknown, or not built yet.
    """
    found: type[Section] = import_module(f"{_package(name)}.params").Params
    return found


def build(name: str, codec: CodecSpec, own: Section) -> "Generator":
    """A generator with fresh weights from torch's global generator; `own` are its checked parameters.

    Raises:
        ConfigError: the name is unknown, or not built yet.
        ContractError: the codec has a column that the generator cannot produce.
    """
    built: Generator = import_module(f"{_package(name)}.network").build(codec, own)
    return built


def _package(name: str) -> str:
    if name not in GENERATORS:
        raise unknown_variant("train.generator", name, tuple(GENERATORS), PLANNED)
    return GENERATORS[name]
