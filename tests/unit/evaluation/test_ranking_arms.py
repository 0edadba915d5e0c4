import pytest

from clickweave.evaluation.ranking.arms import Part, RowCounts, plan_arms, reachable

COUNTS = RowCounts(train=1000, synthetic=1000, extra=400, ops={"crop": 100, "insert": 50})


def _plans(counts=COUNTS, full=True):
    return {plan.name: plan for plan in plan_arms(counts, full=full)}


def test_quick_has_five_arms():
    assert list(_plans(full=False)) == ["real", "synthetic", "independent", "mixed", "repeated"]
    nothing = RowCounts(train=10, synthetic=0, extra=0, ops={})
    assert list(_plans(nothing, full=True))[:1] == ["real"]
    assert list(_plans(nothing, full=False)) == ["real"]


def test_arms_with_a_rival_have_as_many_rows_as_it():
    plans = _plans()
    rivals = [plan for plan in plans.values() if plan.rival]
    assert {plan.name for plan in rivals} >= {"mixed", "real + crop", "real + insert", "real + 0.1 synthetic"}
    for plan in rivals:
        assert plans[plan.rival].rows == plan.rows
        assert plans[plan.rival].parts == (Part("train"), Part("repeated", pytest.approx(plan.ratio)))


def test_ratios_reach_as_far_as_there_are_rows():
    assert reachable(COUNTS) == [0.1, 0.25, 0.5, 1.0]
    assert reachable(RowCounts(1000, 240, 0, {})) == [0.1, 0.25]
    assert reachable(RowCounts(1000, 0, 0, {})) == []


def test_sides_of_the_comparison_with_synthetic_rows_alone_have_equal_rows():
    many = _plans(RowCounts(1000, 4000, 0, {}), full=False)
    assert many["synthetic"].parts == (Part("synthetic", 0.25),)
    assert "thinned" not in many
    few = _plans(RowCounts(1000, 300, 0, {}), full=False)
    assert few["thinned"].parts == (Part("train", 0.3),)
    assert few["thinned"].rows == few["synthetic"].rows == few["independent"].rows == 300
    assert few["independent"].parts == (Part("independent", 0.3),)
    assert many["independent"].parts == (Part("independent"),)


def test_sparsity_arms_stand_with_and_without_the_extra_rows():
    plans = _plans()
    for share in ("0.05", "0.1", "0.25", "0.5"):
        assert plans[f"{share} of real + extra"].parts == (Part("train", float(share)), Part("extra"))
        assert plans[f"{share} of real"].parts == (Part("train", float(share)),)
