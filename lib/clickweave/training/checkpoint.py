"""What rank 0 keeps after each epoch, so that a killed training goes on where it stood, with the same result.

checkpoint/state.json names the tensors' file with its SHA-256 and comes last: a torn write leaves the epoch before.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from clickweave.errors import ContractError
from clickweave.store import files

STATE = "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """`history` has one entry per finished epoch; `tensors` are flat vectors by name."""

    history: list[dict[str, Any]]
    tensors: dict[str, torch.Tensor]


def save_checkpoint(folder: str, job_hash: str, checkpoint: Checkpoint) -> None:
    """Writes the checkpoint and then removes the one before. `job_hash` covers config, codec and plan."""
    data = save({name: tensor.detach().clone() for name, tensor in sorted(checkpoint.tensors.items())})
    home = f"epoch-{len(checkpoint.history):04d}"
    before = [name for name in files.list_folders(folder) if name != home]
    files.write_bytes(f"{folder}/{home}/tensors.safetensors", data)
    state = {"job": job_hash, "tensors": home, "sha256": _sha256(data), "history": checkpoint.history}
    files.write_text(f"{folder}/{STATE}", json.dumps(state, indent=2) + "\n")
    for name in before:
        files.delete_dir(f"{folder}/{name}")


def load_checkpoint(folder: str, job_hash: str, sizes: Mapping[str, int]) -> tuple[Checkpoint | None, str | None]:
    """The checkpoint of this very job, and, where one lies there that cannot be used, why it is left alone."""
    if not files.exists(f"{folder}/{STATE}"):
        return None, None
    try:
        state = files.read_json(f"{folder}/{STATE}")
        if state["job"] != job_hash:
            return None, "checkpoint ignored: it belongs to another config, codec or plan; training starts afresh"
        data = files.read_bytes(f"{folder}/{state['tensors']}/tensors.safetensors")
        if _sha256(data) != state["sha256"]:
            return None, "checkpoint ignored: its SHA-256 does not match; training starts afresh"
        tensors = load(data)
        if {name: tensor.numel() for name, tensor in tensors.items()} != dict(sizes):
            return None, "checkpoint ignored: its tensors have other sizes; training starts afresh"
        return Checkpoint(list(state["history"]), tensors), None
    except (ContractError, SafetensorError, ValueError, KeyError, TypeError) as error:
        return None, f"checkpoint ignored: {' '.join(str(error).split())}; training starts afresh"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
