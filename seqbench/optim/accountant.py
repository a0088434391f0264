"""What steps of DP-SGD cost in privacy, by Google's dp-accounting."""

from __future__ import annotations

import math

from seqbench.errors import UserError


def epsilon(noise: float, rate: float, n_steps: int, delta: float, accountant: str) -> float:
    """The epsilon at `delta` of `n_steps` steps, each the Gaussian mechanism with noise of `noise` times a row's
    sensitivity on rows drawn with probability `rate`; neighbours differ by one row more or less. `accountant` is rdp
    (Renyi divergences; Mironov, Talwar, Zhang 2019, arXiv 1908.10530) or pld (privacy loss distributions; Koskela,
    Jalko, Honkela 2020, arXiv 1906.03049). Raises `UserError` where dp-accounting is not installed."""
    if n_steps == 0:
        return 0.0
    if noise == 0:
        return math.inf
    try:
        import dp_accounting
        from dp_accounting import pld, rdp
    except ImportError as error:
        raise UserError("dp_sgd accounts by dp-accounting: pip install 'seqbench[privacy]'.") from error
    event = dp_accounting.PoissonSampledDpEvent(min(1.0, rate), dp_accounting.GaussianDpEvent(noise))
    ledger = rdp.RdpAccountant() if accountant == "rdp" else pld.PLDAccountant()
    return float(ledger.compose(event, n_steps).get_epsilon(delta))
