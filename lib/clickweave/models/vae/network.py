"""The tabular VAE (Kingma & Welling 2013, arXiv 1312.6114): Gaussian encoder, factorised decoder.

Legend: B rows, C columns, P columns with a position, V codes of one column, E numbers per code, I encoder
inputs, H hidden units, Z latent numbers.
"""

import math

import torch
from torch import nn

from clickweave.codec.spec import CodecSpec
from clickweave.models.layers import (
    beta_nll,
    beta_shapes,
    code_counts,
    code_has_width,
    draw_beta,
    draw_categories,
    mlp,
)
from clickweave.models.protocol import Batch, Losses
from clickweave.models.vae.params import Params
from clickweave.models.wide_softmax import linear_cross_entropy

LOG_VARIANCE_RANGE = (-12.0, 6.0)  # keeps exp() finite in float32, wider than any useful posterior
SAMPLE_ROWS = 512  # rows whose logits are held at once; fixed, so that draws do not depend on `n`'s memory


class Vae(nn.Module):
    """One row of codes and positions <-> z ~ N(0, I)."""

    def __init__(self, codec: CodecSpec, params: Params) -> None:
        super().__init__()
        self.kl_weight, self.latent_dim = params.kl_weight, params.latent_dim
        counts = [code_counts(column) for column in codec.columns]
        self.ordered = [index for index, column in enumerate(codec.columns) if column.has_position]
        self.dims = [min(params.embedding_dim, len(counts_V)) for counts_V in counts]
        for index, counts_V in enumerate(counts):
            self.register_buffer(f"unseen_{index}", counts_V == 0, persistent=False)
        for index in self.ordered:
            self.register_buffer(f"width_{index}", code_has_width(codec.columns[index]), persistent=False)

        self.codes = nn.ModuleList(nn.Embedding(len(c), dim) for c, dim in zip(counts, self.dims, strict=True))
        self.biases = nn.ParameterList(nn.Parameter(_log_shares(counts_V)) for counts_V in counts)
        self.shapes = nn.ModuleList(nn.Embedding(len(counts[index]), 2) for index in self.ordered)
        self.encoder = mlp(sum(self.dims) + len(self.ordered), params.hidden, params.depth)
        self.posterior = nn.Linear(params.hidden, 2 * params.latent_dim)
        self.decoder = mlp(params.latent_dim, params.hidden, params.depth)
        self.heads = nn.Linear(params.hidden, sum(self.dims))
        self.shape_weight = nn.Parameter(torch.zeros(params.hidden, 2 * len(self.ordered)))
        self.shape_bias = nn.Parameter(torch.zeros(2 * len(self.ordered)))
        self._start()

    def _start(self) -> None:
        """Logits begin near the logs of the training shares, positions at Beta(1, 1)."""
        for table, dim in zip(self.codes, self.dims, strict=True):
            nn.init.normal_(table.get_parameter("weight"), std=1 / math.sqrt(dim))
        for table in self.shapes:
            nn.init.zeros_(table.get_parameter("weight"))

    def encode(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log variance of q(z|x), each [B, Z] (Kingma & Welling 2013, eq. 9)."""
        embedded = [table(batch.codes_BC[:, index]) for index, table in enumerate(self.codes)]
        centred_BP = (batch.positions_BP - 0.5) * self.width_mask(batch.codes_BC)
        mean_BZ, log_var_BZ = self.posterior(self.encoder(torch.cat([*embedded, centred_BP], dim=1))).chunk(2, dim=1)
        return mean_BZ, log_var_BZ.clamp(*LOG_VARIANCE_RANGE)

    def width_mask(self, codes_BC: torch.Tensor) -> torch.Tensor:
        """1.0 where the code is a bin with a width, else 0.0: nulls and spikes [B, P]."""
        masks = [self.get_buffer(f"width_{index}")[codes_BC[:, index]] for index in self.ordered]
        return torch.stack(masks, dim=1).float() if masks else torch.zeros(len(codes_BC), 0)

    def position_shapes(self, hidden_BH: torch.Tensor, codes_BC: torch.Tensor) -> torch.Tensor:
        """Beta shapes of every position, given z and the code [B, P, 2]."""
        by_code = [table(codes_BC[:, index]) for index, table in zip(self.ordered, self.shapes, strict=True)]
        by_code_BP2 = torch.stack(by_code, dim=1) if by_code else torch.zeros(len(codes_BC), 0, 2)
        by_row = torch.addmm(self.shape_bias, hidden_BH, self.shape_weight)
        return beta_shapes(by_row.view(by_code_BP2.shape) + by_code_BP2)

    def training_loss(self, batch: Batch, rng: torch.Generator) -> Losses:
        """-ELBO with one draw of z (eq. 10): kl_weight * KL + reconstruction, mean per row in nats."""
        mean_BZ, log_var_BZ = self.encode(batch)
        noise_BZ = torch.randn(mean_BZ.shape, generator=rng)
        hidden_BH = self.decoder(mean_BZ + (0.5 * log_var_BZ).exp() * noise_BZ)
        kl = kl_to_normal(mean_BZ, log_var_BZ).mean()
        codes = self.code_nll(hidden_BH, batch.codes_BC)
        shapes_BP2 = self.position_shapes(hidden_BH, batch.codes_BC)
        places_BP = beta_nll(shapes_BP2, batch.positions_BP) * self.width_mask(batch.codes_BC)
        reconstruction = codes + places_BP.sum() / batch.num_rows
        total = self.kl_weight * kl + reconstruction
        return Losses(total, {"kl": kl.detach(), "reconstruction": reconstruction.detach()})

    def code_nll(self, hidden_BH: torch.Tensor, codes_BC: torch.Tensor) -> torch.Tensor:
        """Cross-entropy summed over columns, mean per row in nats; each embedding is the output layer too."""
        parts = self.heads(hidden_BH).split(self.dims, dim=1)
        tables = (table.get_parameter("weight") for table in self.codes)
        scored = zip(parts, tables, self.biases, codes_BC.unbind(1), strict=True)
        return torch.stack([linear_cross_entropy(*arguments) for arguments in scored]).sum()

    def allowed(self, hidden_BE: torch.Tensor, index: int) -> torch.Tensor:
        """Scores of the codes of one column [B, V], -inf for codes without training rows."""
        table_VE = self.codes[index].get_parameter("weight")
        logits_BV = torch.addmm(self.biases[index], hidden_BE, table_VE.T)
        return logits_BV.masked_fill(self.get_buffer(f"unseen_{index}"), -math.inf)

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, temperature: float) -> Batch:
        """Rows of z ~ N(0, I); codes without training rows have probability 0."""
        z_BZ = torch.randn(n, self.latent_dim, generator=rng)
        uniforms_BC = torch.rand(n, len(self.dims), generator=rng)
        hidden_BH = self.decoder(z_BZ)
        parts = self.heads(hidden_BH).split(self.dims, dim=1)
        drawn = []
        for index, part_BE in enumerate(parts):
            pairs = zip(torch.split(part_BE, SAMPLE_ROWS), torch.split(uniforms_BC[:, index], SAMPLE_ROWS), strict=True)
            blocks = [draw_categories(self.allowed(block, index) / temperature, uniforms) for block, uniforms in pairs]
            drawn.append(torch.cat(blocks))
        codes_BC = torch.stack(drawn, dim=1)
        positions_BP = draw_beta(self.position_shapes(hidden_BH, codes_BC), rng)
        return Batch(codes_BC, positions_BP * self.width_mask(codes_BC))


def kl_to_normal(mean_BZ: torch.Tensor, log_var_BZ: torch.Tensor) -> torch.Tensor:
    """KL(N(mean, exp(log_var)) || N(0, I)) per row in nats [B] (Kingma & Welling 2013, appendix B)."""
    return -0.5 * (1 + log_var_BZ - mean_BZ.square() - log_var_BZ.exp()).sum(dim=1)


def build(codec: CodecSpec, params: Params) -> Vae:
    """A fresh VAE; weights from torch's global generator."""
    return Vae(codec, params)


def _log_shares(counts_V: torch.Tensor) -> torch.Tensor:
    """Logs of the training shares [V]; a code without rows counts as half a row."""
    return (counts_V.clamp_min(0.5) / counts_V.sum()).log().float()
