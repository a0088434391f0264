from __future__ import annotations

import copy
import statistics
from dataclasses import replace

import pytest

from seqbench.errors import UserError
from seqbench.report.declaration import Column, Published, Row, Table
from seqbench.report.numbers import cell_text
from seqbench.report.record import Record
from seqbench.report.selection import belongs, select
from seqbench.report.table import fill

COLUMNS = [Column("Loss", metric="test.nll", format=".4f"), Column("Published", published="test.nll")]


def text(records: list[Record], metric: str, specification: str) -> str:
    return cell_text(Column("", metric=metric, format=specification), Row("LSTM", "x"), records)


@pytest.fixture
def record(make_record):
    return lambda *args, **settings: Record(**make_record(*args, **settings))


def test_the_seed_is_no_setting(record, config):
    found = select([record("bbb", seed=1), record("aaa", seed=7)], config)
    assert [item.run_id for item in found] == ["aaa", "bbb"]


def test_another_learning_rate_is_not_mixed_in(record, config):
    records = [record("aaa", seed=0), record("bbb", seed=1, lr=0.002)]
    assert [item.run_id for item in select(records, config)] == ["aaa"]


def test_the_seed_of_the_data_is_a_setting(record, config):
    item = record("aaa")
    item.config["task"]["seed"] = 1
    assert not belongs(item, config | {"task": config["task"] | {"seed": 2}})


def test_a_setting_that_came_later_must_have_its_default(record, config):
    config["model"]["forget_bias"] = None
    config["network"] = {"tied": False}
    item = record("aaa")
    item.config["network"] = {}
    assert belongs(item, config)
    assert not belongs(item, config | {"model": config["model"] | {"forget_bias": 1.0}})
    assert not belongs(item, config | {"network": {"tied": True}})


def test_a_node_within_a_node_may_have_settings_that_came_later(record, config):
    lstm = {"_target_": "seqbench.models.recurrent.lstm.LSTM", "hidden_size": 8}
    item = record("aaa")
    item.config["model"]["encoder"] = dict(lstm)
    assert belongs(item, config | {"model": config["model"] | {"encoder": lstm | {"backend": "auto"}}})
    assert not belongs(item, config | {"model": config["model"] | {"encoder": lstm | {"backend": "native"}}})
    assert not belongs(item, config | {"model": config["model"] | {"encoder": lstm | {"hidden_size": 9}}})


def test_evaluations_of_other_settings_are_not_pooled(record, config):
    records = [record("aaa", seed=0), record("bbb", seed=1)]
    for item, weight, batch_size in zip(records, (0.1, 0.2), (1, 2), strict=True):
        settings = {"weight": weight, "batch_size": batch_size}
        item.evaluations["cache"] = {"test": [{"metrics": {"ppl": 96.0}, "settings": settings}]}
    rows = [Row("LSTM", "copy_t1000/lstm")]
    table = Table("t", "T", [Column("Cache", metric="cache.test.ppl", format=".1f")], rows)
    said = r"The runs of the row 'LSTM' have cache with weight=0.1 and weight=0.2: the column 'Cache' must say"
    with pytest.raises(UserError, match=said):
        fill(table, records, lambda *_: config)
    assert fill(table, records[:1], lambda *_: config).rows[0][1].text == "96.0 (n=1)"


def test_a_column_says_which_of_a_runs_evaluations_stands(record, config):
    found = [{"metrics": {"ppl": ppl}, "settings": {"weight": weight}} for ppl, weight in ((96.0, 0.1), (98.0, 0.2))]
    item = replace(record("aaa"), evaluations={"cache": {"test": found}})

    def cell(**settings):
        columns = [Column("Cache", metric="cache.test.ppl", format=".1f", settings=settings)]
        return fill(table(Row("LSTM", "x"), columns=columns), [item], lambda *_: config).rows[0][1].text

    assert [cell(weight=0.1), cell(weight=0.2), cell(weight=0.3)] == ["96.0 (n=1)", "98.0 (n=1)", "–"]
    with pytest.raises(UserError, match=r"weight=0\.1 and weight=0\.2"):
        cell()
    with pytest.raises(UserError, match=r"has the setting wieght of the column 'Cache' \(did you mean weight\?\)"):
        cell(wieght=0.1)


def test_a_setting_that_is_gone_is_a_mismatch(record, config):
    del config["model"]["n_layers"]
    assert not belongs(record("aaa"), config)
    del config["model"]
    assert not belongs(record("aaa"), config)


def test_a_parameter_group_more_is_another_setting(record, config):
    config["optimizer"]["groups"] = {"recurrent": {"lr": 1e-4}}
    assert not belongs(record("aaa"), config)
    item = record("bbb")
    item.config["optimizer"]["groups"] = {"recurrent": {"lr": 1e-4}}
    assert belongs(item, config)
    config["optimizer"]["groups"]["recurrent"]["momentum"] = 0.9
    assert not belongs(item, config)


def test_kinds_of_numbers(record, config):
    config["train"]["max_steps"] = 10000.0
    config["optimizer"]["betas"] = (0.9, 0.99)
    item = record("aaa")
    item.config["optimizer"]["betas"] = [0.9, 0.99]
    assert belongs(item, config)
    item.config["model"]["n_layers"] = True
    assert not belongs(item, config)


def test_a_seed_counts_once_and_its_later_record_stands(record, config):
    config["model"]["forget_bias"] = None
    older, newer, other = record("zzz", seed=0), record("aaa", seed=0), record("mmm", seed=1)
    newer.config["model"]["forget_bias"] = None
    assert [item.run_id for item in select([older, newer, other], config)] == ["aaa", "mmm"]


def test_runs_on_different_data_are_not_averaged(record, config):
    later = record("bbb", seed=1)
    later.task_version["version"] = 2
    with pytest.raises(UserError, match="aaa and bbb have one config but different task versions"):
        select([record("aaa"), later], config)


@pytest.mark.parametrize("losses", [[0.1, 0.4], [0.013, 0.02, 0.0171, 0.9]])
def test_mean_and_deviation_over_seeds(record, losses):
    records = [record(f"run{seed}", seed=seed, nll=nll) for seed, nll in enumerate(losses)]
    mean, deviation = statistics.fmean(losses), statistics.stdev(losses)
    assert text(records, "test.nll", ".5f") == f"{mean:.5f} ± {deviation:.5f} (n={len(losses)})"
    assert text(records[::-1], "test.nll", ".17g") == text(records, "test.nll", ".17g")


def test_one_seed_has_no_deviation(record):
    assert text([record("aaa", nll=0.25)], "test.nll", ".2f") == "0.25 (n=1)"


def test_only_seeds_with_the_number_count(record):
    records = [record("aaa", 0, 0.25), record("bbb", 1, 0.75), record("ccc", 2, 0.5)]
    records[2].metrics["test"]["nll"] = None
    assert text(records, "test.nll", ".2f") == "0.50 ± 0.35 (n=2)"
    assert text(records[2:], "test.nll", ".2f") == "–"
    assert text([], "test.nll", ".2f") == "–"


def test_a_count_or_a_baseline_stands_alone_unless_it_differs(record):
    records = [record("aaa", seed=0), record("bbb", seed=1)]
    assert text(records, "parameters.total", ",.0f") == "22,109"
    assert text(records, "baseline.nll", ".4f") == "0.0204"
    assert text(records, "test.nll", ".4f") == "0.0200 ± 0.0000 (n=2)"
    records[0].parameters["total"] = 22111
    assert text(records, "parameters.total", ",.0f") == "22,110 ± 1 (n=2)"


def table(*rows: Row, columns: list[Column] = COLUMNS) -> Table:
    return Table("copy", "Copy", columns, list(rows))


def test_rows_without_runs_and_without_published_numbers(config):
    grid = fill(table(Row("LSTM", "copy/lstm")), [], lambda experiment, overrides: config)
    assert [cell.text for cell in grid.rows[0]] == ["LSTM", "–", ""]
    assert grid.origin == ["No finished run yet."]


def test_a_partial_run_says_so_in_its_label_and_has_its_own_config(record, config):
    def compose(experiment, overrides):
        assert experiment == "copy/lstm"
        changed = copy.deepcopy(config)
        changed["train"]["max_steps"] = 2 if overrides else 10000
        return changed

    short = record("bbb", nll=2.0)
    short.config["train"]["max_steps"] = 2
    rows = [Row("LSTM", "copy/lstm"), Row("LSTM", "copy/lstm", ["train.max_steps=2"], partial="2 of 10,000 steps")]
    grid = fill(table(*rows), [record("aaa", nll=1.0), short], compose)
    assert [[cell.text for cell in row[:2]] for row in grid.rows] == [
        ["LSTM", "1.0000 (n=1)"],
        ["LSTM (partial: 2 of 10,000 steps)", "2.0000 (n=1)"],
    ]


def test_a_published_row_needs_no_config_and_sources_are_numbered_once():
    def compose(experiment, overrides):
        raise AssertionError("nothing to compose")

    seen = [Published("0.1", "Bai 2018, Table 1", "P"), Published("0.2", "Bai 2018, Table 1", "P")]
    other = Published("0.3", "Bai 2018, Table 1", "T")
    rows = [Row(f"row {item.value}", None, published={"test.nll": item}, note="other data") for item in [*seen, other]]
    grid = fill(table(*rows), [], compose)
    assert [(row[0].mark, row[2].text, row[2].mark) for row in grid.rows] == [
        ("a", "0.1", "1"),
        ("a", "0.2", "1"),
        ("a", "0.3", "2"),
    ]
    assert grid.footnotes == [
        ("a", "other data"),
        ("1", "Bai 2018, Table 1 (checked in the paper)"),
        ("2", "Bai 2018, Table 1 (from a third party)"),
    ]


def test_a_run_that_did_not_finish_is_named_and_left_out(record, make_record, config):
    diverged = Record(**(make_record("bbb", seed=1, nll=99.0) | {"status": "diverged"}))
    grid = fill(table(Row("LSTM", "copy/lstm")), [record("aaa"), diverged], lambda experiment, overrides: config)
    assert grid.rows[0][1].text == "0.0200 (n=1)"
    assert grid.origin[-1] == "Left out, not finished: bbb (diverged)."


def test_mixed_origins_are_all_named(record, make_record, config):
    changed = {"dirty": True, "device": "cuda: H200", "versions": {"seqbench": "0.2.0"}, "commit": None}
    records = [record("aaa"), Record(**(make_record("bbb", seed=1) | changed))]
    grid = fill(table(Row("LSTM", "copy/lstm")), records, lambda experiment, overrides: config)
    assert grid.origin == [
        "Runs: LSTM: aaa, bbb.",
        "Commits: 0123456789ab, unknown+dirty.",
        "Task versions: copy 1.",
        "Devices: cpu: Intel(R) Xeon(R), 1 x 4 threads; cuda: H200, 1 x 4 threads.",
        "Versions: seqbench 0.1.0, seqbench 0.2.0, torch 2.13.0.",
    ]


def test_a_misspelt_metric_is_no_column_of_dashes(record, config):
    columns = [Column("Loss", metric="test.nlll", format=".4f")]
    with pytest.raises(UserError, match=r"table copy has test\.nlll.*did you mean test\.nll\?"):
        fill(table(Row("LSTM", "x"), columns=columns), [record("aaa")], lambda experiment, overrides: config)


def test_a_misspelt_metric_of_an_evaluation_is_refused_where_it_was_made(record, config):
    columns = [Column("Cache", metric="cache.test.pppl", format=".4f")]
    without, having = (
        record("aaa"),
        replace(record("bbb"), evaluations={"cache": {"test": [{"metrics": {"ppl": 2.0}}]}}),
    )
    assert fill(table(Row("LSTM", "x"), columns=columns), [without], lambda *_: config).rows[0][1].text == "–"
    with pytest.raises(UserError, match=r"cache\.test\.pppl.*did you mean cache\.test\.ppl\?"):
        fill(table(Row("LSTM", "x"), columns=columns), [having], lambda *_: config)


def test_an_evaluation_of_another_split_is_a_dash(record, config):
    """What is tuned on valid comes before test."""
    item = replace(record("aaa"), evaluations={"cache": {"valid": [{"metrics": {"ppl": 2.0}, "settings": {}}]}})
    columns = [Column("Cache", metric="cache.test.ppl", format=".4f")]
    assert fill(table(Row("LSTM", "x"), columns=columns), [item], lambda *_: config).rows[0][1].text == "–"


def test_seeds_of_earlier_versions_are_averaged_where_the_data_are_the_same(record, config):
    records = [record("aaa", seed=0), record("bbb", seed=1)]
    records[1].task_version["remark"] = "not the published pairs"
    columns = [Column("Loss", metric="test.nll", format=".2f")]
    grid = fill(table(Row("LSTM", "x"), columns=columns), records, lambda *_: config)
    assert grid.rows[0][1].text == "0.02 ± 0.00 (n=2)"
    assert any("(not the published pairs)" in line for line in grid.origin)


def test_a_missing_baseline_is_a_dash(record, config):
    item = record("aaa")
    item.metrics["baseline"] = {}
    columns = [Column("Baseline", metric="baseline.nll", format=".4f")]
    grid = fill(table(Row("LSTM", "x"), columns=columns), [item], lambda experiment, overrides: config)
    assert grid.rows[0][1].text == "–"


def test_an_experiment_that_cannot_be_composed_names_its_row():
    def compose(experiment, overrides):
        raise UserError("There is no experiment x.")

    with pytest.raises(UserError, match="row 'LSTM' of the table copy cannot be composed: There is no experiment x"):
        fill(table(Row("LSTM", "x")), [], compose)
