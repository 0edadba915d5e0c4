import pytest

from clickweave.config.load import check_recipe
from clickweave.evaluation.card import data_card
from clickweave.jobkit.cli import VARIANTS

REPORT = {"verdict": {"sentence": "Fine."}, "rows": []}


def card(generator, **told):
    times = {"event_time": {"column": "t", "unit": "s"}} if generator == "journey" else {}
    raw = {"dataset": "d", "source": {"events": "x"}, "schema": {"user": "u", "item": "i"} | times}
    recipe = check_recipe(raw | {"train": {"generator": generator}}, VARIANTS)
    return " ".join(data_card(recipe, {"generated": 7}, REPORT, **told).split())


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
