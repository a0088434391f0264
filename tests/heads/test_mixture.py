"""The mixture of Gaussians against torch.distributions."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from seqbench.heads.mixture import DEVIATION, Mixture

D, R, K, N = 5, 3, 4, 7


def drawn(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def test_it_is_the_density_of_torchs_distributions():
    torch.manual_seed(0)
    head, y_ND, x_NR = Mixture(D, R, K, min_deviation=0.01).double(), drawn(N, D), drawn(N, R)
    z_NC = head.readout(y_ND)
    logit_NK, mean_NKR, spread_NKR = z_NC[:, :K], z_NC[:, K : K + K * R], z_NC[:, K + K * R :]
    components = Normal(mean_NKR.reshape(N, K, R), F.softplus(spread_NKR.reshape(N, K, R)) + 0.01)
    density = MixtureSameFamily(Categorical(logits=logit_NK), Independent(components, 1))
    torch.testing.assert_close(head.losses(z_NC, x_NR), -density.log_prob(x_NR))


def test_one_component_is_a_gaussian_as_it_begins():
    head = Mixture(D, R, n_components=1, min_deviation=1e-9).double()
    mean_R = head.linear.bias[1 : 1 + R]
    loss = head.losses(head.readout(torch.zeros(1, D, dtype=torch.float64)), mean_R[None].detach())
    assert loss.item() == pytest.approx(R * (0.5 * math.log(2 * math.pi) + math.log(DEVIATION)))


def test_a_far_target_has_a_finite_loss_and_gradient():
    head = Mixture(D, R, K)
    loss = head.losses(head.readout(torch.zeros(1, D)), torch.full((1, R), 1e4))
    loss.sum().backward()
    assert loss.isfinite().all() and head.linear.bias.grad.isfinite().all()
