"""Is the difference real: verdicts on made rows, and refusals where protocols differ."""

import json
from itertools import combinations

import numpy as np
import pytest
from helpers.cells import made_cell
from helpers.commands import run_without_torch
from scipy import stats

from fewshot.errors import UserError
from fewshot.reporting.comparison import render
from fewshot.results.comparison import SIGNIFICANCE, compare, unbeaten
from fewshot.results.files import write_cell
from fewshot.results.protocol import unlike
from fewshot.results.rivals import Contrast, count_pairs
from fewshot.results.rows import column_names, table_rows
from fewshot.statistics.holm import holm
from fewshot.statistics.paired import paired
from fewshot.statistics.permutation import as_counts, exact_p, p_bounds, sign_flip_p

N = 80
RNG = np.random.default_rng(0)
BASE = RNG.uniform(0.3, 0.7, N)
BETTER = BASE + 0.05 + RNG.normal(0, 0.02, N)
ALIKE = BASE + RNG.normal(0, 0.02, N)
THREE = [made_cell("low", *BASE), made_cell("high", *BETTER), made_cell("alike", *ALIKE)]


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


@pytest.mark.slow
def test_among_equal_learners_none_loses_its_bold_more_often_than_said():
    """The best of them is the best by chance: its lead over the last was chosen as the largest.

    Of 300 tables of 8 equal learners at most 5 % may have a row that is beaten; 8.3 % is four
    standard deviations above that, and correcting for seven tests alone gives 12 %.
    """
    rng, wrong = np.random.default_rng(5), 0
    for _ in range(300):
        rights = rng.binomial(75, 0.5, (8, 60))
        rows = table_rows([made_cell(f"l{i}", *(own / 75)) for i, own in enumerate(rights)])
        wrong += not all(unbeaten(rows).values())
    assert wrong / 300 <= 0.083


def test_pairs_that_may_be_compared_are_counted():
    """Of many rows under few protocols, one of them untrained, and unlike numbers of images."""
    options = [{}, {"batch_norm": "support"}, {"images": 12345 * 3}, {"images": 12345 * 9}]
    cells = [made_cell(f"l{i}-{k}", *BASE, **o) for k, o in enumerate(options) for i in range(3)]
    floor = made_cell("pixels", *BASE, trained=False, training_classes=None, selection=None)
    rows = table_rows([*cells, floor])
    scores = [row.scores["made 5w5s"] for row in rows]
    one_by_one = sum(not unlike(a.protocol, b.protocol) for a, b in combinations(scores, 2))
    assert 12 < one_by_one < len(list(combinations(scores, 2)))
    assert count_pairs(rows, "made 5w5s") == one_by_one


def test_p_of_counts_is_exact_and_drawn_otherwise():
    counts = [made_cell("a", *(np.arange(10) / 75)), made_cell("b", *(np.arange(1, 11) / 75))]
    assert compare(counts)[0].over_episodes.permutation_p == pytest.approx(2 / 2**10)
    far = [made_cell("a", *BASE), made_cell("b", *(np.rint(BASE * 75) / 75 + 0.2))]
    assert compare(far)[0].over_episodes.permutation_p >= 1 / 10_000


def test_a_pair_is_shown_as_a_report_with_all_that_was_asked():
    found = compare(THREE, "high", "low")
    report = render(found, "text")
    o = found[0].over_episodes
    for part in (
        "made 5w5s: high/conv4 less low/conv4",
        f"{100 * o.mean:+.2f} ± {100 * o.ci95:.2f}",
        "80 episodes",
        "bootstrap",
        "permutation    p = 0.0001",
        f"{100 * o.resolvable:.2f} points",
        f"{o.needed:,} episodes would",
        "over seeds     +",
        "no cell of these has disjoint episodes",
        "verdict        high/conv4 is better on these episodes",
    ):
        assert part in report


@pytest.mark.parametrize("form", ["text", "md"])
def test_all_pairs_are_a_table_that_says_what_was_corrected(form):
    table = " ".join(render(compare(THREE), form).split())
    assert "Holm's correction for 3 tests" in table
    assert table.count("is better on these episodes") == 2


def test_json_holds_every_number_and_no_nan():
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    records = json.loads(render(compare(THREE), "json"), parse_constant=refuse)
    assert [r["verdict"] for r in records] == [c.verdict for c in compare(THREE)]
    assert records[0]["over_seeds"]["ci95"] is None
    tested = compare(THREE)[0].over_episodes
    assert records[0]["over_episodes"]["permutation_p"] == tested.permutation_p
    assert records[0]["over_episodes"]["bootstrap"] == list(tested.bootstrap)


def test_unbeaten_rows_are_those_of_equal_protocol_that_the_best_does_not_beat():
    rows = table_rows([*THREE, made_cell("alone", *(BETTER + 0.1), n_query=5)])
    found = {rows[i].learner: verdict for (i, _), verdict in unbeaten(rows).items()}
    assert found == {"high": True, "low": False, "alike": False}


def by_drawing(rows):
    """`unbeaten` as its docstring has it, with every p drawn."""
    tests, out = [], {}
    for column in column_names(rows):
        for i, row in enumerate(rows):
            mine = row.scores.get(column)
            others = [r.scores[column] for r in rows if r is not row and column in r.scores]
            rivals = [
                o for o in others if mine is not None and not unlike(o.protocol, mine.protocol)
            ]
            if rivals:
                best = max(rivals, key=lambda score: score.accuracy_E.mean())
                out[i, column] = True
                if best.accuracy_E.mean() > mine.accuracy_E.mean():
                    tests.append((i, column, best.accuracy_E - mine.accuracy_E))
    p = [sign_flip_p(d_E[:, None], resamples=20_000)[0] for _, _, d_E in tests]
    scores = [[row.scores[c] for row in rows if c in row.scores] for c in column_names(rows)]
    family = sum(
        not unlike(a.protocol, b.protocol) for own in scores for a, b in combinations(own, 2)
    )
    for (i, column, _), adjusted in zip(tests, holm(p, family), strict=True):
        out[i, column] = adjusted > SIGNIFICANCE
    return out


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("n", [12, 400])
def test_verdicts_are_those_of_drawn_permutations(counts, n):
    """Of rows near each other and far from each other, whose p is bounded, computed or drawn."""
    rng = np.random.default_rng(n)
    cells = []
    for shot in (1, 5):
        base = rng.integers(20, 50, n)
        for i, lift in enumerate((0, 0.2, 0.5, 1, 1.5, 2, 3, 20)):
            right = base + np.rint(rng.normal(lift, 6, n)) + (0 if counts else 0.3 * rng.random(n))
            cells.append(made_cell(f"l{i}", *(right / 75), n_shot=shot, digest=str(shot)))
    rows = table_rows(cells)
    found = unbeaten(rows)
    assert found == by_drawing(rows)
    assert set(found.values()) == {True, False}


def test_seeds_make_counts_too():
    """Means over seeds are thirds of counts, and a row of two seeds stands beside one of three."""
    rng = np.random.default_rng(3)
    base = rng.integers(20, 50, 300)
    cells = [
        made_cell(name, *((base + np.rint(rng.normal(lift, 6, 300))) / 75), seed=seed)
        for name, lift, seeds in (("two", 0, 2), ("three", 0.6, 3), ("one", 2, 1))
        for seed in range(seeds)
    ]
    rows = table_rows(cells)
    assert unbeaten(rows) == by_drawing(rows)
    test = Contrast(0, "made 5w5s", *(row for row in rows if row.seeds > 1))
    assert test.unit == 5 * 15 * 6
    assert as_counts(test.differences, test.unit) is not None
    assert as_counts(test.differences, test.unit // 2) is None


@pytest.mark.parametrize(("aim", "beaten"), [(2.27, True), (2.23, False)])
def test_a_bound_of_p_is_not_taken_for_p_where_it_does_not_decide(aim, beaten):
    """The second of three pairs needs p <= 2.5 %; its p is near that, its bounds are far apart."""
    n = 10_000
    d_E = np.random.default_rng(0).integers(-5, 6, n)
    wanted = round(aim * float(np.sqrt(np.square(d_E).sum()))) - d_E.sum()
    d_E[np.flatnonzero(d_E == 0)[: abs(wanted)]] = np.sign(wanted)
    low, high = p_bounds(d_E)
    assert low < 0.025 < high
    assert (exact_p(d_E) <= 0.025) == beaten
    base = np.random.default_rng(1).integers(20, 40, n)
    rights = {"best": base, "near": base - d_E, "far": base - 10}
    rows = table_rows([made_cell(name, *(right / 75)) for name, right in rights.items()])
    found = {rows[i].learner: verdict for (i, _), verdict in unbeaten(rows).items()}
    assert found == {"best": True, "near": not beaten, "far": False}


def test_no_permutation_is_drawn_for_counts(monkeypatch):
    monkeypatch.setattr("fewshot.results.rivals.sign_flip_p", None)
    rng = np.random.default_rng(0)
    base = rng.integers(20, 50, 500)
    cells = [
        made_cell(f"l{i}", *((base + rng.integers(-5 + i, 6 + i, 500)) / 75)) for i in range(5)
    ]
    assert set(unbeaten(table_rows(cells)).values()) == {True, False}


def test_a_comparison_needs_no_torch(tmp_path):
    for cell in THREE:
        write_cell(tmp_path / cell.path, cell.run, [], cell.episodes)
    done = run_without_torch("compare", tmp_path, "--format", "md")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == render(compare(THREE), "md")
