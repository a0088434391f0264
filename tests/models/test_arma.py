"""The ARMA cell against the recursion of an ARMA model's innovations, and its coefficients against those put in."""

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from seqbench.models.recurrent.arma import ARMA

N = 300


def polynomials(beta, gamma) -> tuple[list[float], list[float]]:
    """Of the lag operator, of y and of e: (1 - sum beta L^i) y = (1 + sum gamma L^j) e."""
    return [1.0, *(-b for b in beta)], [1.0, *gamma]


def cell(beta, gamma) -> ARMA:
    """One linear unit of one series with these coefficients."""
    model = ARMA(1, p=len(beta), q=len(gamma)).double()
    model.set_coefficients(*(torch.tensor(values, dtype=torch.float64).view(-1, 1, 1) for values in (beta, gamma)))
    return model


def forecasts(model: ARMA, y_TK: np.ndarray) -> np.ndarray:
    """(T, D): row t forecasts y_t, the first from nothing."""
    with torch.no_grad():
        v_TD = model(torch.from_numpy(np.concatenate([np.zeros_like(y_TK[:1]), y_TK[:-1]]))[None])[0][0]
    return v_TD.numpy()


@pytest.mark.parametrize(
    ("beta", "gamma"),
    [
        ([0.1, 0.3], [-0.4]),
        ([0.9], []),
        ([0.5], [0.4, -0.3, 0.2]),  # q > p
        ([], [0.5, 0.3]),
        ([0.2, -0.3, 0.1], [0.3, 0.2, -0.4]),
    ],
)
def test_y_less_the_forecast_is_the_innovation(beta, gamma):
    e_T = 2 * np.random.default_rng(0).normal(size=N)
    of_y, of_e = polynomials(beta, gamma)
    y_T = lfilter(of_e, of_y, e_T)
    innovation_T = y_T - forecasts(cell(beta, gamma), y_T[:, None])[:, 0]
    np.testing.assert_allclose(innovation_T, lfilter(of_y, of_e, y_T), rtol=0, atol=1e-12)
    np.testing.assert_allclose(innovation_T, e_T, rtol=0, atol=1e-12)


def test_a_wrong_start_is_forgotten():
    """Of a series that has begun before; the moving average's root is 0.4."""
    e_T = np.random.default_rng(1).normal(size=N)
    of_y, of_e = polynomials([0.1, 0.3], [-0.4])
    y_T = lfilter(of_e, of_y, e_T)[100:]
    error_T = np.abs(y_T - forecasts(cell([0.1, 0.3], [-0.4]), y_T[:, None])[:, 0] - e_T[100:])
    assert error_T[0] > 0.01 and error_T[25:].max() < 1e-8


def test_several_series_with_matrices():
    """y_t = A1 y_{t-1} + A2 y_{t-2} + M e_{t-1} + e_t, written out."""
    draw = np.random.default_rng(2)
    a_2KK, m_KK = 0.3 * draw.normal(size=(2, 3, 3)), 0.3 * draw.normal(size=(3, 3))
    e_TK, y_TK = draw.normal(size=(N, 3)), np.zeros((N, 3))
    for t in range(N):
        y_TK[t] = e_TK[t]
        if t >= 1:
            y_TK[t] += a_2KK[0] @ y_TK[t - 1] + m_KK @ e_TK[t - 1]
        if t >= 2:
            y_TK[t] += a_2KK[1] @ y_TK[t - 2]
    model = ARMA(3, p=2, q=1).double()
    model.set_coefficients(torch.from_numpy(a_2KK), torch.from_numpy(m_KK)[None])
    np.testing.assert_allclose(y_TK - forecasts(model, y_TK), e_TK, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("p", "q"), [(2, 1), (1, 3), (2, 2), (0, 2), (2, 0)])
def test_coefficients_are_those_put_in(p, q):
    beta, gamma, alpha = torch.randn(p, 2, 2).double(), torch.randn(q, 2, 2).double(), torch.randn(2).double()
    model = ARMA(2, p=p, q=q).double()
    model.set_coefficients(beta, gamma, alpha)
    for name, value in (("alpha", alpha), ("beta", beta), ("gamma", gamma)):
        torch.testing.assert_close(model.coefficients()[name], value, rtol=0, atol=1e-14)


def test_the_mapping_in_numbers():
    """K_i = beta_i + gamma_i, R_j = -gamma_j."""
    model = cell([0.1, 0.3], [-0.4])
    (layer,) = model.layers
    assert layer.K.flatten().tolist() == pytest.approx([-0.3, 0.3])
    assert layer.R.flatten().tolist() == pytest.approx([0.4])


def test_units_do_not_mix():
    """Each is what it is alone, the linear one first."""
    torch.manual_seed(0)
    x_BTK = torch.randn(2, 9, 3).double()
    model = ARMA(3, p=2, q=2, linear_units=1, units=2, init_range=0.5).double()
    y_BTUK = model(x_BTK)[0].unflatten(-1, (3, 3))
    for unit in range(3):
        alone = ARMA(3, p=2, q=2, linear_units=int(unit == 0), units=int(unit > 0)).double()
        for name in ("K", "R", "b"):
            value, axis = getattr(model.layers[0], name).detach(), 0 if name == "b" else 1
            getattr(alone.layers[0], name).data = value.narrow(axis, unit, 1).clone()
        torch.testing.assert_close(y_BTUK[:, :, unit], alone(x_BTK)[0], rtol=1e-12, atol=1e-12)
    assert (y_BTUK[:, :, 0] < 0).any() and (y_BTUK[:, :, 1:] >= 0).all()


def test_a_second_layer_reads_the_first_ones_outputs():
    torch.manual_seed(0)
    x_BTK = torch.randn(2, 9, 1).double()
    model = ARMA(1, p=2, q=2, linear_units=0, units=3, n_layers=2, init_range=0.5).double()
    first = ARMA(1, p=2, q=2, linear_units=0, units=3).double()
    second = ARMA(3, p=2, q=2, linear_units=0, units=3).double()
    for index, part in enumerate((first, second)):
        part.layers[0].load_state_dict(model.layers[index].state_dict())
    torch.testing.assert_close(model(x_BTK)[0], second(first(x_BTK)[0])[0])
    assert model.d_output == 9


def test_what_it_is_not():
    with pytest.raises(ValueError, match="p and q are not both 0"):
        ARMA(1, p=0, q=0)
    with pytest.raises(ValueError, match="linear_units and units are not both 0"):
        ARMA(1, linear_units=0)
    for settings in ({"linear_units": 2}, {"units": 1}, {"n_layers": 2}, {"linear_units": 0, "units": 1}):
        with pytest.raises(ValueError, match="one layer of one linear unit"):
            ARMA(1, **settings).coefficients()
