"""DP-SGD against a loop over rows, torch's SGD, and a second computation of epsilon."""

import math

import pytest
import torch
from torch import nn

from seqbench.contracts.batch import Batch
from seqbench.contracts.optimizer import StepFacts
from seqbench.contracts.peers import Alone
from seqbench.contracts.task import Sampling
from seqbench.embeddings.learned import LearnedEmbedding
from seqbench.embeddings.one_hot import OneHot
from seqbench.heads.softmax import Softmax
from seqbench.learners.network import Network
from seqbench.models.convolutional.lenet import LeNet
from seqbench.models.other.mlp import MLP
from seqbench.models.recurrent.lstm import LSTM
from seqbench.models.unitary.scornn import SCORNN
from seqbench.optim.dp_sgd import DPSGD

pytest.importorskip("dp_accounting", reason="dp-accounting is not installed (pip install 'seqbench[privacy]')")
N, C = 6, 3


def network(embedding, backbone, per_step=False):
    return Network(embedding, backbone, Softmax(backbone.d_output, C), pool="none" if per_step else "last").double()


def reals(n_steps, n_features):
    return Batch(torch.randn(N, n_steps, n_features, dtype=torch.float64), torch.randint(C, (N,)))


def ids(n_steps=4):
    return torch.randint(5, (N, n_steps))


MADE = {
    "mlp": lambda: (network(OneHot(None, 5), MLP(5, [4])), reals(1, 5)),
    "lenet": lambda: (network(OneHot(None, 64), LeNet(64, [2, 3], 3, [4])), reals(1, 64)),
    "lstm": lambda: (network(LearnedEmbedding(5, 3, None), LSTM(3, 4)), Batch(ids(), torch.randint(C, (N,)))),
    "lstm, one-hot, at each step": lambda: (network(OneHot(5, None), LSTM(5, 4), True), Batch(ids(), ids() % C)),
    "lstm, some steps scored": lambda: (
        network(OneHot(5, None), LSTM(5, 4), True),
        Batch(ids(), ids() % C, valid_BT=torch.arange(4).expand(N, 4) > 1),
    ),
    "scornn": lambda: (network(OneHot(None, 2), SCORNN(2, 4, 2)), reals(5, 2)),
}


def made(name):
    torch.manual_seed(0)
    return MADE[name]()


def optimizer_of(network, **settings):
    sampling = Sampling(n_rows=600, rows_per_step=N)
    return DPSGD(network.parameters(), network, Alone(), sampling, **{"lr": 0.5, "noise": 0.0, **settings})


def take_step(network, batch, optimizer, seed=0):
    scale = 1 / batch.count()
    network.train()
    if isinstance(optimizer, DPSGD):
        optimizer.begin(StepFacts(0, [], batch.count(), scale, seed))
    optimizer.zero_grad()
    (network(batch)[0] * scale).backward()
    optimizer.step()


def assert_close(one: nn.Module, other: nn.Module):
    for weight, expected in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(weight, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", MADE)
def test_without_clipping_and_noise_it_is_sgd(name):
    settings = {"lr": 0.5, "momentum": 0.9, "weight_decay": 0.01}
    private, batch = made(name)
    plain, _ = made(name)
    one, two = optimizer_of(private, clip=None, **settings), torch.optim.SGD(plain.parameters(), **settings)
    for _ in range(2):
        take_step(private, batch, one)
        take_step(plain, batch, two)
    assert_close(private, plain)


@pytest.mark.parametrize("name", MADE)
def test_rows_are_clipped_one_by_one_over_all_weights_together(name):
    private, batch = made(name)
    plain, _ = made(name)
    weights, norms = list(plain.parameters()), []
    rows = []
    for row in range(N):
        alone = batch.map(lambda tensor, row=row: tensor[row : row + 1])
        gradients = torch.autograd.grad(plain(alone)[0] / alone.count(), weights)
        norms.append(float(torch.cat([gradient.flatten() for gradient in gradients]).norm()))
        rows.append(gradients)
    clip = sorted(norms)[N // 2]  # some are clipped, some are not
    take_step(private, batch, optimizer_of(private, clip=clip))
    factors = [min(1, clip / norm) for norm in norms]
    with torch.no_grad():
        for index, weight in enumerate(weights):
            weight -= 0.5 * sum(factor * row[index] for factor, row in zip(factors, rows, strict=True)) / N
    assert_close(private, plain)


def test_noise_is_that_of_the_steps_seed_and_of_the_size_that_is_accounted():
    steps = []
    for seed in (4096, 4096, 8192):
        private, batch = made("lenet")
        plain, _ = made("lenet")
        take_step(private, batch, optimizer_of(private, clip=0.3, noise=2.0, lr=1.0), seed)
        take_step(plain, batch, optimizer_of(plain, clip=0.3, lr=1.0), seed)
        steps.append(
            torch.cat([(a - b).flatten() for a, b in zip(private.parameters(), plain.parameters(), strict=True)])
        )
    assert torch.equal(steps[0], steps[1]) and not torch.equal(steps[0], steps[2])
    noise = torch.cat(steps[1:]) * N  # 230 numbers of N(0, 0.6^2)
    assert float(noise.std()) == pytest.approx(0.6, rel=0.15) and abs(float(noise.mean())) < 0.15


def test_a_batch_of_no_rows_is_noise_alone():
    private, batch = made("mlp")
    plain, _ = made("mlp")
    optimizer = optimizer_of(private, clip=1.0, noise=1.0)
    empty = batch.map(lambda tensor: tensor[:0])
    optimizer.begin(StepFacts(0, [], 1, 1.0, 3))
    private.train()
    private(empty)[0].backward()
    optimizer.step()
    for weight, before in zip(private.parameters(), plain.parameters(), strict=True):
        assert not torch.equal(weight, before) and bool(torch.isfinite(weight).all())


def renyi_epsilon(noise, rate, n_steps, delta):
    """Mironov, Talwar, Zhang 2019, section 3.3, at whole orders, and the conversion of Canonne et al. 2020."""
    best = math.inf
    for order in range(2, 200):
        terms = [
            math.lgamma(order + 1) - math.lgamma(k + 1) - math.lgamma(order - k + 1)
            + (order - k) * math.log1p(-rate) + k * math.log(rate) + k * (k - 1) / (2 * noise**2)
            for k in range(order + 1)
        ]  # fmt: skip
        largest = max(terms)
        divergence = (largest + math.log(sum(math.exp(term - largest) for term in terms))) / (order - 1)
        bound = n_steps * divergence + math.log1p(-1 / order) - (math.log(delta) + math.log(order)) / (order - 1)
        best = min(best, bound)
    return best


@pytest.mark.parametrize("accountant", ["rdp", "pld"])
def test_epsilon_is_the_librarys(accountant):
    import dp_accounting
    from dp_accounting import pld, rdp

    private, batch = made("mlp")
    optimizer = optimizer_of(private, clip=1.0, noise=1.1, accountant=accountant, delta=1e-5)
    assert optimizer.spent() == {"epsilon": 0.0, "delta": 1e-5}
    for step in range(3):
        take_step(private, batch, optimizer, step)
    ledger = {"rdp": rdp.RdpAccountant, "pld": pld.PLDAccountant}[accountant]()
    for _ in range(3):
        ledger.compose(dp_accounting.PoissonSampledDpEvent(N / 600, dp_accounting.GaussianDpEvent(1.1)))
    assert optimizer.spent()["epsilon"] == pytest.approx(ledger.get_epsilon(1e-5), rel=1e-6)
    if accountant == "rdp":  # whose orders are not whole alone
        assert optimizer.spent()["epsilon"] == pytest.approx(renyi_epsilon(1.1, N / 600, 3, 1e-5), rel=0.02)


def test_without_noise_nothing_is_private():
    private, batch = made("mlp")
    optimizer = optimizer_of(private, clip=1.0)
    take_step(private, batch, optimizer)
    assert optimizer.spent()["epsilon"] == math.inf


def test_what_cannot_be_private_is_refused():
    private, _ = made("mlp")
    with pytest.raises(ValueError, match="Poisson sampling, by which this task does not draw its rows"):
        DPSGD(private.parameters(), private, Alone(), None, lr=0.1)
    with pytest.raises(ValueError, match="in units of clip, which is null"):
        optimizer_of(private, clip=None, noise=1.0)
    private.couples_rows = True
    with pytest.raises(ValueError, match="rows influence each other"):
        optimizer_of(private)
