"""Series from a CSV file: what is read, what is predicted from what, and the errors, recomputed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import real_data
import torch
from said import one_sentence, run_id

from seqbench.contracts.batch import Batch
from seqbench.data.errors import DataError
from seqbench.data.series.table import read_table
from seqbench.tasks.forecast.series import Series

VALUES = np.random.default_rng(0).normal([3, -50, 0.01], [2, 10, 0.001], (400, 3)).cumsum(0)
HEADER = "date,a,b,c"
TRAIN, VALID = 320, 360  # the first rows of valid and test
SMALL = ["task=series", "model=lstm", "model.hidden_size=6", "optimizer=adam", "train.max_steps=3", "train.threads=1"]
SMALL += ["task.batch_size=4", "task.window=9", "data_dir=data"]


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "mine.csv"
    rows = [f"2001-{i},{','.join(map(repr, row))}" for i, row in enumerate(VALUES.tolist())]
    path.write_bytes("\r\n".join([HEADER, *rows]).encode())
    return path


def series(file: Path, **changes) -> Series:
    settings = {"columns": None, "targets": None, "horizon": 1, "window": 9, "batch_size": 4, "eval_window": 7}
    settings |= {"valid_share": 0.1, "test_share": 0.1, "data_sha256": None}
    return Series(**{**settings, **changes}, data_dir=file.parent / "data", source=str(file))


def whole(task: Series, split: str) -> Batch:
    first, *more = [task.batch(split, index) for index in range(task.n_batches(split))]
    return first.followed_by(more)


@pytest.mark.parametrize("horizon", [1, 5])
def test_a_target_is_the_row_that_many_ahead(horizon, file):
    task = series(file, horizon=horizon)
    standard = (VALUES - VALUES[:TRAIN].mean(0)) / VALUES[:TRAIN].std(0)
    for split, first, end in (("valid", TRAIN, VALID), ("test", VALID, 400)):
        batch = whole(task, split)
        np.testing.assert_allclose(batch.targets[0], standard[first:end], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(batch.inputs[0], standard[first - horizon : end - horizon], rtol=1e-5, atol=1e-6)
    train = whole(task, "train")
    length = (TRAIN - horizon) // 4
    assert train.inputs.shape == (4, length // 9 * 9, 3)
    for row in range(4):
        rows = row * length + np.arange(length // 9 * 9)
        np.testing.assert_allclose(train.inputs[row], standard[rows], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(train.targets[row], standard[rows + horizon], rtol=1e-5, atol=1e-6)


def test_the_baselines_are_the_last_value_and_the_mean_of_train(file):
    baseline = series(file, horizon=2, targets=["c", "a"]).baseline
    test, before = VALUES[VALID:, [2, 0]], VALUES[VALID - 2 : 398, [2, 0]]
    deviation = VALUES[:TRAIN, [2, 0]].std(0)
    expected = {
        "mse": (((test - before) / deviation) ** 2).mean(),
        "mae_original": np.abs(test - before).mean(),
        "rmse_original_of_mean": ((test - VALUES[:TRAIN, [2, 0]].mean(0)) ** 2).mean() ** 0.5,
        "mae_of_mean": np.abs((test - VALUES[:TRAIN, [2, 0]].mean(0)) / deviation).mean(),
    }
    assert {name: baseline[name] for name in expected} == pytest.approx(expected)


def test_the_errors_of_a_run_are_those_of_its_predictions(seqbench, file, tmp_path):
    """Of a run whose weights are read from its checkpoint and used here."""
    code, said, errors = seqbench("train", *SMALL, "source=mine.csv", "task.horizon=3", "task.targets=[b]")
    assert (code, errors) == (0, "") and "Memoryless baseline: mae" in said
    (record,) = (json.loads(path.read_text()) for path in (tmp_path / "results" / "runs").glob("*.json"))
    best = next((tmp_path / "outputs").glob("*/checkpoints/best*.pt"))
    weights = torch.load(best, weights_only=True)["network"]
    task = series(file, horizon=3, targets=["b"])
    lstm = torch.nn.LSTM(3, 6, batch_first=True)
    prefix = "backbone.layers.0."
    lstm.load_state_dict({name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)})
    batch = whole(task, "test")
    y_1TD = lstm(batch.inputs)[0].double()
    prediction_T = (y_1TD @ weights["head.linear.weight"].double().T + weights["head.linear.bias"].double())[0, :, 0]
    error_T = (prediction_T - batch.targets[0, :, 0].double()).detach().numpy()
    original_T, value_T = error_T * VALUES[:TRAIN, 1].std(), VALUES[VALID:, 1]
    expected = {
        "mse": (error_T**2).mean(),
        "mae": np.abs(error_T).mean(),
        "rmse": (error_T**2).mean() ** 0.5,
        "mse_original": (original_T**2).mean(),
        "mae_original": np.abs(original_T).mean(),
        "rmse_original": (original_T**2).mean() ** 0.5,
        "mase": np.abs(original_T).mean() / np.abs(VALUES[3:TRAIN, 1] - VALUES[: TRAIN - 3, 1]).mean(),
        "smape": (2 * np.abs(original_T) / (np.abs(original_T + value_T) + np.abs(value_T))).mean(),
        "n_targets": 40,
    }
    assert record["metrics"]["test"] == pytest.approx(expected, rel=1e-4)


def test_another_file_is_another_run_and_a_moved_one_is_the_same(seqbench, file, tmp_path):
    first = run_id(seqbench, *SMALL, "source=mine.csv")
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(file.read_bytes()))
    assert run_id(seqbench, *SMALL, "source=packed.csv.gz") == first
    file.write_bytes(file.read_bytes().replace(b"2001-7,", b"2001-7,1"))
    assert run_id(seqbench, *SMALL, "source=mine.csv") != first


@pytest.mark.parametrize(
    ("text", "columns", "chosen", "values"),
    [
        ("a;b\n1;2\n3;4\n", None, ["a", "b"], [[1, 2], [3, 4]]),
        ("\ufeffa,b\r\n1,2\r\n\r\n3,4", ["b"], ["b"], [[2], [4]]),
        ("1,2\n3,4\n", None, ["1", "2"], [[1, 2], [3, 4]]),
        ('day,"a, b"\nmon,1e3\ntue,"-2"\n', None, ["a, b"], [[1000], [-2]]),
        ("x\ty\n1\t2\n", ["y", "x"], ["y", "x"], [[2, 1]]),
    ],
)
def test_tables(text, columns, chosen, values, tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode())
    table = read_table(path, columns)
    assert table.columns == chosen and table.values.tolist() == values


@pytest.mark.parametrize(
    ("text", "columns", "complaint"),
    [
        (
            "a,b\n1,2\n3,\n",
            None,
            r"^line 3 of .*table\.csv has '' in the column 'b', which is no number; fill it in, or",
        ),
        ("a,b\n1,2\n3,nan\n", None, "line 3 of .* has 'nan' in the column 'b'"),
        ("a,b\n1,2\n3\n", None, "line 3 of .* has 1 cells where the first line has 2"),
        ("a,b\n", None, "has no row of numbers"),
        ("", None, "has no row of numbers"),
        ("a,b\nx,y\n", None, "has no column that begins with a number; its columns are a, b"),
        ("alpha,b\n1,2\n", ["alphs"], r"has no column 'alphs' \(did you mean alpha\?\)"),
        ("a,a\n1,2\n", ["a"], "has more than one column 'a'"),
        ("a,b\n1,2\n", ["c"], "has no column 'c'"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_sentence(text, columns, complaint, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=complaint):
        read_table(path, columns)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ([], "task=series reads a CSV file of your own: name it as source=<file>."),
        (["source=nowhere.csv"], "source=nowhere.csv does not exist; name a CSV file (or .csv.gz)."),
        (["source=mine.csv", "task.targets=[d]"], "task.targets names 'd', which is not a column"),
        (
            ["source=mine.csv", "task.window=200"],
            "320 rows of train give no window of task.window=200 rows in task.batch",
        ),
        (["source=mine.csv", "task.valid_share=0.001"], "No row of 400 falls to valid: make task.valid_share larger."),
    ],
)
def test_a_mistake_is_one_sentence(settings, complaint, seqbench, file, tmp_path):
    code, _, errors = seqbench("train", *SMALL, *settings)
    assert code == 2 and complaint in one_sentence(errors)
    assert not (tmp_path / "outputs").exists()


def test_exchange_rates(tmp_path):
    """The real file, whose first column has no name and holds dates."""
    path = real_data.folder("exchange_rate", "exchange_processed.csv") / "exchange_processed.csv"
    table = read_table(path, None)
    assert table.values.shape == (6_101, 8) and table.left_out == [""]
    assert table.columns[0] == "Australia" and table.values[0, 0] == 0.78549998998642
