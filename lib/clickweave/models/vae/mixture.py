"""A Gaussian mixture over the codes of all training rows: where the decoder has learnt to listen.

Sampling z from N(0, I) asks the decoder for rows in places where the posteriors of real rows never were (Tomczak &
Welling 2018, arXiv 1705.07120; Ghosh et al. 2020, arXiv 1903.12436).

Legend: N rows of this rank, K components, Z latent numbers.
"""

import math

import torch
from torch import nn

from clickweave.models.layers import draw_categories
from clickweave.models.protocol import MeanOverRanks

LEAST_ROWS = 100  # that a component stands for, so that none is one row's posterior
ROUNDS = 40  # of expectation and maximisation
LEAST_VARIANCE = 1e-3  # of a number of z, whose scale is about 1


class Mixture(nn.Module):
    """Diagonal Gaussians; N(0, I) until fitted."""

    def __init__(self, components: int, latent_dim: int) -> None:
        super().__init__()
        log_weights_K = torch.full((components,), -math.inf)
        log_weights_K[0] = 0.0
        self.register_buffer("log_weights_K", log_weights_K)
        self.register_buffer("means_KZ", torch.zeros(components, latent_dim))
        self.register_buffer("variances_KZ", torch.ones(components, latent_dim))

    def draw(self, n: int, rng: torch.Generator) -> torch.Tensor:
        """[n, Z]"""
        chosen = draw_categories(self.get_buffer("log_weights_K").unsqueeze(0), torch.rand(n, generator=rng))
        means_NZ, variances_NZ = self.get_buffer("means_KZ")[chosen], self.get_buffer("variances_KZ")[chosen]
        return means_NZ + variances_NZ.sqrt() * torch.randn(means_NZ.shape, generator=rng)

    def fit(self, z_NZ: torch.Tensor, rng: torch.Generator, mean_over_ranks: MeanOverRanks) -> None:
        """Expectation maximisation (Dempster, Laird & Rubin 1977) over the rows of all ranks.

        Components that stand for fewer than `LEAST_ROWS` rows a rank are given up, the smallest first. `rng` must be
        in the same state on every rank.
        """
        moments = torch.stack([z_NZ.double().mean(0), z_NZ.double().square().mean(0)])
        mean_over_ranks(moments, "vae.moments")
        mean_Z, variance_Z = moments[0], (moments[1] - moments[0].square()).clamp_min(LEAST_VARIANCE)
        num = max(1, min(len(self.get_buffer("means_KZ")), len(z_NZ) // (2 * LEAST_ROWS)))
        noise_KZ = torch.randn(num, len(mean_Z), generator=rng, dtype=torch.float64)
        found = torch.full((num,), 1 / num), mean_Z + variance_Z.sqrt() * noise_KZ, variance_Z.expand(num, -1)
        rounds = 0
        while rounds < ROUNDS:
            rows_K, found = _improved(z_NZ, *found, mean_over_ranks)
            rounds += 1
            if rounds >= ROUNDS // 2 and len(rows_K) > 1 and rows_K.min() < LEAST_ROWS:
                kept = torch.arange(len(rows_K)) != rows_K.argmin()
                found = found[0][kept] / found[0][kept].sum(), found[1][kept], found[2][kept]
                rounds = ROUNDS // 2
        for name, fitted in zip(("log_weights_K", "means_KZ", "variances_KZ"), found, strict=True):
            buffer = self.get_buffer(name)
            buffer.copy_(buffer[:1].expand_as(buffer) if fitted.dim() > 1 else torch.full_like(buffer, -math.inf))
            buffer[: len(fitted)] = (fitted if fitted.dim() > 1 else fitted.log()).float()


Fitted = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def _improved(
    z_NZ: torch.Tensor,
    weights_K: torch.Tensor,
    means_KZ: torch.Tensor,
    variances_KZ: torch.Tensor,
    mean_over_ranks: MeanOverRanks,
) -> tuple[torch.Tensor, Fitted]:
    """One round: rows per component and rank, then weights, means and variances."""
    num, dims = means_KZ.shape
    sums = torch.zeros(num, 1 + 2 * dims, dtype=torch.float64)
    precisions_KZ = 1 / variances_KZ
    constant_K = weights_K.log() - 0.5 * (variances_KZ.log() + means_KZ.square() * precisions_KZ).sum(1)
    for part_NZ in z_NZ.double().split(4096):
        log_NK = constant_K + part_NZ @ (means_KZ * precisions_KZ).T - 0.5 * part_NZ.square() @ precisions_KZ.T
        share_NK = torch.softmax(log_NK, dim=1)
        sums += share_NK.T @ torch.cat([torch.ones(len(part_NZ), 1), part_NZ, part_NZ.square()], dim=1)
    mean_over_ranks(sums, "vae.mixture")
    rows_K = sums[:, 0]
    safe_K1 = rows_K.clamp_min(1e-9).unsqueeze(1)
    means_KZ = sums[:, 1 : 1 + dims] / safe_K1
    variances_KZ = (sums[:, 1 + dims :] / safe_K1 - means_KZ.square()).clamp_min(LEAST_VARIANCE)
    return rows_K, ((rows_K / rows_K.sum()).clamp_min(1e-12), means_KZ, variances_KZ)
