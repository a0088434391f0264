from __future__ import annotations

import math

import pytest

from seqbench.report.curves import panels_of
from seqbench.report.declaration import Published, Row
from seqbench.report.record import Record


@pytest.fixture
def record(make_record):
    def make(run_id, metric="nll", values=(0.5, 0.1), data="copy", baseline=None, **settings):
        made = make_record(run_id, **settings) | {"curve": {"steps": [5000, 10000], metric: list(values)}}
        made["task_version"]["name"] = data
        made["metrics"]["baseline"] = {} if baseline is None else {metric: baseline}
        return Record(**made)

    return make


def test_each_data_and_metric_has_a_panel(record):
    rows = [
        (Row("Copy: LSTM", "a"), [record("aaa", baseline=0.2), record("bbb", seed=1, baseline=0.2)]),
        (Row("Adding: LSTM", "b"), [record("ccc", metric="mse", data="adding")]),
        (Row("Copy: GRU", "c"), [record("ddd")]),
    ]
    panels = panels_of(rows)
    assert [(one.title, one.metric, [line.label for line in one.lines]) for one in panels] == [
        ("copy", "nll", ["Copy: LSTM (2 seeds)", "Copy: GRU"]),
        ("adding", "mse", ["Adding: LSTM"]),
    ]
    assert [one.baselines for one in panels] == [[0.2], []]


def test_points_and_runs_without_a_curve_are_not_drawn(make_record, record):
    point = Record(**make_record("aaa") | {"curve": {"steps": [10], "nll": [0.5]}})
    assert panels_of([(Row("a", "a"), [point]), (Row("b", "b"), [Record(**make_record("bbb"))])]) == []
    (panel,) = panels_of([(Row("a", "a"), [point]), (Row("b", "b"), [record("bbb")])])
    assert len(panel.lines) == 2


@pytest.mark.parametrize(
    ("path", "value", "percent", "metric", "drawn"),
    [
        ("test.nll", "0.0204", False, "nll", 0.0204),
        ("test.ppl", "114.5", False, "nll", math.log(114.5)),
        ("test.bpc", "1.36", False, "nll", 1.36 * math.log(2)),
        ("test.accuracy", "95.4", True, "error", 0.046),
        ("valid.nll", "0.0204", False, "nll", None),  # the curve is on valid already; papers' lines are those of test
        ("test.bleu", "27.3", False, "nll", None),
    ],
)
def test_the_published_number_in_the_unit_of_the_curve(record, path, value, percent, metric, drawn):
    row = Row("a", "a", published={path: Published(value, "B", "P", percent)})
    assert panels_of([(row, [record("aaa", metric=metric)])])[0].lines[0].published == pytest.approx(drawn)


def test_a_partial_run_is_not_held_against_the_published_number(record):
    row = Row("a", "a", published={"test.nll": Published("0.1", "B", "P")}, partial="1 of 9 epochs")
    assert panels_of([(row, [record("aaa")])])[0].lines[0].published is None


@pytest.mark.parametrize(
    ("x", "positions"),
    [("steps", [5000, 10000]), ("hours", [812.3 / 7200, 812.3 / 3600]), ("tokens", [25011 * 406.15, 25011 * 812.3])],
)
def test_over_steps_hours_or_tokens(record, x, positions):
    assert panels_of([(Row("a", "a"), [record("aaa")])], x)[0].lines[0].runs[0][0] == pytest.approx(positions)
