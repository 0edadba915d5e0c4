"""A smaller bundle for the way to the executors, and what that costs."""

import json

import torch

from clickweave.config.stages import SampleConfig
from clickweave.training.batches import row_groups
from clickweave.training.bundle import MODEL, WEIGHTS, open_bundle, smaller_bundle
from clickweave.training.histories import source_of
from clickweave.training.plan import make_plan

BATCH_ROWS = 512
MOST_BATCHES = 32  # validation rows that are read for the comparison: some 16,000


def for_sampling(
    content: dict[str, bytes], config: SampleConfig, shards: str
) -> tuple[dict[str, bytes], dict[str, float]]:
    """The bundle as the recipe wants it sent; with compression also its bytes and validation loss, before and after.

    Args:
        shards: the folder of token shards whose validation part measures the loss.
    """
    if config.precision == "float32" and config.prune_share == 0:
        return content, {}
    sent = smaller_bundle(content, quantised=config.precision == "int8", prune_share=config.prune_share)
    return sent, {
        "weights_bytes": len(content[WEIGHTS]),
        "weights_bytes_sent": len(sent[WEIGHTS]),
        "validation_loss": validation_loss(content, shards),
        "validation_loss_sent": validation_loss(sent, shards),
    }


@torch.no_grad()
def validation_loss(content: dict[str, bytes], shards: str) -> float:
    """Mean nats per row (for the gan: distance) of at most MOST_BATCHES batches of validation rows."""
    bundle = open_bundle(content)
    groups = row_groups(f"{shards}/part=validation")
    plan = make_plan(groups, groups, ranks=1, batch_size=BATCH_ROWS)
    source = source_of(bundle.codec, plan, 0, 0, json.loads(content[MODEL])["params"])
    rng = torch.Generator().manual_seed(0)
    sums: dict[str, torch.Tensor] = {}
    for _, batch in zip(range(MOST_BATCHES), source.validation(), strict=False):
        for name, part in bundle.generator.measure(batch, rng).items():
            sums[name] = sums.get(name, torch.zeros(())) + part.double()
    return float(bundle.generator.figures(sums)["validation_loss"])
