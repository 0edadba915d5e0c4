"""How far drawn rows are from real ones: total variation of columns and of pairs of columns, in hashed buckets.

Legend: B rows, C columns, K buckets of all columns and pairs.
"""

from collections.abc import Sequence
from itertools import combinations

import torch

BUCKETS = 1024  # per column and per pair at most
MOST_PAIRS = 256  # of columns, evenly chosen
_FACTOR = 2_654_435_761  # Knuth's multiplicative hash, so that neighbouring codes part


def tally(codes_BC: torch.Tensor, num_codes: Sequence[int]) -> torch.Tensor:
    """Rows per bucket, columns first, then pairs [K], float64."""
    parts = [_counted(codes_BC[:, index], number) for index, number in enumerate(num_codes)]
    for first, second in _pairs(len(num_codes)):
        joined_B = codes_BC[:, first] * num_codes[second] + codes_BC[:, second]
        parts.append(_counted(joined_B, num_codes[first] * num_codes[second]))
    return torch.cat(parts)


def distances(counts_2K: torch.Tensor, num_codes: Sequence[int]) -> tuple[float, float]:
    """Mean total variation between the two sides, of columns and of pairs (of columns where there is one alone)."""
    pairs = [num_codes[first] * num_codes[second] for first, second in _pairs(len(num_codes))]
    sizes = [min(number, BUCKETS) for number in (*num_codes, *pairs)]
    varied = []
    for part_2N in counts_2K.split(sizes, dim=1):
        shares_2N = part_2N / part_2N.sum(1, keepdim=True)
        varied.append(float((shares_2N[0] - shares_2N[1]).abs().sum() / 2))
    of_columns, of_pairs = varied[: len(num_codes)], varied[len(num_codes) :]
    mean = sum(of_columns) / len(of_columns)
    return mean, sum(of_pairs) / len(of_pairs) if of_pairs else mean


def _pairs(num_columns: int) -> list[tuple[int, int]]:
    found = list(combinations(range(num_columns), 2))
    return found[:: -(-len(found) // MOST_PAIRS)] if found else []


def _counted(values_B: torch.Tensor, num_values: int) -> torch.Tensor:
    """Rows per bucket; values have buckets of their own where there are enough."""
    places_B = values_B if num_values <= BUCKETS else (values_B * _FACTOR >> 16) % BUCKETS
    return torch.bincount(places_B, minlength=min(num_values, BUCKETS)).double()
