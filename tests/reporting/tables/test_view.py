"""What a table shows: columns, order, filters, groups, and times that may not be compared."""

import csv
import io
import json
import re

import numpy as np
import pytest
from helpers.cells import altered, made_cell
from helpers.golden_tables import curve, timed

from fewshot.errors import UserError
from fewshot.reporting.tables import COLUMNS, View, render
from fewshot.results.files import read_cells, write_cell
from fewshot.units import HOLE


def table_of(cells, **view):
    """Header and rows of a markdown table, without its marks of the best, and what is below it."""
    text = render(cells, "md", view=View(**view))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    header, _, *rows = [[c.strip(" *") for c in line.strip("|").split("|")] for line in lines]
    return header, rows, text.split("\n\n")[1]


def column(cells, name, **view):
    """What stands below a heading, by learner."""
    header, rows, _ = table_of(cells, **view)
    return {row[0]: row[header.index(name)] for row in rows}


def order(cells, **view):
    return [row[0] for row in table_of(cells, **view)[1]]


def on_disk(folder, *cells_and_curves):
    for i, (cell, points) in enumerate(cells_and_curves):
        write_cell(folder / f"{i:02}", cell.run, points, cell.episodes)
    return read_cells(folder)


# Columns


@pytest.mark.parametrize("name", [name for name in COLUMNS if name not in ("scores", "target")])
def test_every_column_can_stand_alone_and_be_sorted_by(name):
    cells = [made_cell("b", 0.4, 0.6), made_cell("a", 0.1, 0.2, seed=1)]
    header, rows, _ = table_of(cells, columns=(name,))
    assert header[:2] == ["learner", "backbone"]
    assert len(header) in (3, 4)
    assert len(rows) == 2
    if len(header) == 3:
        assert set(order(cells, columns=(name,), sort=name)) == {"a", "b"}


def test_columns_stand_in_the_order_that_was_asked_for_and_once():
    header, _, _ = table_of([made_cell()], columns=("seeds", "training", "scores", "seeds"))
    assert header == ["learner", "backbone", "seeds", "training", "made 5w5s"]


def test_what_was_measured_stands_in_its_column():
    cell = timed(made_cell("mtl", train_s=100.0), 0.03, 2.5, 170.0, 640)
    cell = altered(cell, {"scoring": {"cpu_s": 12.0, "others": 0.01, "peak_memory_mb": 333}})
    header, (row,), _ = table_of([cell], columns=tuple(c for c in COLUMNS if c != "target"))
    shown = dict(zip(header, row, strict=True))
    assert shown["training"] == "1.7 min"
    assert shown["warm-up"] == "2.5 s"
    assert (shown["MB, training"], shown["MB, test"]) == ("640", "333")
    assert (shown["CPU time, training"], shown["CPU time, test"]) == ("2.8 min", "12 s")
    assert (shown["others, training"], shown["others, test"]) == ("3 %", "1 %")
    assert (shown["episodes/s"], shown["ms/episode"]) == ("1,333", "0.75")
    assert (shown["seeds"], shown["protocol"]) == ("1", "a")


def test_what_early_cells_do_not_know_is_a_hole():
    header, (row,), _ = table_of([made_cell()], columns=("warmup", "memory", "cpu", "others"))
    assert row[2:] == [HOLE] * len(header[2:])


def test_costs_of_several_data_sets_are_not_mixed():
    cells = [
        made_cell("mtl", dataset="a", train_s=10.0, images=100),
        made_cell("mtl", dataset="b", train_s=1000.0, images=900, fingerprint="b"),
        made_cell("protonet", dataset="b", train_s=500.0, images=900, fingerprint="b"),
    ]
    assert column(cells, "training a") == {"mtl": "10 s", "protonet": HOLE}
    assert column(cells, "training b") == {"mtl": "16.7 min", "protonet": "8.3 min"}
    images = {"columns": ("images",)}
    assert column(cells, "images seen a", **images) == {"mtl": "100", "protonet": HOLE}
    assert order(cells, sort="training b") == ["protonet", "mtl"]
    with pytest.raises(UserError, match="several columns: 'training a', 'training b'"):
        render(cells, "md", view=View(sort="training"))


@pytest.mark.parametrize(
    ("view", "message"),
    [
        ({"columns": ("trainign",)}, "unknown column 'trainign': did you mean 'training'"),
        ({"columns": ("",)}, "unknown column ''"),
        ({"columns": ("target",)}, "no target is set; --target 0.65"),
        ({"sort": "5w2s"}, "unknown column to sort by '5w2s'"),
        ({"sort": "target"}, "no target is set"),
        ({"sort": "memory"}, "several columns: 'MB, training', 'MB, test'"),
        ({"sort": "scores"}, "several columns: 'made 5w1s', 'made 5w5s'"),
        ({"where": ("learner",)}, "--where 'learner': expected key=value"),
        ({"where": ("leaner=mtl",)}, "unknown --where key 'leaner': did you mean 'learner'"),
        ({"where": ("learner=mlt",)}, "unknown learner 'mlt': did you mean 'mtl'"),
        ({"where": ("learner=mtl", "n_shot=5")}, "no cell is left by --where learner=mtl --where"),
        ({"group": "data"}, "unknown group 'data'"),
        ({"target": 65.0}, "target 65: an accuracy is above 0 and at most 1"),
    ],
)
def test_a_view_without_an_answer_is_one_clear_line(view, message):
    cells = [made_cell("mtl", n_shot=1), made_cell("protonet", n_shot=5)]
    with pytest.raises(UserError) as caught:
        render(cells, "md", view=View(**view))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize("view", [View(columns=("scores",)), View(group="backbone")])
def test_records_hold_every_field_and_no_headings(form, view):
    with pytest.raises(UserError, match=f"{form} holds every field"):
        render([made_cell()], form, view=view)


# Order


def test_accuracies_and_rates_are_sorted_from_the_best_all_else_from_the_least():
    cells = [
        made_cell("a", 0.2, 0.3, train_s=30.0, images=20),
        made_cell("b", 0.6, 0.7, train_s=10.0, images=30, seed=0),
        made_cell("c", 0.4, 0.5, train_s=20.0, images=10, backbone="resnet12"),
    ]
    for i, cell in enumerate(cells):
        cell.episodes["adapt_ms"] = [2.0, 1.0, 3.0][i]
    assert order(cells, sort="made 5w5s") == order(cells, sort="5w5s") == ["b", "c", "a"]
    assert order(cells, sort="training") == ["b", "c", "a"]
    assert order(cells, sort="images") == order(cells, sort="images seen") == ["c", "a", "b"]
    assert order(cells, sort="episodes/s") == order(cells, sort="ms/episode") == ["b", "a", "c"]
    assert order(cells, sort="learner") == ["a", "b", "c"]
    assert order(cells, sort="backbone") == ["b", "a", "c"]  # the others as they were
    records = json.loads(render(cells, "json", view=View(sort="images")))
    assert [record["learner"] for record in records] == ["c", "a", "b"]


def test_holes_stand_last_and_disturbed_times_below_the_others():
    cells = [
        timed(made_cell("quiet", train_s=30.0), 0.0),
        timed(made_cell("slow", train_s=40.0), 0.05),
        timed(made_cell("disturbed", train_s=10.0), 0.4),
        timed(made_cell("pixels", trained=False), 0.0),
    ]
    assert order(cells, sort="training") == ["quiet", "slow", "disturbed", "pixels"]


def test_what_is_sorted_by_need_not_be_shown():
    cells = [made_cell("a", images=2), made_cell("b", images=1)]
    header, rows, _ = table_of(cells, sort="images", columns=("scores",))
    assert "images seen" not in header
    assert [row[0] for row in rows] == ["b", "a"]


# Filters


def test_cells_are_kept_by_what_is_true_of_them():
    cells = [
        made_cell("mtl", n_shot=1),
        made_cell("mtl", n_shot=5, seed=3),
        made_cell("maml", n_shot=5, backbone="resnet12", batch_norm="support"),
        made_cell("maml", 0.1, 0.2, n_shot=5, label="long", c=2.0, dataset="other"),
    ]

    def kept(*where):
        records = json.loads(render(cells, "json", view=View(where=where)))
        return sorted((r["learner"], r["n_shot"], r["label"]) for r in records)

    mtl, plain, long = [("mtl", 1, ""), ("mtl", 5, "")], ("maml", 5, ""), ("maml", 5, "long")
    assert kept("learner=mtl") == mtl
    assert kept("learner=mtl,maml") == sorted([*mtl, plain, long])
    assert kept("learner=mtl", "n_shot=5") == [mtl[1]]
    assert kept("seed=3") == [mtl[1]]
    assert kept("backbone=resnet12") == [plain]
    assert kept("dataset=other") == kept("label=long") == [long]
    assert kept("label=", "learner=maml") == kept("batch_norm=support") == [plain]
    assert kept("transductive=no", "benchmark=bench", "n_way=5") == sorted([*mtl, plain, long])


def test_a_row_that_has_no_label_of_its_own_is_kept_by_the_one_that_is_shown():
    cells = [made_cell("mtl", 0.1, 0.2), made_cell("mtl", 0.3, 0.4, c=2.0)]
    labels = {r["label"]: r["accuracy"] for r in json.loads(render(cells, "json"))}
    for label, accuracy in labels.items():
        (record,) = json.loads(render(cells, "json", view=View(where=(f"label={label}",))))
        assert record["accuracy"] == accuracy


def test_the_best_is_that_of_what_is_shown():
    base = np.random.default_rng(0).uniform(0.3, 0.6, 60)
    cells = [made_cell(n, *(base + lift)) for n, lift in (("a", 0), ("b", 0.1), ("c", 0.2))]
    assert "**" not in render(cells, "md").splitlines()[3]
    assert "**" in render(cells, "md", view=View(where=("learner=a,b",))).splitlines()[2]


# Groups


GROUPED = [
    made_cell("mtl", 0.2, 0.3, n_shot=5),
    made_cell("mtl", 0.3, 0.4, n_shot=5, backbone="resnet12"),
    made_cell("maml", 0.4, 0.5, n_shot=5, batch_norm="support"),
    made_cell("maml", 0.1, 0.6, n_shot=1, dataset="a", digest="a", fingerprint="a"),
    made_cell("pixels", 0.1, 0.1, n_shot=5, trained=False),
]


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("backbone", ["*conv4", "maml", "mtl", "*no backbone", "pixels", "*resnet12", "mtl"]),
        ("learner", ["*maml", "maml", "*mtl", "mtl", "mtl", "*pixels", "pixels"]),
        ("dataset", ["*a", "maml", "*made", "maml", "mtl", "mtl", "pixels"]),
        ("protocol", ["*protocol a", "maml", "*protocol b", "mtl", "mtl", "pixels"]),
    ],
)
def test_lines_stand_below_their_headings(group, expected):
    header, rows, _ = table_of(GROUPED, group=group)
    is_heading = [not any(row[1:]) for row in rows]
    found = [f"*{row[0]}" if h else row[0] for row, h in zip(rows, is_heading, strict=True)]
    assert found == expected
    assert group not in header or group == "learner"
    text = render(GROUPED, "text", view=View(group=group))
    assert text.count("├") == expected.count("*") + sum(x.startswith("*") for x in expected) - 1
    tex = render(GROUPED, "latex", view=View(group=group))
    for heading in (x[1:] for x in expected if x.startswith("*")):
        assert rf"\multicolumn{{{len(header)}}}{{l}}{{\emph{{{heading}}}}}" in tex
        assert f"│ {heading}" in text


def test_by_data_set_each_has_its_own_costs_and_its_own_best_first():
    cells = [
        made_cell("x", 0.9, 0.8, dataset="a", train_s=10.0),
        made_cell("y", 0.1, 0.2, dataset="a", train_s=20.0),
        made_cell("x", 0.2, 0.3, dataset="b", train_s=30.0, fingerprint="b"),
        made_cell("y", 0.7, 0.6, dataset="b", train_s=40.0, fingerprint="b"),
    ]
    header, rows, _ = table_of(cells, group="dataset")
    at = header.index("training")
    assert [(row[0], row[at]) for row in rows] == [
        *(("a", ""), ("x", "10 s"), ("y", "20 s"), ("b", ""), ("y", "40 s"), ("x", "30 s"))
    ]
    assert order(cells, group="dataset", sort="training") == ["a", "x", "y", "b", "x", "y"]


# Times


def machines(*hosts, others=0.0):
    return [timed(made_cell(f"l{i}"), others, **host) for i, host in enumerate(hosts)]


def test_times_of_one_machine_have_no_letters():
    _, _, below = table_of(machines({}, {}))
    assert "letters" not in below
    assert "Timed on Abacus, 2 threads on 2 cores, torch 2.6, fp32." in below


@pytest.mark.parametrize(
    "host",
    [
        {"processor": "Other"},
        {"cores": 4},
        {"threads": 1},
        {"gpu": "Big GPU"},
        {"driver": "550.1"},
        {"versions": {"torch": "2.7"}},
    ],
)
def test_times_of_unlike_machines_carry_letters_and_are_not_sorted_by(host):
    cells = machines({}, host)
    training, rate = column(cells, "training"), column(cells, "episodes/s")
    assert {training["l0"], training["l1"]} == {"90 s A", "90 s B"}
    assert training["l1"][-1] == rate["l1"][-1]  # the same letter for the same machine
    below = table_of(cells)[2]
    assert "Times with different letters are not to be compared: A: " in below
    for key in ("training", "episodes/s"):
        with pytest.raises(UserError, match="times of 2 machines are not compared") as caught:
            render(cells, "md", view=View(sort=key))
        machine = re.search(r"machine=(\w+)", str(caught.value))[1]
        assert len(order(cells, sort=key, where=(f"machine={machine}",))) == 1
    assert order(cells, sort="images") == ["l0", "l1"]  # no clock is in it


def test_a_cell_of_two_machines_is_kept_only_with_both():
    cells = machines({}, {"processor": "Other"}, {"processor": "Other"})
    # Trained on one, scored on another.
    cells[2] = altered(cells[2], {"host": cells[0].run.json["host"]})
    (record,) = (r for r in json.loads(render(cells, "json")) if r["learner"] == "l2")
    trained, scored = record["timing_fingerprint"], record["test_fingerprint"]
    assert order(cells, where=(f"machine={trained}",)) == ["l1"]
    assert order(cells, where=(f"machine={scored}",)) == ["l0"]
    assert order(cells, where=(f"machine={trained},{scored}",)) == ["l0", "l1", "l2"]


def test_precision_is_part_of_a_machine():
    cells = [made_cell("a"), made_cell("b", precision="bf16")]
    assert set(column(cells, "training").values()) == {"90 s A", "90 s B"}


def test_within_groups_of_one_machine_times_are_sorted():
    cells = [
        timed(made_cell(n, backbone=b, train_s=t), processor=b)
        for n, b, t in (("x", "conv4", 9.0), ("y", "conv4", 5.0), ("z", "resnet12", 7.0))
    ]
    found = order(cells, group="backbone", sort="training")
    assert found == ["conv4", "y", "x", "resnet12", "z"]


@pytest.mark.parametrize("form", ["text", "md", "latex"])
def test_a_disturbed_time_is_marked_with_what_others_used(form):
    cells = [timed(made_cell("a"), 0.3), timed(made_cell("b"), 0.08), timed(made_cell("c"), 0.05)]
    text = render(cells, form).replace(r"\textasciitilde{}", "~").replace("\\%", "%")
    assert text.count("~90 s") == 2
    assert "~: other processes used more than 5 % of the machine" in " ".join(text.split())
    assert "(8 % to 30 %)" in " ".join(text.split())
    assert "~" not in render(cells[2:], form).replace(r"\textasciitilde{}", "~")


def test_a_disturbance_that_nobody_measured_is_not_marked():
    assert "~" not in render([made_cell()], "md")


def test_a_disturbed_seed_is_left_out_of_the_mean_and_counted():
    shares = (0.0, 0.5, 0.01)
    cells = [
        timed(made_cell("mtl", seed=i, train_s=10.0 * 10**i), others, warmup_s=10.0**i)
        for i, others in enumerate(shares)
    ]
    assert column(cells, "training") == {"mtl": "8.4 min (2 of 3)"}
    assert column(cells, "warm-up", columns=("warmup",)) == {"mtl": "50 s (2 of 3)"}
    assert "(n of m): n of m were timed alike" in table_of(cells)[2]
    (record,) = json.loads(render(cells, "json"))
    assert (record["trainings"], record["trainings_timed"]) == (3, 2)
    assert (record["train_s"], record["others"]) == (505.0, 0.01)


def test_seeds_of_two_machines_are_not_averaged():
    cells = [timed(made_cell("mtl", seed=i, train_s=10.0 + i)) for i in range(3)]
    cells[2] = timed(cells[2], processor="Other")
    assert column(cells, "training") == {"mtl": "10 s (2 of 3)"}


def test_records_name_the_machine_and_what_disturbed_it():
    cell = timed(made_cell("mtl"), 0.12, 2.5, 170.0, 640)
    cell = altered(cell, {"host.processor": "Other"})
    (record,) = json.loads(render([cell], "json"))
    words = "2 threads on 2 cores, torch 2.6, fp32"
    assert record["machine"] == f"Abacus, {words}"
    assert record["test_machine"] == f"Other, {words}"
    assert record["timing_fingerprint"] != record["test_fingerprint"]
    assert (record["others"], record["warmup_s"], record["cpu_s"]) == (0.12, 2.5, 170.0)
    (row,) = csv.DictReader(io.StringIO(render([cell], "csv")))
    assert row == {k: "" if v is None else str(v) for k, v in record.items()}


# Time to a target


def test_time_to_a_target_is_that_of_the_first_validation_that_met_it(tmp_path):
    cells = on_disk(
        tmp_path,
        (made_cell("soon"), curve(0.6, 0.2, 0.2)),
        (made_cell("late"), curve(0.2, 0.4, 0.5)),
        (made_cell("miss", train_s=720.0), curve(0.2, 0.4, 0.49)),
        (made_cell("pixels", trained=False), []),
        (made_cell("never-looked"), []),
    )
    view = {"columns": ("target",), "target": 0.5}
    assert column(cells, "to 50 %", **view) == {
        "soon": "30 s",
        "late": "90 s",
        "miss": "> 12.0 min",
        "pixels": HOLE,
        "never-looked": HOLE,
    }
    found = order(cells, sort="target", **view)
    assert found[:3] == ["soon", "late", "miss"]  # a miss is after all hits, and before holes
    assert "To a validation accuracy" in table_of(cells, **view)[2]
    records = {r["learner"]: r for r in json.loads(render(cells, "json", view=View(target=0.5)))}
    shown = {name: (r["target_s"], r["target_reached"]) for name, r in records.items()}
    assert shown == {
        "soon": (30.0, True),
        "late": (90.0, True),
        "miss": (None, False),
        "pixels": (None, None),
        "never-looked": (None, None),
    }


def test_over_seeds_it_is_the_median_and_a_miss_is_never(tmp_path):
    hit, late, miss = curve(0.6), curve(0.1, 0.6), curve(0.1, 0.2)
    cells = on_disk(
        tmp_path,
        *((made_cell("most", seed=i), points) for i, points in enumerate((hit, late, miss))),
        *((made_cell("half", seed=i), points) for i, points in enumerate((hit, miss))),
    )
    found = column(cells, "to 50 %", columns=("target",), target=0.5)
    assert found == {"most": "60 s (2 of 3)", "half": "> 90 s (1 of 2)"}


def with_target(cell, target):
    return altered(cell, {"config.target": target})


def test_the_target_is_that_of_the_benchmark_unless_one_is_asked_for(tmp_path):
    made = [
        (with_target(made_cell("a"), 0.5), curve(0.2, 0.6)),
        (with_target(made_cell("b"), None), curve(0.2, 0.3, 0.7)),
    ]
    cells = on_disk(tmp_path, *made)
    assert column(cells, "to 50 %", columns=("target",)) == {"a": "60 s", "b": HOLE}
    asked = {"columns": ("target",), "target": 0.25}
    assert column(cells, "to 25 %", **asked) == {"a": "60 s", "b": "60 s"}


def test_times_to_several_targets_are_not_put_side_by_side(tmp_path):
    made = [(with_target(made_cell(n), t), curve(0.6)) for n, t in (("a", 0.5), ("b", 0.6))]
    cells = on_disk(tmp_path, *made)
    with pytest.raises(UserError, match="these cells have several targets: 0.5, 0.6; --target"):
        render(cells, "md", view=View(columns=("target",)))
    assert len(json.loads(render(cells, "json"))) == 2


def test_where_validation_episodes_differ_each_time_says_which(tmp_path):
    one = made_cell("a")
    other = altered(made_cell("b"), {"config.training.recipe.val_n_shot": 1})
    cells = on_disk(tmp_path, (one, curve(0.6)), (other, curve(0.6)))
    found = column(cells, "to 50 %", columns=("target",), target=0.5)
    assert found == {"a": "30 s (5w5s)", "b": "30 s (5w1s)"}


def test_a_target_that_is_named_brings_its_column(tmp_path):
    cells = on_disk(tmp_path, *((made_cell(name), curve(0.6)) for name in ("mtl", "protonet")))
    usual, asked = table_of(cells)[0], table_of(cells, target=0.5)[0]
    assert [name for name in asked if name not in usual] == ["to 50 %"]


def test_seeds_are_those_of_each_score():
    """A run that is not finished: one score has one training behind it, the other two."""
    cells = [made_cell("mtl", seed=0), made_cell("mtl", seed=1), made_cell("mtl", seed=0, n_shot=1)]
    assert column(cells, "seeds") == {"mtl": "1 to 2"}
    assert column(cells[:2], "seeds") == {"mtl": "2"}
