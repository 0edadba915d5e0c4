"""Smaller weights for the way to the executors: rounded to 8 bits, and without their smallest numbers.

Magnitude pruning and quantisation as in Han, Mao & Dally 2016 (arXiv 1510.00149). Weights are expanded to float32
where a bundle is opened, so a compressed bundle costs less to store and to send, and as much to draw from.
"""

from collections.abc import Mapping

import numpy as np
import torch

LEVELS = 127  # of an int8 on each side of 0
INT8, SCALE, KEPT, SHAPE = "int8", "scale", "kept", "shape"
_MARK = "|"  # joins a tensor's name and the part of it; no parameter has one in its name


def compressed(weights: Mapping[str, torch.Tensor], *, quantised: bool, prune_share: float) -> dict[str, torch.Tensor]:
    """The matrices among the weights in fewer bytes; all else as it is.

    Args:
        quantised: each row of a matrix is rounded to 255 levels between minus and plus its largest number.
        prune_share: share of a matrix's numbers, the smallest, that become 0, in [0, 1).
    """
    made: dict[str, torch.Tensor] = {}
    for name, weight in weights.items():
        if weight.dim() < 2 or not weight.is_floating_point() or not (quantised or prune_share):
            made[name] = weight
            continue
        kept = _kept(weight, prune_share)
        numbers = weight[kept] if prune_share else weight.flatten()
        if quantised:
            rows = weight.flatten(1)
            scale = rows.abs().amax(dim=1).clamp_min(1e-12) / LEVELS
            levels = (rows / scale.unsqueeze(1)).round().to(torch.int8).view(weight.shape)
            numbers = levels[kept] if prune_share else levels.flatten()
            made[f"{name}{_MARK}{SCALE}"] = scale
        made[f"{name}{_MARK}{INT8 if quantised else 'float32'}"] = numbers
        made[f"{name}{_MARK}{SHAPE}"] = torch.tensor(weight.shape)
        if prune_share:
            made[f"{name}{_MARK}{KEPT}"] = torch.from_numpy(np.packbits(kept.numpy().ravel()))
    return made


def expanded(stored: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The float32 weights of what `compressed` made; weights that it never saw come back as they are."""
    made = {name: tensor for name, tensor in stored.items() if _MARK not in name}
    for name in (key.removesuffix(_MARK + SHAPE) for key in stored if key.endswith(_MARK + SHAPE)):
        shape = stored[f"{name}{_MARK}{SHAPE}"].tolist()
        quantised = f"{name}{_MARK}{INT8}" in stored
        numbers = stored[f"{name}{_MARK}{INT8 if quantised else 'float32'}"].float()
        if f"{name}{_MARK}{KEPT}" in stored:
            bits = np.unpackbits(stored[f"{name}{_MARK}{KEPT}"].numpy(), count=int(np.prod(shape)))
            whole = torch.zeros(len(bits))
            whole[torch.from_numpy(bits).bool()] = numbers
            numbers = whole
        weight = numbers.view(shape)
        if quantised:
            weight = (weight.flatten(1) * stored[f"{name}{_MARK}{SCALE}"].unsqueeze(1)).view(shape)
        made[name] = weight
    return made


def _kept(weight: torch.Tensor, prune_share: float) -> torch.Tensor:
    """Which numbers stay: all but the smallest `prune_share`, by size."""
    num_pruned = int(prune_share * weight.numel())
    if num_pruned == 0:
        return torch.ones_like(weight, dtype=torch.bool)
    limit = weight.abs().flatten().kthvalue(num_pruned).values
    return weight.abs() > limit
