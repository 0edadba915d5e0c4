"""Seeds by name: what a number stands for decides its value, never the order of draws."""

import hashlib

import torch


def seed_of(seed: int, *names: str | int) -> int:
    """63 bits from the SHA-256 of the run's seed and the names."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def rng_of(seed: int, *names: str | int) -> torch.Generator:
    """A torch generator that starts at `seed_of`."""
    return torch.Generator().manual_seed(seed_of(seed, *names))
