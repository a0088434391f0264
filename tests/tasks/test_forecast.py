"""Made series against their recursions, their best forecasts against closed forms; errors, windows and real data."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from seqbench.data.errors import DataError
from seqbench.data.random_bits import philox
from seqbench.embeddings.one_hot import OneHot
from seqbench.heads.direct import Direct
from seqbench.learners.network import Network
from seqbench.models.recurrent.arma import ARMA
from seqbench.tasks.forecast.bike_flow import BikeFlow
from seqbench.tasks.forecast.errors import Errors
from seqbench.tasks.forecast.exchange_rate import ExchangeRate
from seqbench.tasks.forecast.process import MadeSeries
from seqbench.tasks.forecast.processes import NAMES, PROCESSES, make
from seqbench.tasks.synthetic.input_output import normal

# best RMSE and that of the mean: closed forms, but for the processes whose mean has none
CLOSED_FORMS = {
    "arma": (2.0, 2.166),
    "tar": (1.0, 2.294),
    "sgn": (1.0, math.sqrt(2)),
    "nar": (1.0, 1.004),
    "heteroskedastic": (1.0, 1.224),
    "varma": (1.0, None),
    "sq": (1.768, None),
    "tar_intended": (1.0, None),
    "seasonal": (1.0, None),
}


def written_out(name: str, y, e, t: int):
    """y_t, of floats and lists."""
    if name == "tar":
        return 0.9 * y[t - 1] + e[t]
    if name == "tar_intended":
        return (0.9 if abs(y[t - 1]) <= 1 else -0.3) * y[t - 1] + e[t]
    if name == "sgn":
        return (y[t - 1] > 0) * 1.0 - (y[t - 1] < 0) * 1.0 + e[t]
    if name == "nar":
        return 0.7 * abs(y[t - 1]) / (abs(y[t - 1]) + 2) + e[t]
    if name == "heteroskedastic":
        return e[t] - 0.4 * e[t - 1] + 0.3 * e[t - 2] + 0.5 * e[t - 1] * e[t - 2]
    return 0.5 * y[t - 1] + 0.6 * y[t - 12] - 0.3 * y[t - 13] + e[t]


@pytest.mark.parametrize("name", ["tar", "tar_intended", "sgn", "nar", "heteroskedastic", "seasonal"])
def test_a_process_is_its_recursion(name):
    made = make(PROCESSES[name], np.random.default_rng(0).normal(size=(300, 1)))
    y, e = made.values_NK[:, 0], made.innovations_NK[:, 0]
    expected = [written_out(name, y.tolist(), e.tolist(), t) for t in range(13, len(y))]
    np.testing.assert_allclose(y[13:], expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(made.values_NK - made.expected_NK, made.innovations_NK, rtol=0, atol=1e-12)


def test_arma_is_the_filters():
    task = MadeSeries(beta=[0.5, -0.2], gamma=[0.3], noise=3.0)
    e_T = normal(philox(0, 0xA12A).random_raw(2200).reshape(1100, 2))[:, 0]
    np.testing.assert_allclose(
        task.values_NK[:, 0], lfilter([1, 0.3], [1, -0.5, 0.2], 3 * e_T)[100:], rtol=0, atol=1e-10
    )


def test_pairs_and_matrices():
    draw = np.random.default_rng(0).normal(size=(300, 2))
    for name, function in (("sq", np.square), ("exp", np.exp)):
        made = make(PROCESSES[name], draw)
        (x, y), (e, noise) = made.values_NK.T, made.innovations_NK.T
        np.testing.assert_allclose(x[1:], 0.6 * x[:-1] + e[1:], atol=1e-12)
        np.testing.assert_allclose(y, function(x) + noise, atol=1e-12)
    made = make(PROCESSES["varma"], draw)
    y, e = made.values_NK, made.innovations_NK
    first = 0.1 * y[:-1, 0] - 0.2 * y[:-1, 1] - 0.4 * e[:-1, 0] + 0.2 * e[:-1, 1] + e[1:, 0]
    second = -0.2 * y[:-1, 0] + 0.1 * y[:-1, 1] + 0.2 * e[:-1, 0] - 0.4 * e[:-1, 1] + e[1:, 1]
    np.testing.assert_allclose(y[1:], np.stack([first, second], 1), atol=1e-12)


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_the_best_forecasts_error_is_its_closed_form(name):
    """Of 60,000 rows, whose RMSE is within 1.5 % of the process's: five standard errors."""
    task = MadeSeries(name, train_size=100, valid_size=1, test_size=60_000)
    best, of_mean = CLOSED_FORMS[name]
    assert task.baseline["rmse_closed_form"] == pytest.approx(best, abs=5e-4)
    assert task.baseline["rmse_of_best"] == pytest.approx(best, rel=0.015)
    if of_mean is not None:
        y_N = task.values_NK[101:, 0]
        assert y_N.std() == pytest.approx(of_mean, rel=0.02)
    assert task.baseline["rmse_of_best"] < task.baseline["rmse_of_mean"]


def test_exp_has_a_heavy_tail():
    task = MadeSeries("exp", train_size=100, valid_size=1, test_size=60_000)
    assert task.baseline["rmse_closed_form"] == pytest.approx(2.862, abs=5e-4)
    assert task.baseline["rmse_of_best"] == pytest.approx(2.862, rel=0.1)


def test_every_process_is_tested():
    assert {*CLOSED_FORMS, "exp"} == set(NAMES)


def test_a_window_ends_with_the_row_that_is_scored():
    task = MadeSeries(train_size=30, valid_size=12, test_size=9, window=4, batch_size=5, eval_batch_size=5)
    y_N = task.values_NK[:, 0].astype(np.float32)
    batch = task.batch("valid", 0)
    assert batch.inputs[0, :, 0].tolist() == y_N[26:30].tolist()
    assert batch.targets[0, :, 0].tolist() == y_N[27:31].tolist()
    assert batch.valid_BT.tolist() == [[False, False, False, True]] * 5
    scored = {
        split: sorted(
            value for i in range(task.n_batches(split)) for value in task.batch(split, i).targets[:, -1, 0].tolist()
        )
        for split in ("train", "valid", "test")
    }
    for split, rows in (("train", slice(4, 30)), ("valid", slice(30, 42)), ("test", slice(42, 51))):
        assert scored[split] == sorted(y_N[rows].tolist())


def test_the_cell_with_the_processs_coefficients_is_the_best_forecast():
    """But for what a window cuts off."""
    task = MadeSeries(train_size=300, valid_size=300, test_size=2000, window=30)
    cell = ARMA(1, p=2, q=1)
    cell.set_coefficients(*task.coefficients().values())
    learner = Network(OneHot(None, 1), cell, Direct(1, 1)).eval()
    sums = task.evaluate(learner, (task.batch("test", i) for i in range(task.n_batches("test"))))
    metrics = task.metrics(sums)
    for name in ("rmse", "mae", "mase", "smape"):
        assert metrics[name] == pytest.approx(task.baseline[f"{name}_of_best"], rel=1e-4)
    assert metrics["n_targets"] == 2000


def test_errors_are_their_definitions():
    train = np.array([[1.0, 10.0], [2.0, 10.0], [4.0, 10.0]])
    errors = Errors(train, 1, mean_R=np.array([2.0, 10.0]), deviation_R=np.array([2.0, 1.0]))
    forecast, value = np.array([[3.0, 0.0], [0.0, 0.0]]), np.array([[1.0, 8.0], [0.0, 0.0]])  # in the file's units
    standard = [(each - [2.0, 10.0]) / [2.0, 1.0] for each in (forecast, value)]
    metrics = errors.baseline(*standard)
    assert metrics["mae_original"] == pytest.approx((2 + 8) / 4)
    assert metrics["mse"] == pytest.approx((1 + 64) / 4) and metrics["rmse_original"] == pytest.approx(math.sqrt(17))
    assert metrics["mase"] == pytest.approx((2 / 1.5 + 8 / 1.0) / 4)  # a constant column by its own units
    assert metrics["smape"] == pytest.approx((2 * 2 / 4 + 2) / 4)


def test_what_it_is_not():
    for settings, sentence in (
        ({"process": "tarr"}, "task.process is one of arma, tar, .*not 'tarr'"),
        ({"process": "tar", "beta": [0.5]}, "beta, gamma and noise are of process=arma, not tar"),
        ({"beta": [0.5, 0.6]}, "not stationary"),
        ({"gamma": [1.5]}, "not invertible"),
        ({"train_size": 10}, "task.window=10 leaves none of the 10 rows of train"),
    ):
        with pytest.raises(ValueError, match=sentence):
            MadeSeries(**settings)


def test_exchange_rates_are_changes_standardised_by_what_comes_before_test(tmp_path, monkeypatch):
    from made_arrays import make_exchange_rate

    rates = make_exchange_rate(tmp_path, monkeypatch)
    task = ExchangeRate(4, 5, 7, 0.3, 0.3, 0, tmp_path / "data", str(tmp_path))
    change = rates[1:] / rates[:-1] - 1
    n_before = round(0.7 * len(change))
    expected = (change - change[:n_before].mean(0)) / change[:n_before].std(0)
    np.testing.assert_allclose(task.values_NK, expected, atol=1e-12)
    assert task.baseline["rmse_of_mean"] == pytest.approx(math.sqrt((expected[n_before:] ** 2).mean()))
    assert task.batch("test", 0).targets[0, -1].tolist() == pytest.approx(expected[n_before].tolist(), rel=1e-6)


def test_bike_flow_is_scaled_logarithms_in_sequences(tmp_path, monkeypatch):
    from made_arrays import make_bike_flow

    frames = make_bike_flow(tmp_path, monkeypatch)
    task = BikeFlow(6, 2, 2, 3, 0, tmp_path / "data", str(tmp_path))
    scaled = np.minimum(np.log1p(frames["test"]) / np.log1p(frames["train"].max()), 1).reshape(len(frames["test"]), -1)
    batches = [task.batch("test", i) for i in range(task.n_batches("test"))]
    scored = torch.cat([batch.targets[batch.valid_BT] for batch in batches]).numpy()
    np.testing.assert_allclose(scored, scaled[[i for i in range(len(scaled)) if i % 6 >= 2]], atol=1e-6)
    before = torch.cat([batch.inputs[batch.valid_BT] for batch in batches]).numpy()
    counts = [np.expm1(each * np.log1p(frames["train"].max())) for each in (before, scored)]
    assert task.baseline["rmse"] == pytest.approx(math.sqrt(((before - scored) ** 2).mean()), rel=1e-5)
    assert task.baseline["mae_original"] == pytest.approx(np.abs(counts[0] - counts[1]).mean(), rel=1e-5)
    naive = np.abs(np.diff(frames["train"].astype(float), axis=0)).mean()
    assert task.baseline["mase"] == pytest.approx(task.baseline["mae_original"] / naive, rel=1e-5)
    with pytest.raises(ValueError, match=r"task\.first_scored=6 leaves none"):
        BikeFlow(6, 6, 2, 3, 0, tmp_path / "data", str(tmp_path))


def test_a_file_that_is_no_bike_flow(tmp_path):
    (tmp_path / "bike_flow.npz").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match=r"bike_flow\.npz cannot be read"):
        BikeFlow(6, 2, 2, 3, 0, tmp_path / "data", str(tmp_path))
