"""Coefficients read from a cell, beside the truth and statsmodels' fit."""

import pytest
import torch

from seqbench.analysis.arma_coefficients import ARMACoefficients, fit
from seqbench.contracts.analysis import Subject
from seqbench.embeddings.one_hot import OneHot
from seqbench.errors import UserError
from seqbench.heads.direct import Direct
from seqbench.heads.squared_error import SquaredError
from seqbench.learners.network import Network
from seqbench.models.recurrent.arma import ARMA
from seqbench.models.recurrent.rnn import RNN
from seqbench.tasks.forecast.process import MadeSeries


def subject(task, backbone, head=None) -> Subject:
    n_series = task.inputs.n_features
    learner = Network(OneHot(None, n_series), backbone, head or Direct(n_series, n_series))
    return Subject(task, learner.eval(), 0, lambda: iter(()))


def cell(task, p: int, q: int, off: float) -> ARMA:
    """The task's coefficients, all but the last moved by `off`."""
    model = ARMA(task.inputs.n_features, p=p, q=q).double()
    truth = task.coefficients()
    truth["beta"] = truth["beta"] + off
    model.set_coefficients(**{f"{name}_{'p' if name == 'beta' else 'q'}KK": value for name, value in truth.items()})
    return model


def test_one_series_beside_what_made_it():
    task = MadeSeries()
    numbers = ARMACoefficients()(subject(task, cell(task, 2, 1, 0.25))).numbers
    expected = {"beta_1": 0.35, "beta_2": 0.55, "gamma_1": -0.4, "error": 0.25}
    expected |= {"truth.beta_1": 0.1, "truth.beta_2": 0.3, "truth.gamma_1": -0.4}
    assert numbers == pytest.approx(expected)


def test_matrices_have_rows_and_columns():
    task = MadeSeries("varma")
    numbers = ARMACoefficients()(subject(task, cell(task, 1, 1, 0.0))).numbers
    assert numbers["beta_1.0.1"] == pytest.approx(-0.2) and numbers["gamma_1.0.0"] == pytest.approx(-0.4)
    assert numbers["error"] == pytest.approx(0, abs=1e-12)


def test_another_order_has_no_distance_to_the_truth():
    numbers = ARMACoefficients()(subject(MadeSeries(), ARMA(1, p=1, q=1))).numbers
    assert numbers.keys() == {"beta_1", "gamma_1", "truth.beta_1", "truth.beta_2", "truth.gamma_1"}


def test_statsmodels_finds_the_process():
    pytest.importorskip("statsmodels", reason="statsmodels is not installed (pip install 'seqbench[forecast]')")
    task = MadeSeries(train_size=4000)
    numbers = ARMACoefficients(statsmodels=True)(subject(task, cell(task, 2, 1, 0.25))).numbers
    fitted = fit(task.training_rows()[:, 0], 2, 1)
    assert fitted == pytest.approx({"beta_1": 0.1, "beta_2": 0.3, "gamma_1": -0.4}, abs=0.1)  # three standard errors
    assert {name: numbers[f"statsmodels.{name}"] for name in fitted} == fitted
    distance = max(abs(numbers[name] - value) for name, value in fitted.items())
    assert numbers["statsmodels.distance"] == pytest.approx(distance)
    assert numbers["statsmodels.error"] == pytest.approx(
        max(abs(numbers[f"truth.{name}"] - value) for name, value in fitted.items())
    )


def test_the_cells_forecasts_are_statsmodels():
    """Of one model, given its coefficients: the Kalman filter's one-step forecasts, once the start is forgotten."""
    arima = pytest.importorskip(
        "statsmodels.tsa.arima.model", reason="statsmodels is not installed (pip install 'seqbench[forecast]')"
    )
    y_N = MadeSeries().values_NK[:300, 0]
    model = arima.ARIMA(y_N, order=(2, 0, 1), trend="n")
    forecast_N = model.smooth([0.1, 0.3, -0.4, 4.0]).predict(0, 299)
    unit = ARMA(1, p=2, q=1).double()
    unit.set_coefficients(torch.tensor([0.1, 0.3]).double().view(2, 1, 1), torch.tensor([[[-0.4]]]).double())
    own_N = unit(torch.from_numpy(y_N).view(1, -1, 1))[0][0, :-1, 0].detach()
    torch.testing.assert_close(own_N[40:], torch.from_numpy(forecast_N[41:]), rtol=0, atol=1e-6)


def test_what_it_is_not_for():
    task = MadeSeries()
    for backbone, head, sentence in (
        (RNN(1, 1), None, "is for model=arma"),
        (ARMA(1), SquaredError(1, 1), "head=direct"),
        (ARMA(1, n_layers=2), None, "one layer of one linear unit"),
    ):
        with pytest.raises(UserError, match=sentence):
            ARMACoefficients()(subject(task, backbone, head))
    with pytest.raises(UserError, match="for one made series"):
        ARMACoefficients(statsmodels=True)(subject(MadeSeries("varma"), ARMA(2)))
