"""The GAN: noise as the context of a `ColumnNet` that draws codes, against a critic of packed rows.

Each step one column is given (Xu et al. 2019, arXiv 1907.00503, training by sampling): its codes come as often as the
logs of their counts say, from the real rows of the batch, and drawn rows get the same codes. Rows are sampled with
given codes at the log's own frequencies.

Legend: B rows, C columns, V codes, D numbers of a row, G packs of rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from clickweave.codec.spec import VALUES, CodecSpec
from clickweave.models.columns import ColumnNet
from clickweave.models.gan.critic import Critic
from clickweave.models.gan.params import Params
from clickweave.models.gan.relaxed import relaxed_rows
from clickweave.models.gan.tallies import distances, tally
from clickweave.models.layers import code_counts, column_order, draw_categories
from clickweave.models.protocol import Batch, Generator, Losses, Optimizing
from clickweave.models.sizes import SIZES

DRAWS, JUDGES = "generator", "critic"
DRAWN_PER_ROW = 4  # rows drawn for each validation row
MEASURED = 4  # given columns that the likelihood of validation rows is averaged over
BETAS = {DRAWS: (0.5, 0.99), JUDGES: (0.5, 0.9)}  # little momentum, since the other side moves


class Gan(Generator):
    """Conditional Wasserstein GAN with gradient penalty (Gulrajani et al. 2017, arXiv 1704.00028)."""

    def __init__(self, codec: CodecSpec, params: Params, tables: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        size = SIZES[params.size]
        self.params = params
        self.num_codes = [column.num_codes for column in codec.columns]
        self.net = ColumnNet(codec.columns, tables, size, context_dim=params.noise_dim, dropout=params.dropout)
        self.critic = Critic(self.net.units, size, params.pac)
        self.choices = [n for n, c in enumerate(codec.columns) if c.kind == VALUES and c.num_digits == 0]
        for index in self.choices:
            counts_V = code_counts(codec.columns[index])
            self.register_buffer(f"counts_{index}", counts_V, persistent=False)

    def networks(self) -> dict[str, list[nn.Parameter]]:
        return {JUDGES: list(self.critic.parameters()), DRAWS: list(self.net.parameters())}

    def network_of(self, step: int) -> str:
        return DRAWS if step % (self.params.critic_steps + 1) == 0 else JUDGES

    def optimizing(self, network: str) -> Optimizing:
        return Optimizing(BETAS[network], self.params.critic_rate if network == JUDGES else 1.0)

    def network_loss(self, network: str, batch: Batch, rng: torch.Generator) -> Losses:
        chosen = self._choice(rng)
        batch = batch if chosen is None else self._by_log_frequency(batch, chosen, rng)
        return self._critic_loss(batch, chosen, rng) if network == JUDGES else self._draws_loss(batch, chosen, rng)

    def _critic_loss(self, batch: Batch, chosen: int | None, rng: torch.Generator) -> Losses:
        """Score of drawn rows minus that of real ones, plus the penalty (Gulrajani et al. 2017, eq. 3)."""
        with torch.no_grad():
            given = {} if chosen is None else {chosen: batch.codes_BC[:, chosen]}
            drawn = self.net.sample(batch.num_rows, rng, context_BX=self._noise(batch.num_rows, rng), given=given)
        real_BD, drawn_BD = (self.critic.rows(self.net.units, rows, self.net.place_of) for rows in (batch, drawn))
        mark = self._mark(chosen)
        gap = self.critic(drawn_BD, mark).mean() - self.critic(real_BD, mark).mean()
        mix_B1 = torch.rand(batch.num_rows, 1, generator=rng)
        between_GX = self.critic.packed((mix_B1 * real_BD + (1 - mix_B1) * drawn_BD).detach()).requires_grad_()
        scores_G = self.critic.score_packs(between_GX, mark)
        slopes_GX = torch.autograd.grad(scores_G.sum(), between_GX, create_graph=True)[0]
        penalty = (slopes_GX.norm(dim=1) - 1).square().mean()
        return Losses(gap + self.params.penalty * penalty, {"gap": gap.detach()})

    def _draws_loss(self, batch: Batch, chosen: int | None, rng: torch.Generator) -> Losses:
        """Minus the score of drawn rows, plus the likelihood of real ones given the chosen column."""
        given = {} if chosen is None else {chosen: batch.codes_BC[:, chosen]}
        noise_BX = self._noise(batch.num_rows, rng)
        drawn = relaxed_rows(self.net, batch.num_rows, noise_BX, given, self.params.softness, rng)
        rows_BD = self.critic.relaxed_rows(self.net.units, drawn, given)
        score = self.critic(rows_BD, self._mark(chosen)).mean()
        total, parts = -score, {"score": score.detach()}
        if self.params.likelihood_weight > 0:
            order = column_order(len(self.num_codes), self.params.any_order, rng)
            nats = self._nats(batch, chosen, order, rng)
            total, parts = total + self.params.likelihood_weight * nats, {**parts, "nats": nats.detach()}
        return Losses(total, parts)

    def _nats(self, batch: Batch, chosen: int | None, order: Sequence[int], rng: torch.Generator) -> torch.Tensor:
        """-log p(other columns | noise, chosen column), mean per row: not below that without the noise."""
        if chosen is not None:
            order = [chosen, *[index for index in order if index != chosen]]
        nats_C = self.net.nll(batch, order, rng, self._noise(batch.num_rows, rng))
        return nats_C.sum() if chosen is None else nats_C.sum() - nats_C[chosen].detach()

    def measure(self, batch: Batch, rng: torch.Generator) -> dict[str, torch.Tensor]:
        """Counts of codes and pairs of codes, of validation rows and of drawn ones; likelihood beside them."""
        drawn = self.sample(batch.num_rows * DRAWN_PER_ROW, rng)
        order = range(len(self.num_codes))
        choices: Sequence[int | None] = self.choices[:MEASURED] or [None]
        each = [self._nats(batch, chosen, order, rng) for chosen in choices]
        nats = torch.stack(each).mean()
        counts = torch.stack([tally(rows.codes_BC, self.num_codes) for rows in (batch, drawn)])
        return {"counts": counts, "nats": nats * batch.num_rows, "rows": torch.tensor(batch.num_rows)}

    def figures(self, sums: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """`columns` and `pairs`: mean total variation between drawn and validation rows; `nats`: of a validation row.

        `validation_loss` is the mean of the first two, and where likelihood is trained the nats per column besides:
        they tell apart what differs by less than the noise of draws.
        """
        columns, pairs = distances(sums["counts"], self.num_codes)
        nats = float(sums["nats"] / sums["rows"])
        known = nats / len(self.num_codes) if self.params.likelihood_weight > 0 else 0.0
        return {"validation_loss": (columns + pairs) / 2 + known, "columns": columns, "pairs": pairs, "nats": nats}

    @torch.no_grad()
    def sample(
        self,
        n: int,
        rng: torch.Generator,
        temperature: float = 1.0,
        top_p: float = 1.0,
        given: Mapping[int, torch.Tensor] | None = None,
    ) -> Batch:
        def draw(rows: int, known: Mapping[int, torch.Tensor]) -> Batch:
            return self.net.sample(
                rows, rng, context_BX=self._noise(rows, rng), given=known, temperature=temperature, top_p=top_p
            )

        if given or not self.choices:
            return draw(n, given or {})
        chosen_B = torch.randint(len(self.choices), (n,), generator=rng)
        order_B = torch.argsort(chosen_B, stable=True)
        parts = []
        for number, index in enumerate(self.choices):
            rows = int((chosen_B == number).sum())
            logits_1V = self.get_buffer(f"counts_{index}").log().unsqueeze(0) / temperature
            parts.append(draw(rows, {index: draw_categories(logits_1V, torch.rand(rows, generator=rng), top_p)}))
        places_B = torch.argsort(order_B)
        codes_BC, positions_BP = (torch.cat(side)[places_B] for side in zip(*map(_sides, parts), strict=True))
        return Batch(codes_BC, positions_BP)

    def _choice(self, rng: torch.Generator) -> int | None:
        """The column that is given in this step; None where no column has few codes."""
        if not self.choices:
            return None
        return self.choices[int(torch.randint(len(self.choices), (), generator=rng))]

    def _by_log_frequency(self, batch: Batch, index: int, rng: torch.Generator) -> Batch:
        """As many rows of the batch, with repeats: codes of column `index` come by the logs of their counts."""
        counts_B = self.get_buffer(f"counts_{index}")[batch.codes_BC[:, index]].clamp_min(1.0)
        weights_1B = ((1 + counts_B).log() / counts_B).log().unsqueeze(0)
        places_B = draw_categories(weights_1B, torch.rand(batch.num_rows, generator=rng))
        return Batch(batch.codes_BC[places_B], batch.positions_BP[places_B])

    def _mark(self, chosen: int | None) -> int:
        return len(self.num_codes) if chosen is None else chosen

    def _noise(self, rows: int, rng: torch.Generator) -> torch.Tensor:
        return torch.randn(rows, self.params.noise_dim, generator=rng)


def _sides(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    return batch.codes_BC, batch.positions_BP


def build(codec: CodecSpec, params: Params, tables: Mapping[str, np.ndarray]) -> Gan:
    """A fresh GAN; weights from torch's global generator."""
    return Gan(codec, params, tables)
