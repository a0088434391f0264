from __future__ import annotations

from dataclasses import replace

import pytest

from seqbench.report.claim import judge_claim
from seqbench.report.declaration import Claim, Column, Published, Row, Table
from seqbench.report.record import Record
from seqbench.report.table import fill
from seqbench.report.verdict import distance, intervals, judge


def verdict(make_record, measured, published, metric="test.nll", partial=None, columns=None):
    """The verdict on a row whose runs measured these numbers, seed by seed."""
    records = [Record(**make_record(f"run{seed}", seed=seed)) for seed in range(len(measured))]
    for record, value in zip(records, measured, strict=True):
        record.metrics["test"][metric.rpartition(".")[2]] = value
    row = Row("LSTM", "x", published={metric: Published(published, "Bai 2018", "P")}, partial=partial)
    return judge(Table("t", "T", columns or [Column("Loss", metric=metric, format=".4f")], [row]), row, records)


@pytest.mark.parametrize(
    ("measured", "published", "kind"),
    [
        ([1.019], "1.0", "reproduced"),  # within 2 %
        ([0.981], "1.0", "reproduced"),
        ([1.021], "1.0", "not reproduced"),
        ([0.979], "1.0", "better"),
        ([0.9, 1.2, 1.3], "1.0", "reproduced"),  # within the interval alone
        ([1.1, 1.2, 1.3], "1.0", "not reproduced"),
    ],
)
def test_of_a_loss(make_record, measured, published, kind):
    assert verdict(make_record, measured, published).kind == kind


@pytest.mark.parametrize(("measured", "kind"), [(0.5, "not reproduced"), (0.97, "better")])
def test_of_an_accuracy_more_is_better(make_record, measured, kind):
    assert verdict(make_record, [measured], "0.9", "test.accuracy").kind == kind


def test_a_paper_may_print_percent(make_record):
    row = Row("LSTM", "x", published={"test.accuracy": Published("12.5", "B", "P", percent=True)})
    found = judge(Table("t", "T", [], [row]), row, [Record(**make_record("aaa"))])
    assert (found.kind, found.values) == ("reproduced", {0: 12.5})


def test_a_partial_row_is_partial_whatever_it_reached(make_record):
    found = verdict(make_record, [0.5], "1.0", partial="1 of 9 epochs")
    assert (found.kind, found.text(), found.why) == ("partial", "partial", "1 of 9 epochs")


def test_without_runs_or_without_the_metric_it_is_not_run(make_record):
    assert verdict(make_record, [], "1.0").why == "there is no finished run"
    row = Row("LSTM", "x", published={"beam.test.bleu": Published("27.3", "V 2017", "P")})
    table = Table("t", "T", [Column("BLEU", metric="beam.test.bleu", format=".1f")], [row])
    found = judge(table, row, [Record(**make_record("aaa"))])
    assert (found.kind, found.why) == ("not run", "its runs have no beam.test.bleu")


def test_without_a_published_number_or_a_run_of_ours_there_is_none(make_record):
    table = Table("t", "T", [], [])
    assert judge(table, Row("LSTM", "x"), [Record(**make_record("aaa"))]) is None
    assert judge(table, Row("LSTM", None, published={"test.nll": Published("1", "B", "P")}), []) is None


def test_the_number_on_test_is_judged(make_record):
    row = Row("LSTM", "x", published={key: Published("0.02", "B", "P") for key in ("valid.nll", "test.nll")})
    assert judge(Table("t", "T", [], [row]), row, [Record(**make_record("aaa"))]).metric == "test.nll"


def test_a_columns_settings_choose_the_evaluation(make_record):
    found = [{"metrics": {"nll": nll}, "settings": {"weight": weight}} for nll, weight in ((1.0, 0.1), (5.0, 0.2))]
    record = replace(Record(**make_record("aaa")), evaluations={"cache": {"test": found}})
    row = Row("LSTM", "x", published={"cache.test.nll": Published("5.0", "B", "P")})
    columns = [Column("Cache", metric="cache.test.nll", format=".1f", settings={"weight": 0.2})]
    assert judge(Table("t", "T", columns, [row]), row, [record]).kind == "reproduced"


@pytest.mark.parametrize(
    ("mean", "goal", "said"),
    [(1.05, 1.0, "+5.0 %"), (0.97, 1.0, "-3.0 %"), (3e-4, 1e-4, "×3"), (1e-6, 1e-4, "×0.01"), (0.5, 0.0, "+0.5")],
)
def test_the_distance_in_words(mean, goal, said):
    assert distance(mean, goal) == said


def test_the_table_has_a_column_of_verdicts_and_their_intervals(make_record, config):
    records = [Record(**make_record(f"run{seed}", seed=seed, nll=0.02 + seed / 1000)) for seed in range(3)]
    columns = [Column("Loss", metric="test.nll", format=".4f"), Column("Published", published="test.nll")]
    rows = [Row("LSTM", "x", published={"test.nll": Published("0.0204", "B", "P")}), Row("GRU", "y")]
    grid = fill(Table("t", "T", columns, rows), records, lambda *_: config)
    assert grid.headings[-1] == "Verdict"
    assert [row[-1].text for row in grid.rows] == ["reproduced (+2.9 %)", ""]
    assert grid.findings[0] == "95 % intervals of the mean over seeds: LSTM: 0.02 to 0.022."
    assert grid.findings[1].startswith("Verdicts: reproduced, where")
    assert intervals(rows, [None, None]) == ""


def test_rows_of_different_metrics_share_columns(make_record, config):
    columns = [
        Column("Metric", judged="metric"),
        Column("Measured", judged="measured", format=".4g"),
        Column("Published", judged="published"),
    ]
    rows = [
        Row("Copy: LSTM", "x", published={"test.nll": Published("0.0204", "B", "P")}),
        Row("MNIST: LSTM", "x", published={"test.accuracy": Published("12.5", "B", "P", percent=True)}),
        Row("MNIST: GRU", "y", published={"test.accuracy": Published("96.2", "B", "P", percent=True)}),
        Row("of ours", "x"),
    ]

    def compose(experiment, overrides):
        return config if experiment == "x" else config | {"model": {}}

    grid = fill(Table("t", "T", columns, rows), [Record(**make_record("aaa"))], compose)
    assert [[cell.text for cell in row[1:]] for row in grid.rows] == [
        ["nll", "0.02 (n=1)", "0.0204", "reproduced (-2.0 %)"],
        ["accuracy, %", "12.5 (n=1)", "12.5", "reproduced (+0.0 %)"],
        ["accuracy, %", "–", "96.2", "not run"],
        ["", "", "", ""],
    ]


@pytest.mark.parametrize(
    ("lstm", "gru", "kind"),
    [
        ({0: 1.0, 1: 1.1, 2: 0.9}, {0: 2.0, 1: 2.2, 2: 1.8}, "holds"),
        ({0: 2.0, 1: 2.2, 2: 1.8}, {0: 1.0, 1: 1.1, 2: 0.9}, "contradicted"),
        ({0: 1.0, 1: 2.0, 2: 1.5}, {0: 2.0, 1: 1.0, 2: 1.6}, "undecided"),
        ({0: 1.0}, {0: 2.0}, "not tested"),
        ({0: 1.0, 1: 1.1}, {1: 2.0, 2: 2.1}, "not tested"),  # one seed in common
        ({}, {0: 1.0}, "not tested"),
    ],
)
def test_a_claim_is_tested_over_the_seeds_of_both(make_record, lstm, gru, kind):
    claim = Claim("LSTM", "GRU", "test.nll", "Bai 2018", "P")
    table = Table("t", "T", [], [Row("LSTM", "x"), Row("GRU", "y")], claims=[claim])
    found = [
        [Record(**make_record(f"{label}{seed}", seed=seed, nll=nll)) for seed, nll in runs.items()]
        for label, runs in (("l", lstm), ("g", gru))
    ]
    finding = judge_claim(table, claim, found)
    assert finding.kind == kind
    assert finding.text().startswith(f"LSTM beats GRU in test.nll (Bai 2018, checked in the paper): {kind}")


def test_what_is_said_of_a_claim(make_record):
    claim = Claim("A", "B", "test.accuracy")
    table = Table("t", "T", [], [Row("A", "x"), Row("B", "y")], claims=[claim])
    found = [[], []]
    for group, values in zip(found, ((0.9, 0.92), (0.8, 0.84)), strict=True):
        for seed, value in enumerate(values):
            group.append(Record(**make_record(f"r{seed}", seed=seed)))
            group[-1].metrics["test"]["accuracy"] = value
    assert judge_claim(table, claim, found).text() == (
        "A beats B in test.accuracy: undecided; ahead on 2 of 2 seeds, by 0.09 in the mean, p = 0.07, paired t-test."
    )
    assert judge_claim(table, claim, [found[0], []]).text() == (
        "A beats B in test.accuracy: not tested, no seed was run of both."
    )
