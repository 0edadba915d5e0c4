"""The model bundle: data only (law 9). safetensors and JSON, with the SHA-256 of each file in MANIFEST.json."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save

from clickweave.codec.spec import CodecSpec
from clickweave.config.base import Section
from clickweave.errors import BundleError, ClickweaveError
from clickweave.models import registry
from clickweave.models.protocol import Generator
from clickweave.store import files
from clickweave.training.compression import compressed, expanded

FORMAT = "clickweave-bundle-1"
WEIGHTS, TABLES, CODEC, MODEL, TRAINING, MANIFEST = (
    "weights.safetensors",
    "tables.safetensors",
    "codec.json",
    "model.json",
    "training.json",
    "MANIFEST.json",
)
NAMES = (WEIGHTS, TABLES, CODEC, MODEL, TRAINING)
_PICKLE_MARKS = (b"\x80", b"PK\x03\x04")  # a pickle, and the zip around torch.save's pickle; safetensors may begin
# with the first one too, but has JSON after eight bytes of length


@dataclass(frozen=True)
class Bundle:
    """A generator ready to sample, what its codes mean with their tables, and how its training went."""

    codec: CodecSpec
    tables: Mapping[str, np.ndarray]
    generator: Generator
    training: dict[str, Any]


def save_bundle(
    folder: str,
    *,
    codec_json: str,
    tables: bytes,
    generator: str,
    params: Section,
    weights: Mapping[str, torch.Tensor],
    training: Any,
) -> None:
    """Writes the bundle; MANIFEST.json last, so that a folder without it is no bundle.

    Args:
        tables: the codec's item codes as safetensors.
    """
    content = {
        TABLES: tables,
        WEIGHTS: save({name: tensor.detach().clone() for name, tensor in sorted(weights.items())}),
        CODEC: codec_json.encode(),
        MODEL: _json({"format": FORMAT, "generator": generator, "params": params.model_dump(mode="json")}),
        TRAINING: _json(training),
    }
    for name, data in content.items():
        files.write_bytes(f"{folder}/{name}", data)
    files.write_bytes(f"{folder}/{MANIFEST}", _json({name: _sha256(data) for name, data in content.items()}))


def load_bundle_files(folder: str) -> dict[str, bytes]:
    """The files of a bundle by name, to be sent where it is opened.

    Raises:
        BundleError: a file is missing.
    """
    missing = [name for name in (MANIFEST, *NAMES) if not files.exists(f"{folder}/{name}")]
    if missing:
        raise BundleError(f"bundle {folder}: {missing[0]} is missing; train again")
    return {name: files.read_bytes(f"{folder}/{name}") for name in (*NAMES, MANIFEST)}


def open_bundle(content: Mapping[str, bytes]) -> Bundle:
    """A bundle from its files; nothing in them is ever executed.

    Raises:
        BundleError: a file is missing, changed, a pickle, or of another format.
    """
    _check(content)
    try:
        codec = CodecSpec.from_json(content[CODEC].decode())
        about = json.loads(content[MODEL])
        if about["format"] != FORMAT:
            raise BundleError(f"bundle: format {about['format']!r} is not {FORMAT!r}; train again with this version")
        params = registry.params(about["generator"]).model_validate(about["params"])
        tables = safetensors.numpy.load(content[TABLES])
        with torch.random.fork_rng(devices=[]):
            generator = registry.build(about["generator"], codec, params, tables)
        generator.load_state_dict(expanded(load(content[WEIGHTS])))
        generator.train(False)
        return Bundle(codec, tables, generator, json.loads(content[TRAINING]))
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, ValidationError, SafetensorError) as error:
        raise BundleError(f"bundle: does not fit this version: {_line(error)}; train again") from error
    except ClickweaveError as error:
        raise error if isinstance(error, BundleError) else BundleError(f"bundle: {error}") from error


def smaller_bundle(content: Mapping[str, bytes], *, quantised: bool, prune_share: float) -> dict[str, bytes]:
    """The bundle with compressed weights; `open_bundle` takes it like any other."""
    weights = save(compressed(load(content[WEIGHTS]), quantised=quantised, prune_share=prune_share))
    listed = json.loads(content[MANIFEST]) | {WEIGHTS: _sha256(weights)}
    return {**content, WEIGHTS: weights, MANIFEST: _json(listed)}


def _check(content: Mapping[str, bytes]) -> None:
    missing = [name for name in (MANIFEST, *NAMES) if name not in content]
    if missing:
        raise BundleError(f"bundle: {missing[0]} is missing; train again")
    for name in (WEIGHTS, TABLES):
        if content[name].startswith(_PICKLE_MARKS) and content[name][8:9] != b"{":
            raise BundleError(f"bundle: {name} is a pickle, which is never loaded; train again")
    try:
        listed = json.loads(content[MANIFEST])
    except ValueError as error:
        raise BundleError(f"bundle: {MANIFEST} is not JSON: {_line(error)}; train again") from error
    if not isinstance(listed, dict) or set(listed) != set(NAMES):
        raise BundleError(f"bundle: {MANIFEST} does not list exactly {', '.join(NAMES)}; train again")
    for name in NAMES:
        if _sha256(content[name]) != listed[name]:
            raise BundleError(f"bundle: {name} does not match its SHA-256 in {MANIFEST}; copy or train it again")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
