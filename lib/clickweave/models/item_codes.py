"""Very many codes by a few digits: cost per row grows with the digits, not with the values.

A value is a path of digits (residual k-means, the codec's tables), then a place in the path's leaf. The digits come
from softmaxes of 256; a large leaf is cut into pages of equal cost, drawn by their counts; inside a page the values
compete by their counts and by how their vectors fit the row. Every path that can be drawn ends at a real value.

Legend: B rows, E numbers per code, V codes, D digits, L values of a page, X numbers of a vector.
"""

import math
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from clickweave.codec.spec import DIGIT_VALUES, ColumnSpec
from clickweave.errors import ContractError
from clickweave.models.layers import code_counts, draw_categories, modules, tempered

PAGE = 64  # values that compete by context at the last step
WIDTHS = (1, 4, 16, PAGE)  # pages are padded to the next of these; one value is drawn without scores
PAGES = 1 << 14  # values that are scored at once when drawing
OWN = 2048  # most frequent codes that learn numbers of their own beside digits and vector
COLD_COUNT = 0.25  # rows that a value without any counts as


class ItemCodes(nn.Module):
    """The same calls as `heads.DirectCodes`, for a column with digits."""

    def __init__(self, column: ColumnSpec, tables: Mapping[str, np.ndarray], dim: int) -> None:
        super().__init__()
        digits_VD = _table(tables, f"{column.name}.digits", column.num_codes).astype(np.int64)
        vectors_VX = _table(tables, f"{column.name}.vectors", column.num_codes)
        counts_V = code_counts(column).numpy()
        mass_V = np.where(counts_V > 0, counts_V, COLD_COUNT)
        mass_V[:2] = counts_V[:2]  # null and rare are never drawn where the log has none
        self._index(digits_VD, mass_V)
        self.register_buffer("digits_VD", torch.from_numpy(digits_VD.astype(np.uint8)), persistent=False)
        self.register_buffer("vectors_VX", torch.from_numpy(vectors_VX.astype(np.float16)), persistent=False)
        num_digits, vector_dim = digits_VD.shape[1], vectors_VX.shape[1]
        self.key_dim = vector_dim
        self.tables = modules(nn.Embedding(DIGIT_VALUES, dim) for _ in range(num_digits))
        self.scores = modules(nn.Linear(dim, DIGIT_VALUES) for _ in range(num_digits))
        self.mixers = modules(nn.Linear(dim, dim) for _ in range(num_digits))
        self.own = nn.Embedding(min(OWN, column.num_codes) + 1, dim)
        self.from_vector = nn.Linear(vector_dim, dim, bias=False)
        self.to_vector = nn.Linear(dim, vector_dim)
        self._start(dim)

    def _start(self, dim: int) -> None:
        """Draws begin at the log's own frequencies."""
        for table in self.tables:
            nn.init.normal_(table.weight, std=1 / math.sqrt(dim * len(self.tables)))
        for score in self.scores:
            nn.init.zeros_(score.weight)
            nn.init.zeros_(score.bias)
        nn.init.zeros_(self.own.weight)
        nn.init.normal_(self.to_vector.weight, std=1e-2)
        nn.init.zeros_(self.to_vector.bias)

    def _index(self, digits_VD: np.ndarray, mass_V: np.ndarray) -> None:
        """Log shares of each next digit after each path of digits, and the pages of each leaf.

        Values are put in the order of their path, the frequent first; a page is a run of at most PAGE of them.
        """
        ranked_V = np.lexsort((np.arange(len(mass_V)), -mass_V, *digits_VD.T[::-1]))
        path_V = np.zeros(len(mass_V), np.int64)  # number of each value's path so far
        for level, digit_V in enumerate(digits_VD.T):
            num_paths = int(path_V.max()) + 1
            shares = np.zeros((num_paths, DIGIT_VALUES))
            np.add.at(shares, (path_V, digit_V), mass_V)
            with np.errstate(divide="ignore"):
                logs = np.log(shares / np.maximum(shares.sum(1, keepdims=True), 1e-300)).clip(-60000, 0)
            self.register_buffer(f"prior_{level}", torch.from_numpy(logs.astype(np.float16)), persistent=False)
            used, path_V = np.unique(path_V * DIGIT_VALUES + digit_V, return_inverse=True)
            next_path = np.full(num_paths * DIGIT_VALUES, -1, np.int32)
            next_path[used] = np.arange(len(used))
            self.register_buffer(f"next_{level}", torch.from_numpy(next_path), persistent=False)
        leaf_R = path_V[ranked_V]
        first_of_leaf = np.searchsorted(leaf_R, np.arange(leaf_R[-1] + 2))
        inside_R = np.arange(len(leaf_R)) - first_of_leaf[leaf_R]
        page_of_leaf = np.concatenate([[0], np.cumsum(-(-np.diff(first_of_leaf) // PAGE))])
        page_R = page_of_leaf[leaf_R] + inside_R // PAGE
        page_mass = np.bincount(page_R, mass_V[ranked_V])
        page_V = np.empty_like(page_R)
        page_V[ranked_V] = page_R
        starts = np.searchsorted(page_R, np.arange(page_R[-1] + 2))
        with np.errstate(divide="ignore"):
            log_mass_V = np.log(mass_V)
            leaf_mass = np.bincount(leaf_R, mass_V[ranked_V])
            leaf_of_page = np.repeat(np.arange(len(leaf_mass)), np.diff(page_of_leaf))
            page_log = np.log(page_mass / np.maximum(leaf_mass[leaf_of_page], 1e-300))
        for name, array in (
            ("ranked_R", ranked_V.astype(np.int32)),
            ("page_starts", starts.astype(np.int32)),
            ("page_V", page_V.astype(np.int32)),
            ("page_of_leaf", page_of_leaf.astype(np.int32)),
            ("page_log", page_log.astype(np.float32)),
            ("page_cumulative", np.concatenate([[0.0], np.cumsum(page_mass)])),
            ("log_mass_V", log_mass_V.astype(np.float32)),
        ):
            self.register_buffer(name, torch.from_numpy(array), persistent=False)

    def embed(self, codes_B: torch.Tensor) -> torch.Tensor:
        """Digits, vector and, for frequent values, numbers of their own: codes of any shape, E numbers for each."""
        digits_BD = self.digits(codes_B)
        embedded_BE = self.from_vector(self.keys(codes_B)) + self._own(codes_B)
        for level, table in enumerate(self.tables):
            embedded_BE = embedded_BE + table(digits_BD[..., level])
        return torch.as_tensor(embedded_BE)

    def keys(self, codes: torch.Tensor) -> torch.Tensor:
        """Fixed numbers by which candidates are told apart: codes of any shape, `key_dim` numbers for each."""
        return self.get_buffer("vectors_VX").index_select(0, codes.flatten()).float().view(*codes.shape, self.key_dim)

    def nll(self, query_BE: torch.Tensor, codes_B: torch.Tensor) -> torch.Tensor:
        """Mean over rows of -log p(code), in nats."""
        return self.nll_of_rows(query_BE, codes_B).mean()

    def nll_of_rows(self, query_BE: torch.Tensor, codes_B: torch.Tensor) -> torch.Tensor:
        """-log p(code) of each row [B], in nats: digits, page, place in the page."""
        digits_BD = self.digits(codes_B)
        path_B = torch.zeros_like(codes_B)
        nats_B = torch.zeros(len(codes_B))
        for level in range(len(self.tables)):
            logits_BD = self.digit_logits(level, query_BE, path_B)
            nats_B = nats_B + F.cross_entropy(logits_BD, digits_BD[:, level], reduction="none")
            query_BE = query_BE + self.tables[level](digits_BD[:, level])
            path_B = self.next_path(level, path_B, digits_BD[:, level])
        page_B = self.get_buffer("page_V")[codes_B].long()
        scores_BL, members_BL = self._page_scores(query_BE, page_B)
        hit_B = (members_BL == codes_B.unsqueeze(1)).int().argmax(1)
        return nats_B - self.get_buffer("page_log")[page_B] + F.cross_entropy(scores_BL, hit_B, reduction="none")

    def draw(
        self, query_BE: torch.Tensor, rows: int, rng: torch.Generator, temperature: float, top_p: float
    ) -> torch.Tensor:
        """`rows` codes; a query of one row stands for all of them."""
        path_B = torch.zeros(len(query_BE), dtype=torch.long)
        for level in range(len(self.tables)):
            logits_BD = tempered(self.digit_logits(level, query_BE, path_B), temperature)
            digit_B = draw_categories(logits_BD, torch.rand(rows, generator=rng), top_p)
            query_BE = query_BE + self.tables[level](digit_B)
            path_B = self.next_path(level, path_B, digit_B)
        return self.draw_value(query_BE, path_B, rng, temperature, top_p)

    def draw_value(
        self, query_BE: torch.Tensor, path_B: torch.Tensor, rng: torch.Generator, temperature: float, top_p: float
    ) -> torch.Tensor:
        """One value from the leaf of each path [B]; pages are scored with others of about their size."""
        page_B = self._draw_page(path_B, torch.rand(len(path_B), generator=rng))
        uniforms_B = torch.rand(len(path_B), generator=rng)
        starts = self.get_buffer("page_starts")
        start_B = starts.index_select(0, page_B).long()
        length_B = starts.index_select(0, page_B + 1) - start_B
        place_B = torch.zeros_like(path_B)
        for shorter, width in pairwise(WIDTHS):
            wanted = ((length_B > shorter) & (length_B <= width)).nonzero().squeeze(1)
            for some in wanted.split(PAGES // width):
                scores_BL, _ = self._page_scores(query_BE.index_select(0, some), page_B.index_select(0, some), width)
                place_B[some] = draw_categories(tempered(scores_BL, temperature), uniforms_B[some], top_p)
        return self.get_buffer("ranked_R").index_select(0, start_B + place_B).long()

    def digits(self, codes_B: torch.Tensor) -> torch.Tensor:
        """The path of each code [B, D]."""
        return self.get_buffer("digits_VD")[codes_B].long()

    def _own(self, codes_B: torch.Tensor) -> torch.Tensor:
        """Numbers of their own of frequent codes; the last row of the table, for all others, stays at zero."""
        last = self.own.num_embeddings - 1
        own_BE: torch.Tensor = self.own(codes_B.clamp_max(last)) * (codes_B < last).unsqueeze(-1)
        return own_BE

    def digit_logits(self, level: int, query_BE: torch.Tensor, path_B: torch.Tensor) -> torch.Tensor:
        """Scores of the next digit after each path [B, 256]."""
        scores_BD = self.scores[level](F.silu(self.mixers[level](query_BE)))
        return torch.as_tensor(scores_BD + self.get_buffer(f"prior_{level}").index_select(0, path_B))

    def next_path(self, level: int, path_B: torch.Tensor, digit_B: torch.Tensor) -> torch.Tensor:
        """Numbers of the paths that are one digit longer [B]."""
        return self.get_buffer(f"next_{level}").index_select(0, path_B * DIGIT_VALUES + digit_B).long()

    def _draw_page(self, leaf_B: torch.Tensor, uniforms_B: torch.Tensor) -> torch.Tensor:
        cumulative, pages = self.get_buffer("page_cumulative"), self.get_buffer("page_of_leaf")
        first_B, after_B = pages.index_select(0, leaf_B).long(), pages.index_select(0, leaf_B + 1).long()
        low_B, high_B = cumulative[first_B], cumulative[after_B]
        page_B = torch.searchsorted(cumulative, low_B + uniforms_B.double() * (high_B - low_B), right=True) - 1
        return torch.maximum(torch.minimum(page_B, after_B - 1), first_B)

    def _page_scores(
        self, query_BE: torch.Tensor, page_B: torch.Tensor, width: int = PAGE
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores of the first `width` values of a page and their codes, both [B, L]; -inf beyond the page's end."""
        starts, ranked = self.get_buffer("page_starts"), self.get_buffer("ranked_R")
        places_BL = starts.index_select(0, page_B).long().unsqueeze(1) + torch.arange(width)
        inside_BL = places_BL < starts.index_select(0, page_B + 1).unsqueeze(1)
        places_R = places_BL.flatten().clamp_max(len(ranked) - 1)
        members_BL = ranked.index_select(0, places_R).view(places_BL.shape).long()
        fit_BL = _products(self.to_vector(query_BE), self.keys(members_BL))
        own_BL = _products(query_BE, self._own(members_BL))
        log_mass_BL = self.get_buffer("log_mass_V").index_select(0, members_BL.flatten()).view(members_BL.shape)
        scores_BL = fit_BL + own_BL + log_mass_BL
        return scores_BL.masked_fill(~inside_BL, -math.inf), members_BL


def _products(left_BE: torch.Tensor, right_BLE: torch.Tensor) -> torch.Tensor:
    """Each row's numbers times those of each of its candidates [B, L]; far faster than bmm of the transposed."""
    return torch.matmul(left_BE.unsqueeze(1), right_BLE.transpose(1, 2)).squeeze(1)


def _table(tables: Mapping[str, np.ndarray], name: str, num_codes: int) -> np.ndarray:
    if name not in tables or len(tables[name]) != num_codes:
        raise ContractError(f"codec: table {name!r} is missing or has other than {num_codes} rows; encode again")
    return tables[name]
