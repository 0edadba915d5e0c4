"""Is it worth having, and is it safe? Uplift, attacks, training and the path of the run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from clickweave.evaluation.page import charts
from clickweave.evaluation.page.sections.parts import Figure, Section, picture, section

_MOST_RANKS, _FIRST_RANK = 4, 3  # lines that can still be told apart; their classes begin at n3


def uplift(data: Mapping[str, Any]) -> Section:
    what = "gain in NDCG@10"
    told = "Good: the whole interval right of the dashed line (filled square). Across it (hollow), nothing is shown."
    figures = []
    for key in ("slices", "operators"):
        if data.get(key):
            about = f"{what} by {key} with 95 % intervals"
            drawn = charts.forest(data[key], f"uplift by {key}", about, share=True, x_name=what)
            figures.append(picture({"slices": "by slice", "operators": "by operator"}[key], drawn, told))
    if data.get("ratios"):
        line, x_name = [(row["ratio"], row["gain"]) for row in data["ratios"]], "synthetic rows per real row"
        band = {"mixed": [(row["ratio"], row["low"], row["high"]) for row in data["ratios"]]}
        about = f"{what} with 95 % interval, by {x_name}"
        drawn = charts.lines({"mixed": line}, "uplift by ratio", about, names=(x_name, what), bands=band, share_y=True)
        told = "Good: the band lies above 0; where it falls again, more rows are too many."
        figures.append(picture(f"by {x_name}", drawn, told))
    if data.get("sparsity"):
        figures.append(_sparsity(data["sparsity"]))
    intro = "What recommenders gain from added rows over real rows alone, or as many of them again; 95 % intervals."
    return section("uplift", "Where it helps", intro, figures, ["real", "mixed"] if data.get("sparsity") else [])


def _sparsity(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """NDCG@10 by share of users, with the added rows and without."""
    arms = {"real": "real", "mixed": "with_extra"}
    known = {name: [(row["share"], row[arm]) for row in rows if row.get(arm)] for name, arm in arms.items()}
    series = {name: [(share, one["ndcg"]) for share, one in found] for name, found in known.items() if found}
    bands = {name: [(share, *one["interval"]) for share, one in found] for name, found in known.items() if found}
    about = "NDCG@10 with 95 % intervals by share of real users kept: " + ", ".join(series)
    names = ("share of real users kept", "NDCG@10")
    drawn = charts.lines(series, "sparsity", about, names=names, bands=bands, share_x=True)
    return picture("by share of real users kept", drawn, "Good: mixed lies above real, above all where users are few.")


def roc(data: Mapping[str, Any]) -> Section:
    curves = {f"n{number}": points for number, points in enumerate(data.values(), 1)}
    about = "True positive rate over false positive rate of each attack: " + ", ".join(data)
    names = ("false positive rate", "true positive rate")
    drawn = charts.lines(curves, "membership attacks", about, diagonal=True, share_x=True, share_y=True, names=names)
    caption = (
        "Good: every curve on the dashed line of chance. One that leaves it, above all at the left, tells who was in."
    )
    figures = [picture("membership attacks", drawn, caption)]
    return section("attacks", "Who was in the data?", "", figures, zip(curves, data, strict=True), wide=True)


def training(history: Sequence[Mapping[str, Any]]) -> Section:
    series = dict(_losses(history))
    about = "Loss per epoch: " + ", ".join(series)
    drawn = charts.lines(series, "training losses", about, names=("epoch", "mean loss per row"))
    caption = (
        "Good: both fall and then level out side by side. A validation line that turns up while the other falls is a "
        "generator that learns rows by heart."
    )
    keys = [(name, f"rank {int(name[1:]) - _FIRST_RANK}" if name.startswith("n") else name) for name in series]
    if len(series) > 2:
        caption += " Ranks should lie on one another: one that strays got other data."
    return section("training", "Training", "", [picture("losses", drawn, caption)], keys, wide=True)


def _losses(history: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Lines by class: the mean over ranks, validation, and where the record tells of several ranks each of them."""
    for name, key in (("train", "train_loss"), ("validation", "validation_loss")):
        points = [(float(epoch["epoch"]), float(epoch[key])) for epoch in history if epoch.get(key) is not None]
        if points:
            yield name, points
    known = [epoch for epoch in history if epoch.get("rank_losses")]
    for rank in range(min((len(epoch["rank_losses"]) for epoch in known), default=0))[:_MOST_RANKS]:
        yield f"n{rank + _FIRST_RANK}", [(float(epoch["epoch"]), float(epoch["rank_losses"][rank])) for epoch in known]


def lineage(stages: Sequence[Mapping[str, Any]]) -> Section:
    about = "; ".join(f"{stage['stage']} {stage.get('seconds') or 0:.1f} s" for stage in stages)
    drawn = charts.path(stages, "path of the run", about) if stages else ""
    caption = "Good: no stage loses rows that nobody asked it to drop; the bars show where the time goes."
    return section(
        "lineage", "How it was made", "", [picture("from the log to the mixed set", drawn, caption)], wide=True
    )


def ratios_tried(report: Mapping[str, Any]) -> Markup | None:
    """The click model's AUC by ratio, and that of the best rival: the same rows, or as many of them again."""
    tried = report.get("stages", {}).get("mix", {}).get("ratio", {}).get("tried", [])
    if len(tried) < 2:
        return None
    series = {
        "mixed": [(row["ratio"], row["auc"]) for row in tried],
        "real": [(row["ratio"], row["auc"] - row["gain"]) for row in tried],
    }
    about = "AUC on reference by synthetic rows per real one: with them, and with real rows alone"
    names = ("synthetic rows per real row", "AUC")
    return Markup(charts.lines(series, "AUC by ratio", about, names=names))
