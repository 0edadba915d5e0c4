"""Small seeded logs of several shapes with their recipes, and looks into a workspace."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import yaml

FIRST_S, DAYS = 1_700_000_000, 20
NUM_ROWS, NUM_USERS, NUM_ITEMS = 3000, 110, 50
COMMON = {
    "train": {"generator": "vae", "epochs": 1, "launcher": "in_process", "batch_size": 256},
    "sample": {"block_rows": 256},
    # a model of one epoch may do harm; these tests are about the path
    "evaluate": {
        "utility": "off",
        "utility_seeds": 1,
        "sample_rows": 400,
        "gates": dict.fromkeys(("U3", "P1", "P2", "P3", "P4"), "grade"),
    },
    "spark": {"master": "local[2]", "shuffle_partitions": 2, "driver_memory": "1g"},
}


@dataclass(frozen=True)
class Run:
    """A finished run: its recipe, its workspace and what it said."""

    recipe: Path
    place: Path
    out: str = ""
    err: str = ""

    def manifest(self, stage):
        return json.loads((self.place / stage / "manifest.json").read_text())

    def manifests(self):
        return {path.parent.name: json.loads(path.read_text()) for path in sorted(self.place.glob("*/manifest.json"))}

    def versions(self):
        return [json.loads(path.read_text()) for path in sorted((self.place / "published/versions").glob("*.json"))]

    def events(self):
        return [json.loads(line) for line in (self.place / "log.jsonl").read_text().splitlines()]

    def output(self, stage, name):
        return self.place / self.manifest(stage)["outputs"][name]["path"]

    def table(self, stage, name):
        return pq.read_table(self.output(stage, name))


def write_recipe(folder, recipe, name="recipe.yaml", **changes):
    """Writes the recipe with sections changed or added."""
    path = Path(folder) / name
    path.write_text(yaml.safe_dump(merged(merged(COMMON, recipe), changes)))
    return path


def merged(under, over):
    both = {key: merged(under[key], over[key]) for key in under if isinstance(over.get(key), dict) and key != "gates"}
    return {**under, **over, **{key: value for key, value in both.items() if isinstance(under[key], dict)}}


def clicks(seed=0, num=NUM_ROWS, users=NUM_USERS, items=NUM_ITEMS):
    """User, item and second of `num` events; popular items, users with tastes."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, users, num)
    popularity = 1.0 / np.arange(1, items + 1) ** 0.7
    item = rng.choice(items, num, p=popularity / popularity.sum())
    # visits of a user fall on few days, so that sessions have more than one event
    second = FIRST_S + (user * 7 + rng.integers(0, 8, num) * 3) % DAYS * 86_400 + rng.integers(0, 2400, num)
    return rng, user + 1, item + 1, second


def movielens(folder):
    """Ratings with a threshold label and side tables for films and users."""
    rng, user, item, second = clicks()
    rating = np.clip(np.round(3.2 + (item % 3 - 1) * 0.8 + rng.normal(size=len(user))), 1, 5).astype("int64")
    save(folder, "events", {"user_id": user, "item_id": item, "rating": rating, "timestamp": second})
    films = np.arange(1, NUM_ITEMS + 1)
    save(folder, "items", {"item_id": films, "genre": [f"g{i % 4}" for i in films], "year": 1950.0 + films})
    people = np.arange(1, NUM_USERS + 1)
    save(folder, "users", {"user_id": people, "age": 18 + people % 50, "job": [f"j{i % 3}" for i in people]})
    return {
        "dataset": "toy",
        "source": {name: str(Path(folder) / f"{name}.parquet") for name in ("events", "items", "users")},
        "schema": {
            "event_time": {"column": "timestamp", "unit": "s"},
            "user": "user_id",
            "item": "item_id",
            "labels": {"click": {"column": "rating", "at_least": 4}},
            "item_features": {"genre": "categorical", "year": "numeric"},
            "user_features": {"age": "numeric", "job": "categorical"},
        },
        "augment": {
            "operators": [
                {"name": "crop", "share": 0.3, "keep_share": 0.7},
                {"name": "negatives", "ratio": 0.2, "alpha": 0.75},
            ]
        },
    }


def flattened(folder):
    """An event-type log that carries item and user attributes in each row, with a column without a role."""
    rng, user, item, second = clicks(1)
    kind = rng.choice(["view", "cart", "buy"], len(user), p=[0.7, 0.2, 0.1])
    columns = {"who": pa.array([f"u{u}" for u in user]), "brand": [f"b{i % 7}" for i in item], "what": item}
    columns |= {"kind": kind, "city": [f"c{u % 5}" for u in user], "price": item * 1.5, "note": ["x"] * len(user)}
    save(folder, "events", columns | {"at": pa.array(second * 1000, pa.timestamp("ms"))})
    return {
        "dataset": "flat",
        "source": {"events": str(Path(folder) / "events.parquet")},
        "schema": {
            "event_time": {"column": "at"},
            "user": "who",
            "item": "what",
            "labels": {"column": "kind", "order": ["view", "cart", "buy"]},
            "item_features": {"brand": "categorical", "price": "numeric"},
            "user_features": {"city": "categorical"},
        },
        "train": {"generator": "auto"},
    }


def sessions_csv(folder):
    """Clicks of sessions without users, as CSV; no labels, and negatives are made."""
    _, session, item, second = clicks(2)
    table = pa.table({"session": [f"s{s}" for s in session], "sku": [f"i{i}" for i in item], "ts": second})
    pyarrow.csv.write_csv(table, Path(folder) / "events.csv")
    return {
        "dataset": "sessions",
        "source": {"events": str(Path(folder) / "events.csv")},
        "schema": {"event_time": {"column": "ts", "unit": "s"}, "session": "session", "item": "sku"},
        "augment": {"operators": [{"name": "negatives", "ratio": 0.3}]},
        "train": {"generator": "gan"},
    }


def queries_json(folder):
    """Queries of users without items, as JSON lines."""
    _, user, item, second = clicks(3)
    rows = zip(user.tolist(), item.tolist(), second.tolist(), strict=True)
    lines = [json.dumps({"uid": f"u{u}", "q": f"red shoe {i}", "ms": s * 1000}) for u, i, s in rows]
    (Path(folder) / "events.json").write_text("\n".join(lines) + "\n")
    return {
        "dataset": "queries",
        "source": {"events": str(Path(folder) / "events.json")},
        "schema": {"event_time": {"column": "ms", "unit": "ms"}, "user": "uid", "query": "q"},
        "train": {"generator": "auto"},
    }


def impressions(folder):
    """Rows that are their own entity, with position and propensity; many rows are equal."""
    rng, _, item, second = clicks(4)
    position = rng.integers(1, 4, len(item))
    click = (rng.random(len(item)) < 0.3 / position).astype("int64")
    columns = {"item_id": item % 10, "position": position, "p": 1.0 / (position + 1), "click": click}
    save(folder, "events", columns | {"t": second // 86_400 * 86_400, "device": rng.choice(["app", "web"], len(item))})
    return {
        "dataset": "impressions",
        "source": {"events": str(Path(folder) / "events.parquet")},
        "schema": {
            "event_time": {"column": "t", "unit": "s"},
            "item": "item_id",
            "position": "position",
            "propensity": "p",
            "labels": {"click": "click"},
            "features": {"device": "categorical"},
        },
        "ingest": {"duplicates": "keep"},
        "train": {"generator": "auto"},
    }


def kinds(folder):
    """Queries in words and in Chinese of which few are frequent, when they were asked, and a vector of each event."""
    rng, user, item, second = clicks(5)
    words = np.array(["red", "blue", "shoe", "bag", "new", "汽车", "图片"])
    drawn = [" ".join(words[rng.integers(0, len(words), 1 + n % 3)]) for n in range(len(user))]
    taste = rng.integers(0, 4, (len(user), 1)) + 0.1 * rng.normal(size=(len(user), 3))
    columns = {
        "uid": pa.array([f"u{u}" for u in user]),
        "iid": item,
        "q": [f"{q} {u}" for q, u in zip(drawn, user, strict=True)],
    }
    columns["q"] = [text if n % 2 else "red shoe" for n, text in enumerate(columns["q"])]
    columns |= {"asked": second - rng.integers(1, 60, len(user)), "clicked": second}
    columns |= {"taste": pa.array(taste.astype("float32").tolist(), pa.list_(pa.float32()))}
    save(folder, "events", columns)
    return {
        "dataset": "kinds",
        "source": {"events": str(Path(folder) / "events.parquet")},
        "schema": {
            "event_time": {"column": "clicked", "unit": "s"},
            "user": "uid",
            "item": "iid",
            "query": "q",
            "features": {"asked": {"kind": "time", "unit": "s"}, "taste": "vector"},
        },
        "train": {"generator": "auto"},
    }


LOGS = {
    "kinds": kinds,
    "flattened": flattened,
    "sessions_csv": sessions_csv,
    "queries_json": queries_json,
    "impressions": impressions,
}


def save(folder, name, columns):
    pq.write_table(pa.table(columns), Path(folder) / f"{name}.parquet")


def sorted_rows(table):
    """The table in the order of its content, so that equal sets of rows are equal tables."""
    places = sorted(range(table.num_rows), key=table.to_pandas().astype(str).agg("|".join, axis=1).tolist().__getitem__)
    return table.take(pa.array(places, pa.int64()))
