import pages
import pytest

from clickweave.config.load import check_recipe
from clickweave.evaluation.card import data_card
from clickweave.jobkit.cli import VARIANTS

REPORT = {"verdict": {"sentence": "Fine."}, "rows": []}


HEADINGS = (  # of Gebru et al. 2021 and Pushkarna et al. 2022
    "Motivation", "Source and terms", "Composition", "Collection and processing", "How it was judged", "Limits",
    "Intended use", "Out-of-scope use", "Distribution and maintenance",
)  # fmt: skip


def card(generator, report=REPORT, **told):
    times = {"event_time": {"column": "t", "unit": "s"}} if generator == "journey" else {}
    raw = {"dataset": "d", "source": {"events": "x"}, "schema": {"user": "u", "item": "i"} | times}
    recipe = check_recipe(raw | {"train": {"generator": generator}}, VARIANTS)
    return " ".join(data_card(recipe, {"generated": 7}, report, **told).split())


@pytest.mark.parametrize("generator", ["vae", "journey"])
def test_only_a_mix_of_generated_rows_alone_is_called_shareable(generator):
    plain, alone = card(generator), card(generator, shareable=True)
    assert "shareable" not in plain
    assert "this mix also holds real rows. Neither is anonymous" in plain
    assert "This mix is shareable: it was checked to hold generated rows alone" in alone
    assert "also holds real rows" not in alone
    assert ("re-enact real users" in alone) == (generator == "vae")


def test_items_that_do_not_exist_are_told():
    assert "do not exist" not in card("vae")
    assert "7 items do not exist: they are what-if items of sample.targets" in card("vae", what_if=7)


def test_card_has_the_headings_of_the_field_in_order():
    text = card("vae")
    places = [text.index(f"## {heading}") for heading in HEADINGS]
    assert places == sorted(places)


def test_limits_name_what_failed_and_what_could_not_be_said():
    text = card("vae", pages.full_report())
    limits = text[text.index("## Limits") : text.index("## Intended use")]
    assert "F7 position curve misses its gate." in limits
    assert "P1 copied 5-grams: not applicable: the log has no sequence of items in time by one user." in limits
    assert "column shapes" not in limits


def test_card_tells_which_gates_a_recipe_loosened():
    loosened = "The recipe loosened these gates: F1 column shapes, P1 copied rows"
    assert loosened in card("vae", pages.full_report(pages.MOVED))
    assert "loosened" not in card("vae", pages.full_report())


def test_card_tells_source_counts_and_terms():
    text = card("vae")
    assert "Events: `x`" in text
    assert "| generated | 7 |" in text
    assert "Terms: not stated in the recipe" in text
