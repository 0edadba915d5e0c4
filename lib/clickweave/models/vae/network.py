"""The tabular VAE (Kingma & Welling 2013, arXiv 1312.6114) with a decoder that is autoregressive over columns.

The decoder sees z and the columns before: what it says of each column is as sharp as without z (Gulrajani et al. 2016,
PixelVAE, arXiv 1611.05013), and free bits keep z in use (Chen et al. 2017, arXiv 1611.02731).

Legend: B rows, C columns, H hidden units, Z latent numbers, K candidates.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import nn

from clickweave.codec.spec import CodecSpec
from clickweave.models.columns import ColumnNet
from clickweave.models.layers import draw_categories, mlp
from clickweave.models.protocol import Batch, Generator, Losses, MeanOverRanks
from clickweave.models.sizes import SIZES
from clickweave.models.vae.mixture import Mixture
from clickweave.models.vae.params import Params

LOG_VARIANCE_RANGE = (-12.0, 6.0)  # keeps exp() finite in float32, wider than any useful posterior
FIT_ROWS = 65_536  # of each rank, whose z the mixture is fitted to; 16 numbers of each are 4 MB
CANDIDATES = 16  # z drawn for each row with given columns, of which one is kept


class Vae(Generator):
    """One row of codes and positions <-> z."""

    def __init__(self, codec: CodecSpec, params: Params, tables: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        size = SIZES[params.size]
        self.latent_dim, self.free_bits, self.any_order = params.latent_dim, params.free_bits, params.any_order
        self.warm_up_share, self.kl_weight = params.warm_up_share, 1.0
        self.net = ColumnNet(codec.columns, tables, size, context_dim=params.latent_dim, dropout=params.dropout)
        self.read = nn.ModuleList(nn.Linear(size.embedding, size.hidden) for _ in codec.columns)
        self.encoder = mlp(size.hidden, size.hidden, size.depth)
        self.posterior = nn.Linear(size.hidden, 2 * params.latent_dim)
        self.prior = Mixture(params.components, params.latent_dim)

    def encode(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log variance of q(z|x), each [B, Z] (Kingma & Welling 2013, eq. 9)."""
        told = [layer(self.net.embed(batch, index)) for index, layer in enumerate(self.read)]
        mean_BZ, log_var_BZ = self.posterior(self.encoder(torch.stack(told).sum(0))).chunk(2, dim=1)
        return mean_BZ, log_var_BZ.clamp(*LOG_VARIANCE_RANGE)

    def set_progress(self, done_share: float) -> None:
        """KL warm-up (Bowman et al. 2016)."""
        self.kl_weight = min(1.0, done_share / self.warm_up_share) if self.warm_up_share else 1.0

    def training_loss(self, batch: Batch, rng: torch.Generator) -> Losses:
        """-ELBO with one draw of z (eq. 10), mean per row in nats; free bits and warm-up in training alone."""
        mean_BZ, log_var_BZ = self.encode(batch)
        z_BZ = mean_BZ + (0.5 * log_var_BZ).exp() * torch.randn(mean_BZ.shape, generator=rng)
        reconstruction = self.net.row_nll(batch, self.any_order, rng, z_BZ)
        kl_Z = kl_to_normal(mean_BZ, log_var_BZ).mean(0)
        kl = kl_Z.sum()
        cost = self.kl_weight * kl_Z.clamp_min(self.free_bits).sum() if self.training else kl
        return Losses(cost + reconstruction, {"kl": kl.detach(), "reconstruction": reconstruction.detach()})

    @torch.no_grad()
    def finish(self, batches: Iterable[Batch], rng: torch.Generator, mean_over_ranks: MeanOverRanks) -> None:
        """Fits the mixture that z is sampled from to the posteriors of all training rows together."""
        drawn, rows = [], 0
        for batch in batches:
            mean_BZ, log_var_BZ = self.encode(batch)
            drawn.append(mean_BZ + (0.5 * log_var_BZ).exp() * torch.randn(mean_BZ.shape, generator=rng))
            rows += batch.num_rows
            if rows >= FIT_ROWS:
                break
        self.prior.fit(torch.cat(drawn), rng, mean_over_ranks)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        rng: torch.Generator,
        temperature: float = 1.0,
        top_p: float = 1.0,
        given: Mapping[int, torch.Tensor] | None = None,
    ) -> Batch:
        z_BZ = self._z_given(n, given, rng) if given else self.prior.draw(n, rng)
        return self.net.sample(n, rng, context_BX=z_BZ, given=given, temperature=temperature, top_p=top_p)

    def _z_given(self, n: int, given: Mapping[int, torch.Tensor], rng: torch.Generator) -> torch.Tensor:
        """Z for rows with given codes: one of a few draws, by its likelihood (Rubin 1987, importance resampling)."""
        z_KBZ = torch.stack([self.prior.draw(n, rng) for _ in range(CANDIDATES)])
        fits = []
        for z_BZ in z_KBZ:
            summed_BH, fit_B = self.net.started(z_BZ), torch.zeros(n)
            for index, codes_B in sorted(given.items()):
                unit = self.net.units[index]
                query_BE = unit.query(self.net.hidden_of(summed_BH, index))
                fit_B = fit_B - unit.codes.nll_of_rows(query_BE, codes_B)
                summed_BH = summed_BH + self.net.inputs[index](unit.embed(codes_B, None))
            fits.append(fit_B)
        chosen_B = draw_categories(torch.stack(fits, dim=1), torch.rand(n, generator=rng))
        return z_KBZ[chosen_B, torch.arange(n)]


def kl_to_normal(mean_BZ: torch.Tensor, log_var_BZ: torch.Tensor) -> torch.Tensor:
    """KL(N(mean, exp(log_var)) || N(0, I)) by row and number of z, in nats [B, Z] (Kingma & Welling 2013, app. B)."""
    return -0.5 * (1 + log_var_BZ - mean_BZ.square() - log_var_BZ.exp())


def build(codec: CodecSpec, params: Params, tables: Mapping[str, np.ndarray]) -> Vae:
    """A fresh VAE; weights from torch's global generator."""
    return Vae(codec, params, tables)
