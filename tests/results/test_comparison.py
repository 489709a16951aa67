"""Is the difference real: verdicts on made rows, and refusals where protocols differ."""

import numpy as np
import pytest
from helpers.cells import ALIKE, BASE, BETTER, THREE, made_cell
from helpers.commands import run_without_torch
from helpers.pairs import paired
from scipy import stats

from fewshot.errors import UserError
from fewshot.reporting.comparison import render
from fewshot.results.comparison import compare
from fewshot.results.files import write_cell
from fewshot.results.rivals import SIGNIFICANCE


def test_a_pair_is_compared_over_the_same_episodes():
    (found,) = compare(THREE, "high", "low")
    assert (found.column, found.a, found.b) == ("made 5w5s", "high/conv4", "low/conv4")
    assert found.over_episodes == paired(BETTER, BASE)
    assert found.holm_p == found.over_episodes.permutation_p  # one test: nothing to correct
    assert found.over_episodes.mean == pytest.approx(np.mean(BETTER - BASE))
    ends = stats.ttest_rel(BETTER, BASE).confidence_interval()
    assert found.over_episodes.ci95 == pytest.approx((ends.high - ends.low) / 2)
    assert found.verdict == "high/conv4 is better on these episodes"
    (reverse,) = compare(THREE, "low", "high")
    assert reverse.over_episodes.mean == -found.over_episodes.mean
    assert reverse.verdict == found.verdict


def test_no_difference_is_found_where_there_is_none():
    (found,) = compare(THREE, "alike", "low")
    assert found.verdict == "no difference found"


def test_every_pair_gets_a_verdict_and_holms_correction():
    found = compare(THREE)
    assert len(found) == 3
    verdicts = {frozenset((c.a, c.b)): c.verdict for c in found}
    assert verdicts == {
        frozenset(("high/conv4", "low/conv4")): "high/conv4 is better on these episodes",
        frozenset(("high/conv4", "alike/conv4")): "high/conv4 is better on these episodes",
        frozenset(("alike/conv4", "low/conv4")): "no difference found",
    }
    raw = sorted(c.over_episodes.permutation_p for c in found)
    assert sorted(c.holm_p for c in found) == pytest.approx(
        [3 * raw[0], 3 * raw[0] if 2 * raw[1] < 3 * raw[0] else 2 * raw[1], raw[2]]
    )


def test_the_smallest_p_of_a_large_family_survives_its_correction():
    """A p of random flips is at least 1 / (flips + 1): many tests need many flips."""
    cells = [made_cell(f"l{i:02}", *(BASE + 0.1 * i)) for i in range(25)]  # 300 pairs
    assert all(c.verdict.endswith("is better on these episodes") for c in compare(cells))


def test_both_shots_are_compared_and_a_column_that_one_lacks_is_not():
    cells = [*THREE, made_cell("high", *BETTER, n_shot=1), made_cell("low", *BASE, n_shot=1)]
    assert [c.column for c in compare(cells, "high", "low")] == ["made 5w1s", "made 5w5s"]
    assert [c.column for c in compare(cells, "high", "alike")] == ["made 5w5s"]


UNLIKE = {
    "batch_norm": "query",
    "views": 2,
    "transductive": True,
    "support_copies": 5,
    "n_query": 5,
    "training_classes": "train+val",
    "selection": "last",
    "pretraining": "ImageNet",
    "precision": "bf16",
    "images": 12345 * 4 + 1,
}


@pytest.mark.parametrize("field", UNLIKE)
def test_unlike_protocols_are_refused_field_by_field(field):
    cells = [made_cell("low", *BASE), made_cell("high", *BETTER, **{field: UNLIKE[field]})]
    (found,) = compare(cells, "high", "low")
    assert len(found.refused) == 1
    assert found.over_episodes is None
    assert found.verdict.startswith("refused: ")
    (mixed,) = compare(cells, "high", "low", allow_mixed=True)
    assert mixed.mixed == found.refused
    assert mixed.verdict == "high/conv4 is better on these episodes"
    assert "mixed: " in render([mixed], "text")


def test_four_times_the_images_may_still_be_compared():
    cells = [made_cell("low", *BASE), made_cell("high", *BETTER, images=4 * 12345)]
    assert compare(cells, "high", "low")[0].refused == ()


def test_a_refusal_does_not_count_as_a_test():
    cells = [*THREE[:2], made_cell("other", *ALIKE, n_query=5)]
    found = compare(cells)
    assert [bool(c.refused) for c in found].count(True) == 2
    (tested,) = [c for c in found if not c.refused]
    assert tested.holm_p == tested.over_episodes.permutation_p


@pytest.mark.parametrize("unlike", [{"fingerprint": "x"}, {"digest": "x"}])
def test_other_images_or_episodes_are_never_compared(unlike):
    cells = [made_cell("low", *BASE), made_cell("high", *BETTER, **unlike)]
    with pytest.raises(UserError, match="different"):
        compare(cells, "high", "low", allow_mixed=True)


def test_the_floor_is_held_against_any_training_but_not_other_queries():
    floor = made_cell("pixels", *BASE, trained=False, training_classes=None, selection=None)
    high = made_cell("high", *BETTER, batch_norm="support")
    assert compare([floor, high])[0].verdict == "high/conv4 is better on these episodes"
    assert compare([floor, made_cell("high", *BETTER, n_query=5)])[0].refused


def test_rows_are_named_by_cell_learner_or_as_shown():
    cells = [
        *THREE,
        made_cell("low", *BASE, c=2.0, label="c = 2"),
        made_cell("low", *BASE, backbone="resnet12"),
    ]
    ids = {c.run.config.label: c.run.cell for c in cells if c.run.cell.startswith("made-conv4-low")}
    for name in (ids["c = 2"], "low (c = 2)", "low (c = 2)/conv4"):
        assert compare(cells, name, "high")[0].a == "low (c = 2)/conv4"
    with pytest.raises(UserError, match="several rows: 'low/conv4', 'low/resnet12'"):
        compare(cells, "low", "high")
    with pytest.raises(UserError, match="no row here: .*'high/conv4'"):
        compare(cells, "hihg", "low/conv4")
    with pytest.raises(UserError, match="same row"):
        compare(cells, "high", "high/conv4")


def test_the_plain_row_of_a_learner_is_meant_by_its_name():
    cells = [*THREE, made_cell("low", *BASE, c=2.0, label="c = 2")]
    assert compare(cells, "low", "high")[0].a == "low/conv4"


def test_rows_that_share_no_column_cannot_be_compared():
    with pytest.raises(UserError, match="nothing to compare"):
        compare([made_cell("a"), made_cell("b", n_shot=1)])


def test_seeds_and_data_have_intervals_of_their_own():
    shift = (0.02, -0.01, 0.0)
    cells = [
        made_cell(name, *(values + d), seed=s, disjoint=(mean, mean + 0.2))
        for name, values, mean in (("high", BETTER, 0.5), ("low", BASE, 0.4))
        for s, d in enumerate(shift)
    ]
    (found,) = compare(cells, "high", "low")
    seeds = [np.mean(BETTER) + np.array(shift), np.mean(BASE) + np.array(shift)]
    ends = stats.ttest_ind(*seeds, equal_var=False).confidence_interval()
    assert found.over_seeds.ci95 == pytest.approx((ends.high - ends.low) / 2)
    assert found.over_data.mean == pytest.approx(0.1)
    report = render([found], "text")
    assert "over seeds" in report
    assert "+10.00 ± 0.00" in report


@pytest.mark.parametrize(
    ("spread", "verdict"),
    [(0.01, "high/conv4 is better"), (0.2, "high/conv4 is better on these episodes")],
)
def test_a_learner_is_better_where_its_trainings_are_too(spread, verdict):
    """Episodes tell these weights apart; whether other weights would be, seeds that vary little."""
    cells = [
        made_cell(name, *(values + shift), seed=seed)
        for name, values in (("high", BETTER), ("low", BASE))
        for seed, shift in enumerate((-spread, 0.0, spread))
    ]
    (found,) = compare(cells, "high", "low")
    assert found.holm_p <= SIGNIFICANCE
    assert found.verdict == verdict


def test_a_comparison_needs_no_torch(tmp_path):
    for cell in THREE:
        write_cell(tmp_path / cell.path, cell.run, [], cell.episodes)
    done = run_without_torch("compare", tmp_path, "--format", "md")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == render(compare(THREE), "md")
