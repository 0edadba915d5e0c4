"""F5: can a strong classifier tell synthetic histories from real ones? F4's test (detection.py), one row per entity.

Seeded by hash, at most `config.sample_rows` entities a side and the first 400 events of each; T, H and S with equally
many entities. An entity has one row, so folds never split one.
"""

from typing import Any

import pandas as pd

from clickweave.evaluation.columns import Column
from clickweave.evaluation.detection import detection_auc, side_by_side
from clickweave.evaluation.gates import Row, judged, not_applicable

HISTORIES = "classifier on histories"
MIN_USERS = 200  # fewer a side, and the AUC of real against real is noise
_KEYS = ("side", "entity_id", "draw")


def judge_histories(features: pd.DataFrame, max_users: int, seed: int) -> tuple[Row, dict[str, Any]]:
    """F5, and which features give S away. `features` as `histories.user_features` gives them, by draw.

    Cost: 5 trainings of 150 trees a side on at most 1.6 x `max_users` rows.
    """
    frames = {str(side): frame.head(max_users) for side, frame in features.groupby("side")}
    real = [side for side in ("train", "holdout", "synthetic") if side in frames]
    users = min((len(frames[side]) for side in real), default=0)
    if not {"train", "holdout"} <= set(real) or users < MIN_USERS:
        return not_applicable(HISTORIES, f"fewer than {MIN_USERS} users in T, H or S"), {}
    columns = [Column(name, name, "number", "event") for name in features.columns if name not in _KEYS]
    taken = {side: frame.head(users).sort_values("entity_id").reset_index(drop=True) for side, frame in frames.items()}
    if "bootstrap" in taken:  # copies of one entity in two folds would be known by heart, so they count as one
        copies = taken["bootstrap"]
        taken["bootstrap"] = copies.assign(entity_id=copies["entity_id"].str.rsplit("/", n=1).str[0])
    holdout = taken.pop("holdout")
    results = side_by_side(lambda frame: detection_auc(frame, holdout, columns, holdout, seed), taken.values())
    found = dict(zip(taken, results, strict=True))
    aucs = {side: auc for side, (auc, _) in found.items()}
    detail: dict[str, Any] = {"auc": aucs, "users_a_side": users}
    ceiling = aucs["train"]
    if "synthetic" not in aucs:
        return not_applicable(HISTORIES, "no synthetic histories", ceiling=ceiling), detail
    gains = sorted(found["synthetic"][1].items(), key=lambda pair: (-pair[1], pair[0]))[:6]
    row = judged(
        HISTORIES,
        aucs["synthetic"] - ceiling,
        value=aucs["synthetic"],
        ceiling=ceiling,
        controls={side: auc - ceiling for side, auc in aucs.items() if side not in ("train", "synthetic")},
        note=f"judged as difference to the ceiling; tells most by {gains[0][0]}",
    )
    return row, detail | {"tells_by": dict(gains)}
