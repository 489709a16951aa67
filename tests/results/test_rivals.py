"""Rivals: which row is held against which, and the p that decides."""

from itertools import combinations

import numpy as np
import pytest
from helpers.cells import BASE, BETTER, THREE, made_cell

from fewshot.results.comparison import compare, unbeaten
from fewshot.results.protocol import unlike
from fewshot.results.rivals import SIGNIFICANCE, Contrast, best_rivals, count_pairs
from fewshot.results.rows import column_names, table_rows
from fewshot.statistics.holm import holm
from fewshot.statistics.permutation import as_counts, exact_p, p_bounds, sign_flip_p


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


def test_the_best_rival_is_the_best_other_row_of_the_same_protocol():
    rows = table_rows([*THREE, made_cell("other", *(BETTER + 0.1), n_query=5)])
    places = {row.learner: i for i, row in enumerate(rows)}
    high, low, alike = (places[name] for name in ("high", "low", "alike"))
    second = max((low, alike), key=lambda i: rows[i].scores["made 5w5s"].mean)
    found = best_rivals(rows, "made 5w5s")
    assert found == {high: second, low: high, alike: high}


def test_a_single_episode_has_no_rival():
    assert best_rivals(table_rows([made_cell("a", 0.5), made_cell("b", 0.6)]), "made 5w5s") == {}
