"""A comparison as a report, a table and JSON."""

import json

import pytest
from helpers.cells import THREE

from fewshot.reporting.comparison import render
from fewshot.results.comparison import compare


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
