"""Is it worth having, and is it safe? Uplift, attacks, training and the path of the run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from clickweave.evaluation import charts
from clickweave.evaluation.sections.parts import Figure, Section, picture, section

_MOST_RANKS, _FIRST_RANK = 4, 3  # lines that can still be told apart; their classes begin at n3


def uplift(data: Mapping[str, Any]) -> Section:
    share, metric = data.get("unit", "share") == "share", str(data.get("metric", "gain"))
    what = f"gain in {metric}"
    figures: list[Figure] = []
    if data.get("slices"):
        about = f"{what} by slice of users and items with 95 % intervals"
        drawn = charts.forest(data["slices"], "uplift by slice", about, share=share, x_name=what)
        told = (
            "Good: the whole interval right of the dashed line (filled square). Across it (hollow), nothing is shown."
        )
        figures.append(picture("by slice", drawn, told))
    curves = (
        (
            "ratios",
            "ratio",
            "synthetic rows per real row",
            "Good: the band lies above 0; where it falls again, more rows are too many.",
        ),
        ("sparsity", "share", "share of real users kept", "Good: the band lies above 0 where real users are few."),
    )
    for key, x, x_name, told in curves:
        if data.get(key):
            line = [(row[x], row["gain"]) for row in data[key]]
            band = {"mixed": [(row[x], row["low"], row["high"]) for row in data[key]]}
            about = f"{what} with 95 % interval, by {x_name}"
            of = {"share_x": key == "sparsity", "share_y": share}
            drawn = charts.lines({"mixed": line}, f"uplift by {x}", about, names=(x_name, what), bands=band, **of)
            figures.append(picture(f"by {x_name}", drawn, told))
    intro = "What models gain from the added rows over real rows alone, or real rows repeated; 95 % intervals."
    return section("uplift", "Where it helps", intro, figures)


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
