"""EKFAC and KFAC against dense Fisher matrices of rows' gradients, in float64.

Shapes: N rows, A inputs and a constant, O outputs of a map; a dense Fisher matrix is (O A, O A).
"""

import pytest
import torch
from torch import nn

from seqbench.contracts.backbone import Backbone
from seqbench.contracts.batch import Batch
from seqbench.contracts.optimizer import StepFacts
from seqbench.contracts.peers import Alone
from seqbench.embeddings.learned import LearnedEmbedding
from seqbench.embeddings.one_hot import OneHot
from seqbench.heads.softmax import Softmax
from seqbench.learners.network import Network
from seqbench.models.convolutional.lenet import LeNet
from seqbench.models.other.mlp import MLP
from seqbench.models.recurrent.gru import GRU
from seqbench.models.recurrent.lstm import LSTM
from seqbench.optim.ekfac import EKFAC
from seqbench.optim.kronecker import eigenbasis

N, C = 7, 3


class Nothing(Backbone):
    """No layer: with a head, softmax regression."""

    def forward(self, x, state=None):
        return x, None, None


def images(side=8):
    torch.manual_seed(0)
    net = Network(OneHot(None, side**2), LeNet(side**2, [2, 3], 3, [5, 4]), Softmax(4, C), pool="last")
    return net.double(), Batch(torch.randn(N, 1, side**2, dtype=torch.float64), torch.randint(C, (N,)))


def vectors():
    torch.manual_seed(0)
    net = Network(OneHot(None, 6), MLP(6, [5, 4], "tanh"), Softmax(4, C), pool="last")
    return net.double(), Batch(torch.randn(N, 1, 6, dtype=torch.float64), torch.randint(C, (N,)))


def words(make_backbone, n_steps=4):
    torch.manual_seed(0)
    net = Network(LearnedEmbedding(6, 4, None), make_backbone(4, 5), Softmax(5, C), pool="last")
    return net.double(), Batch(torch.randint(6, (N, n_steps)), torch.randint(C, (N,)))


NETWORKS = {
    "mlp": vectors,
    "lenet": images,
    "lstm": lambda: words(LSTM),
    "lstm, as many steps as rows": lambda: words(LSTM, N),
    "gru": lambda: words(GRU),
}


def made(network, **settings):
    return EKFAC(network.parameters(), network, Alone(), **{"lr": 1.0, "momentum": 0.0, **settings})


def gradients_of_rows(network, batch):
    """By autograd, one row after the other, the compiled loops among them."""
    names, weights = zip(*network.named_parameters(), strict=True)
    network.eval()
    for row in range(batch.size):
        loss_sum = network(batch.map(lambda tensor, row=row: tensor[row : row + 1]))[0]
        yield dict(zip(names, torch.autograd.grad(loss_sum, weights), strict=True))


def backward(network, optimizer, batch, loss_scale=None):
    scale = loss_scale or 1 / batch.count()
    network.train()
    optimizer.begin(StepFacts(0, [], batch.count(), scale, 0))
    optimizer.zero_grad()
    (network(batch)[0] * scale).backward()


def matrix(gradients, name):
    """(O, A), the bias of the map as the last column."""
    weight = gradients[name].flatten(1)
    bias = gradients.get(name.replace("weight", "bias")) if "weight" in name else None
    return weight if bias is None else torch.cat([weight, bias[:, None]], 1)


def dense_fisher(matrices):
    flat = torch.stack([one.flatten() for one in matrices])
    return flat.T @ flat / len(flat)


@pytest.mark.parametrize("name", NETWORKS)
def test_scalings_are_the_diagonal_of_the_dense_fisher_matrix(name):
    """Of every map, convolution, recurrent map and embedding, and nearer to it than KFAC's are."""
    network, batch = NETWORKS[name]()
    rows = list(gradients_of_rows(network, batch))
    exact = made(network)
    backward(network, exact, batch)
    exact.step()
    seen = 0
    for parameter_name, weight in network.named_parameters():
        state = exact.state[weight]
        if "scaling" not in state:
            continue
        seen += 1
        left, right = (torch.eye(n, dtype=torch.float64) for n in state["scaling"].shape)
        left = left if state["left_basis"] is None else state["left_basis"]
        right = right if state["right_basis"] is None else state["right_basis"]
        fisher = dense_fisher([left.T @ matrix(row, parameter_name) @ right for row in rows])
        torch.testing.assert_close(state["scaling"].flatten(), fisher.diagonal(), rtol=1e-10, atol=1e-14)
        kronecker = torch.outer(eigenbasis(state["left"])[0], eigenbasis(state["right"])[0]).flatten()
        errors = [(fisher - torch.diag(scaling)).norm() for scaling in (state["scaling"].flatten(), kronecker)]
        assert errors[0] <= errors[1] * (1 + 1e-12), parameter_name
    assert seen == sum(weight.dim() > 1 for weight in network.parameters())


def softmax_regression(inputs_ND, targets_N, n_classes):
    torch.manual_seed(0)
    n_inputs = inputs_ND.shape[1]
    network = Network(OneHot(None, n_inputs), Nothing(), Softmax(n_inputs, n_classes), pool="last").double()
    return network, Batch(inputs_ND.unsqueeze(1), targets_N)


def distance_to_natural_gradient(network, batch, damping, gradient=None, **settings):
    """Of a step with lr = 1 to -(F + damping)^-1 gradient, F dense, relative; the batch's gradient, unless given."""
    linear = network.head.linear
    rows = [matrix(row, "head.linear.weight") for row in gradients_of_rows(network, batch)]
    fisher = dense_fisher(rows) + damping * torch.eye(rows[0].numel(), dtype=torch.float64)
    optimizer = made(network, damping=damping, **settings)
    backward(network, optimizer, batch)
    if gradient is None:
        gradient = torch.stack(rows).mean(0)
    else:
        linear.weight.grad.copy_(gradient[:, :-1])
        linear.bias.grad.copy_(gradient[:, -1])
    natural = torch.linalg.solve(fisher, gradient.flatten()).view_as(gradient)
    before = torch.cat([linear.weight, linear.bias[:, None]], 1).detach().clone()
    optimizer.step()
    step = torch.cat([linear.weight, linear.bias[:, None]], 1).detach() - before
    return float((step + natural).norm() / natural.norm())


def test_it_is_the_natural_gradient_where_the_fisher_matrix_is_diagonal_in_the_basis():
    """Two classes, so that all gradients of the outputs lie on one line, and inputs that are orthogonal with their
    constant: then nothing is off the diagonal, though the matrix is no Kronecker product, and KFAC is far off."""
    draw = torch.Generator().manual_seed(1)
    q_AA, _ = torch.linalg.qr(torch.randn(6, 6, generator=draw, dtype=torch.float64))
    inputs_ND = q_AA[:, :-1] / q_AA[:, -1:]  # (inputs, 1) are orthogonal rows of unlike lengths
    data = inputs_ND, torch.tensor([0, 1, 1, 0, 1, 0]), 2
    assert distance_to_natural_gradient(*softmax_regression(*data), damping=1e-3) < 1e-6
    assert distance_to_natural_gradient(*softmax_regression(*data), damping=1e-3, scalings="kronecker") > 0.05


@pytest.mark.parametrize("scalings", ["exact", "kronecker"])
def test_it_is_the_natural_gradient_where_the_fisher_matrix_is_a_kronecker_product(scalings):
    """Weights of zero, and each input with each of three classes once: the gradients of outputs do not depend on x."""
    draw = torch.Generator().manual_seed(1)
    inputs_ND = torch.randn(5, 4, generator=draw, dtype=torch.float64).repeat_interleave(C, 0)
    network, batch = softmax_regression(inputs_ND, torch.arange(C).repeat(5), C)
    nn.init.zeros_(network.head.linear.weight)
    gradient = torch.randn(C, 5, generator=draw, dtype=torch.float64)  # that of a balanced batch is 0
    assert distance_to_natural_gradient(network, batch, 1e-2, gradient, scalings=scalings) < 1e-6


def test_it_is_the_natural_gradient_of_a_single_row():
    """Of rank one: a Kronecker product of its own."""
    draw = torch.Generator().manual_seed(1)
    network, batch = softmax_regression(torch.randn(1, 4, generator=draw, dtype=torch.float64), torch.tensor([2]), C)
    assert distance_to_natural_gradient(network, batch, 1e-2) < 1e-6


def test_much_damping_leaves_the_gradient():
    network, batch = vectors()
    optimizer = made(network, damping=1e9)
    backward(network, optimizer, batch)
    gradients = [weight.grad.clone() for weight in network.parameters()]
    optimizer.step()
    for weight, gradient in zip(network.parameters(), gradients, strict=True):
        torch.testing.assert_close(weight.grad * 1e9, gradient, rtol=1e-6, atol=1e-9)


def test_a_long_side_keeps_its_axes():
    network, batch = vectors()
    optimizer = made(network, largest=4)
    backward(network, optimizer, batch)
    optimizer.step()
    state = optimizer.state[network.backbone.layers[0].weight]  # 5 outputs, 6 inputs and the constant
    assert state["left_basis"] is None and state["right_basis"] is None and state["right"].shape == (7,)
    rows = [matrix(row, "backbone.layers.0.weight") for row in gradients_of_rows(*vectors())]
    torch.testing.assert_close(state["scaling"], torch.stack(rows).square().mean(0))


def test_an_average_of_scalings_is_carried_over_to_a_new_basis():
    """To the diagonal of what it was: the trace stays, and the average of the step alone is what it is to be."""
    network, batch = vectors()
    optimizer = made(network, lr=0.0, scaling_decay=0.5, basis_every=1, factor_decay=0.5)
    weight = network.backbone.layers[0].weight
    backward(network, optimizer, batch)
    optimizer.step()
    trace = optimizer.state[weight]["scaling"].sum()
    other = batch.replace(inputs=batch.inputs.flip(2) * 2)
    rows = [matrix(row, "backbone.layers.0.weight") for row in gradients_of_rows(network, other)]
    backward(network, optimizer, other)
    optimizer.step()
    expected = (trace + torch.stack(rows).square().mean(0).sum()) / 2
    torch.testing.assert_close(optimizer.state[weight]["scaling"].sum(), expected)


def test_the_loss_scale_and_micro_batches_change_nothing():
    whole, parts = vectors(), vectors()
    one, two = made(whole[0]), made(parts[0])
    backward(*[whole[0], one, whole[1]])
    one.step()
    network, batch = parts
    two.begin(StepFacts(0, [], batch.count(), 64.0, 0))
    for rows in (slice(0, 3), slice(3, N)):
        (network(batch.map(lambda tensor, rows=rows: tensor[rows]))[0] * 64.0).backward()
    for weight in network.parameters():
        weight.grad /= 64.0 * batch.count()  # as unscaled
    two.step()
    for weight, other in zip(whole[0].parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(weight, other, rtol=1e-9, atol=1e-12)


def test_what_is_evaluated_is_not_watched():
    network, batch = vectors()
    optimizer = made(network)
    network.eval()
    network(batch)[0].backward()
    assert not optimizer._watch.take()
