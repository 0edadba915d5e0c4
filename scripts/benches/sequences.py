"""Histories from anywhere, in a log's own columns, held against real ones: what a judge of sequences measures.

Plain pandas over a log of some 10^5 events: users' events in order of time, nothing of the product but its roles.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from scipy.sparse import csr_matrix, diags
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from clickweave.config.log import EventTypes, SchemaConfig

FOLDS, FOLD_SEEDS = 5, 4
HASHES = 24  # buckets of items, and of pairs of items in a row
SESSION_GAP_S = 1800.0
OFTEN = 10  # events of an item from which its share is compared
TOP = 10
SHRINKAGE = 10.0  # of item-kNN's cosine: pairs that few users back count less
RUN = 5
PLAIN = (
    "events",
    "items",
    "most",
    "entropy",
    "same",
    "gap",
    "item ",
    "pair ",
)  # length, gaps, repeats, entropy, n-grams


@dataclass(frozen=True)
class Log:
    """Events by user in order of time: `user`, `item`, `label` (text), `at_s` (seconds since 1970)."""

    events: pd.DataFrame

    def __len__(self) -> int:
        return len(self.events)


def read_log(table: pd.DataFrame, schema: SchemaConfig) -> Log:
    """The rows as events; sessions stand for users where the log has none."""
    assert schema.event_time is not None
    time = table[schema.event_time.column]
    per_s = {"us": 1e6, "ms": 1e3}.get(schema.event_time.unit or "s", 1.0)
    at_s = time.astype("int64") / 1e6 if pd.api.types.is_datetime64_any_dtype(time) else time.astype("float64") / per_s
    label = table[schema.labels.column] if isinstance(schema.labels, EventTypes) else pd.Series("", table.index)
    columns = {"user": table[schema.user or schema.session], "item": table[schema.item], "label": label, "at_s": at_s}
    events = pd.DataFrame({name: column.to_numpy() for name, column in columns.items()})
    return Log(events.sort_values(["user", "at_s"], kind="stable", ignore_index=True))


def judged(train: Log, holdout: Log, synthetic: Log) -> dict[str, float]:
    """All figures by name; a ratio is synthetic over train, both against the holdout.

    `sequence c2st`: AUC above that of real against real by length, gaps, repeats, entropy and hashed items and pairs.
    """
    synthetic = _as_large(synthetic, train)
    shapes = {name: _shapes(log) for name, log in (("synthetic", synthetic), ("train", train), ("holdout", holdout))}
    labels = sorted(train.events["label"].unique())
    told = {name: features(log, labels) for name, log in (("s", synthetic), ("t", train), ("h", holdout))}
    plain = [name for name in told["t"] if name.startswith(PLAIN)]
    real_auc, real_plain = c2st(told["t"], told["h"]), c2st(told["t"][plain], told["h"][plain])
    near = {"synthetic": shared_mass(synthetic, holdout), "train": shared_mass(train, holdout)}
    ndcg = {"synthetic": item_knn_ndcg(synthetic, holdout), "train": item_knn_ndcg(train, holdout)}
    owned = owned_runs(train)
    found = {
        "sequence c2st": c2st(told["s"][plain], told["h"][plain]) - real_plain,
        "sequence c2st, AUC of real": real_plain,
        "with times and labels": c2st(told["s"], told["h"]) - real_auc,
        "TV ratio": near["synthetic"] / near["train"],
        "item-kNN ratio": ndcg["synthetic"] / ndcg["train"],
        "item-kNN, real": ndcg["train"],
        "copied 5-grams": copied_share(synthetic, owned) - copied_share(holdout, owned),
        "repeat rate error": shapes["synthetic"]["repeats"].mean() - shapes["holdout"]["repeats"].mean(),
    }
    for name in ("events", "gap", "session", "hour"):
        real = ks_2samp(shapes["train"][name], shapes["holdout"][name]).statistic
        found[f"KS {name}"] = ks_2samp(shapes["synthetic"][name], shapes["holdout"][name]).statistic - real
    return {name: float(value) for name, value in found.items()}


def features(log: Log, labels: list[str]) -> pd.DataFrame:
    """One row per user: length, gaps, repeats, entropy, sessions, time, labels, items and pairs of items by hash.

    How often the log has an item is left out: real users' own events are in every such count, generated ones' never.

    Args:
        labels: that are counted, the same for all sides.
    """
    events, user = log.events, log.events["user"]
    made = pd.DataFrame({"events": events.groupby("user").size()})
    by_item = events.groupby(["user", "item"]).size()
    made["items"] = by_item.groupby("user").size()
    made["most of an item"] = by_item.groupby("user").max()
    share = by_item / made["events"].reindex(by_item.index.get_level_values("user")).to_numpy()
    made["entropy"] = -(share * np.log(share)).groupby("user").sum()
    gap_s = events.groupby("user")["at_s"].diff()
    log_gap = np.log1p(gap_s)
    for name in ("mean", "std", "min", "max", "median"):
        made[f"gap {name}"] = getattr(log_gap.groupby(user), name)()
    made["span"] = events.groupby("user")["at_s"].agg(lambda at: at.iloc[-1] - at.iloc[0])
    made["first"], made["last"] = events.groupby("user")["at_s"].min(), events.groupby("user")["at_s"].max()
    session = ((gap_s > SESSION_GAP_S) | gap_s.isna()).groupby(user).cumsum()
    sizes = events.groupby([user, session]).size().groupby("user")
    made["sessions"], made["largest session"] = sizes.size(), sizes.max()
    same = (events["item"] == events["item"].shift()) & (user == user.shift())
    made["same item again"] = same.groupby(user).mean()
    hour = (events["at_s"] // 3600 % 24).astype(int)
    for part in range(0, 24, 4):
        made[f"hour {part}"] = hour.between(part, part + 3).groupby(user).mean()
    weekend = (events["at_s"] // 86_400 + 3) % 7 >= 5
    made["weekend"] = weekend.groupby(user).mean()
    for label in labels:
        is_it = events["label"] == label
        made[f"{label}"] = is_it.groupby(user).sum()
        made[f"{label} last"] = is_it.groupby(user).last()
        follows = is_it & same
        made[f"{label} of the item before"] = follows.groupby(user).sum()
    hashed = pd.util.hash_array(events["item"].to_numpy()) % np.uint64(1 << 32)
    before = pd.Series(hashed).shift().to_numpy()
    pair = np.where((user == user.shift()).to_numpy(), hashed * 31 + np.nan_to_num(before).astype(np.uint64), 0)
    for bucket in range(HASHES):
        made[f"item {bucket}"] = pd.Series(hashed % HASHES == bucket).groupby(user).sum()
        made[f"pair {bucket}"] = pd.Series((pair % HASHES == bucket) & (pair > 0)).groupby(user).sum()
    return made.astype("float64")


def c2st(one: pd.DataFrame, other: pd.DataFrame) -> float:
    """Mean AUC of telling users apart by LightGBM (150 trees, 31 leaves, rate 0.08) over folds and fold seeds."""
    rows = np.concatenate([one.to_numpy(), other[one.columns].to_numpy()])
    truth = np.r_[np.zeros(len(one)), np.ones(len(other))]
    aucs = []
    for seed in range(FOLD_SEEDS):
        for inside, outside in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(rows, truth):
            model = LGBMClassifier(n_estimators=150, num_leaves=31, learning_rate=0.08, n_jobs=1, verbose=-1)
            model.fit(rows[inside], truth[inside])
            aucs.append(roc_auc_score(truth[outside], model.predict_proba(rows[outside])[:, 1]))
    return float(np.mean(aucs))


def shared_mass(one: Log, holdout: Log) -> float:
    """1 - total variation of the item shares over items with at least OFTEN events in the holdout."""
    theirs = holdout.events.groupby("item").size()
    often = theirs[theirs >= OFTEN].index
    shares = [log.events.groupby("item").size().reindex(often, fill_value=0) for log in (one, holdout)]
    first, second = (counts / max(counts.sum(), 1) for counts in shares)
    return float(np.minimum(first, second).sum())


def item_knn_ndcg(known: Log, holdout: Log) -> float:
    """NDCG@10 of item-kNN (shrunk cosine over users) learnt on `known`: each holdout user's last fifth of events are
    the targets, what came before is given, and every item that was not given is ranked.
    """
    items = pd.Index(pd.concat([known.events["item"], holdout.events["item"]]).unique())
    seen = _matrix(known.events, items)
    both = (seen.T @ seen).tolil()
    both.setdiag(0)
    shrunk = both.tocsr()
    shrunk.data = shrunk.data**2 / (shrunk.data + SHRINKAGE)
    norms = diags(1 / np.sqrt(np.asarray(seen.sum(0)).ravel().clip(1)))
    similarity = norms @ shrunk @ norms
    gained = []
    for given, targets in _cut(holdout):
        places, wanted = items.get_indexer(given), set(items.get_indexer(targets)) - set(items.get_indexer(given))
        if not wanted:
            continue
        scores = np.asarray(similarity[places].sum(0)).ravel()
        scores[places] = -1
        best = np.argpartition(-scores, TOP)[:TOP]
        best = best[np.argsort(-scores[best], kind="stable")]
        hits = [1 / np.log2(rank + 2) for rank, item in enumerate(best) if item in wanted and scores[item] > 0]
        gained.append(sum(hits) / sum(1 / np.log2(rank + 2) for rank in range(min(TOP, len(wanted)))))
    return float(np.mean(gained))


def owned_runs(log: Log) -> set[int]:
    """Hashes of the runs of RUN items in a row that exactly one user has."""
    runs = _runs(log)
    owners = runs.groupby("run")["user"].nunique()
    return set(owners[owners == 1].index)


def copied_share(log: Log, owned: set[int]) -> float:
    """Share of the runs that are among the owned ones."""
    runs = _runs(log)
    return float(runs["run"].isin(owned).mean()) if len(runs) else 0.0


def _runs(log: Log) -> pd.DataFrame:
    user = log.events["user"]
    hashed = pd.Series(pd.util.hash_array(log.events["item"].to_numpy()))
    run = sum(hashed.shift(step, fill_value=0) * np.uint64(2 * step + 3) for step in range(RUN))
    whole = user == user.shift(RUN - 1)
    return pd.DataFrame({"user": user[whole], "run": run[whole]})


def _matrix(events: pd.DataFrame, items: pd.Index) -> csr_matrix:
    """Users by items, 1 where they met."""
    pairs = events[["user", "item"]].drop_duplicates()
    places = pairs["user"].astype("category").cat.codes.to_numpy(), items.get_indexer(pairs["item"])
    return csr_matrix((np.ones(len(pairs)), places), shape=(pairs["user"].nunique(), len(items)))


def _cut(holdout: Log) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for _, items in holdout.events.groupby("user")["item"]:
        cut = len(items) * 4 // 5
        if 0 < cut < len(items):
            yield items.to_numpy()[:cut], items.to_numpy()[cut:]


def _shapes(log: Log) -> dict[str, np.ndarray]:
    """Samples of the laws that KS distances compare, and which events repeat an item."""
    events = log.events
    gap_s = events.groupby("user")["at_s"].diff()
    session = ((gap_s > SESSION_GAP_S) | gap_s.isna()).cumsum()
    return {
        "events": events.groupby("user").size().to_numpy(),
        "gap": gap_s.dropna().to_numpy(),
        "session": events.groupby(session).size().to_numpy(),
        "hour": (events["at_s"] / 3600 % 24).to_numpy(),
        "repeats": events.duplicated(["user", "item"]).to_numpy(),
    }


def _as_large(synthetic: Log, train: Log) -> Log:
    """As many users as train has, by the order of their hash."""
    users = synthetic.events["user"].unique()
    order = np.argsort(pd.util.hash_array(users.astype(str).astype(object)))
    kept = users[order[: train.events["user"].nunique()]]
    return Log(synthetic.events[synthetic.events["user"].isin(kept)].reset_index(drop=True))
