"""A column whose codes are counted by totals: its odds begin at what is left of them.

If all orders of a history's events were equally likely, the next event would take of a total with the probability
left / events left: drawing without replacement. The network learns in what way events differ from that.

Legend: B rows, H hidden units, V codes, G groups of codes.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from clickweave.codec.spec import ColumnSpec
from clickweave.models.heads import ColumnUnit, DirectCodes
from clickweave.models.layers import draw_categories


class Counted(ColumnUnit):
    """A `ColumnUnit` of few codes that is told the log shares of groups of codes [B, G] (Totals.log_shares).

    Args:
        group_V: the group of each code; the last group is that of the codes that no total counts.
    """

    def __init__(
        self, column: ColumnSpec, tables: Mapping[str, np.ndarray], hidden: int, dim: int, group_V: torch.Tensor
    ) -> None:
        super().__init__(column, tables, hidden, dim)
        assert isinstance(self.codes, DirectCodes)
        self.register_buffer("group_V", group_V, persistent=False)
        bias_V = self.codes.bias_V.data
        for group in group_V.unique():  # inside a group codes begin at their own shares of it
            bias_V[group_V == group] -= bias_V[group_V == group].logsumexp(0)

    def codes_nll(self, hidden_BH: torch.Tensor, codes_B: torch.Tensor, *told: Any) -> torch.Tensor:
        """Mean over rows of -log p(code | hidden, shares), in nats."""
        return F.cross_entropy(self._logits(hidden_BH, told[0]), codes_B)

    def draw_codes(
        self, hidden_BH: torch.Tensor, rows: int, rng: torch.Generator, temperature: float, top_p: float, *told: Any
    ) -> torch.Tensor:
        """Codes [rows]."""
        return draw_categories(self._logits(hidden_BH, told[0]) / temperature, torch.rand(rows, generator=rng), top_p)

    def _logits(self, hidden_BH: torch.Tensor, log_shares_BG: torch.Tensor) -> torch.Tensor:
        assert isinstance(self.codes, DirectCodes)
        scores_BV = self.codes.logits(self.query(hidden_BH))
        return torch.as_tensor(scores_BV + log_shares_BG[:, self.get_buffer("group_V")])
