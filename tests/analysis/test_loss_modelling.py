"""Loss modelling against float64 oracles: gradient, curvature, the order of pruning, and what its stages do."""

import copy
import math

import pytest
import torch
from torch import nn

from seqbench.analysis.curvature import curvature, gradient, loss, sample
from seqbench.analysis.loss_modelling import CRITERIA, LossModelling
from seqbench.checks.analyses import check_analysis
from seqbench.config.compose import composed
from seqbench.contracts.analysis import Subject
from seqbench.contracts.batch import Batch
from seqbench.engine.assemble import assemble_learner, assemble_task
from seqbench.errors import UserError

COPY = ["task=copy", "task.delay=2", "task.n_copied=2", "task.train_size=12", "task.batch_size=5"]
COPY += ["task.valid_size=8", "task.test_size=4", "model=lstm", "model.hidden_size=3"]


@pytest.fixture(scope="module")
def subject() -> Subject:
    """An LSTM in float64 on the copy task, as it begins."""
    config = composed(COPY)
    task = assemble_task(config)
    torch.manual_seed(0)
    learner = assemble_learner(config, task).double().eval()
    return Subject(task, learner, seed=0, trajectory=lambda: iter(()))


def test_the_contract(subject):
    check_analysis(LossModelling(n_points=3, n_rows=7), subject)


def test_the_sample_is_the_first_rows(subject):
    assert [batch.size for batch in sample(subject.task, 7)] == [5, 2]
    assert sum(batch.size for batch in sample(subject.task, 100)) == 12


def test_the_gradient_is_that_of_the_mean_loss(subject):
    network, batches = copy.deepcopy(subject.learner), sample(subject.task, 7)
    parameters = list(network.parameters())
    for parameter, slope in zip(parameters, gradient(network, batches, parameters), strict=True):
        direction = torch.randn_like(parameter)
        values = []
        for step in (1e-6, -2e-6):  # to one side, then to the other
            with torch.no_grad():
                parameter += step * direction
            values.append(loss(network, batches))
        with torch.no_grad():
            parameter += 1e-6 * direction
        assert (values[0] - values[1]) / 2e-6 == pytest.approx(float((slope * direction).sum()), rel=1e-5, abs=1e-9)


class Regression(nn.Module):
    """Softmax regression by the parts of a network, of one output a sequence. Its logits are linear in the weights, so
    the generalised Gauss-Newton matrix is the Hessian, whose diagonal is the mean of p (1 - p) x^2."""

    def __init__(self, n_classes: int, n_features: int):
        super().__init__()
        self.readout = nn.Linear(n_features, n_classes, bias=False, dtype=torch.float64)

    @property
    def head(self):
        return self

    def outputs(self, batch):
        return self.readout(batch.inputs), None, None

    def log_probs(self, z_NC):
        return z_NC.log_softmax(-1)

    def diagonal(self, inputs):
        p_NC = self.log_probs(self.readout(inputs)).exp().detach()
        return torch.einsum("nc,nd->cd", p_NC * (1 - p_NC), inputs.square()) / len(inputs)


@pytest.mark.parametrize(("n_draws", "rtol"), [(None, 1e-12), (300, 0.3)])  # 2,700 draws in all
def test_the_curvature_of_a_softmax_regression_is_its_hessian(n_draws, rtol):
    torch.manual_seed(0)
    network, inputs = Regression(4, 3), torch.randn(9, 3, dtype=torch.float64)
    batch = Batch(inputs, torch.randint(4, (9,)))
    (diagonal,) = curvature(network, [batch], [network.readout.weight], n_draws, seed=0)
    torch.testing.assert_close(diagonal, network.diagonal(inputs), rtol=rtol, atol=0)


def test_magnitude_removes_the_smallest_weights(subject):
    outcome = LossModelling(criteria=["magnitude"], sparsity=0.5, n_points=1, n_rows=12)(subject)
    pruned = copy.deepcopy(subject.learner)
    embedding = {id(parameter) for parameter in pruned.embedding.parameters()}
    matrices = [value for value in pruned.parameters() if value.dim() > 1 and id(value) not in embedding]
    flat = torch.cat([value.detach().abs().flatten() for value in matrices])
    threshold = flat.sort().values[len(flat) - round(len(flat) * 0.5)]
    with torch.no_grad():
        for value in matrices:
            value.mul_(value.abs() >= threshold)
    assert outcome.numbers["n_weights"] == len(flat)
    assert outcome.numbers["train.magnitude"] == pytest.approx(loss(pruned, sample(subject.task, 12)), rel=1e-12)


def test_every_criterion_has_its_lines_up_to_the_sparsity(subject):
    figure = LossModelling(n_points=4, sparsity=0.9, n_rows=5)(subject).figures["train"]
    assert set(figure.lines) == {"magnitude", *CRITERIA[1:], *(f"{name}_staged" for name in CRITERIA[1:])}
    for points in figure.lines.values():
        sparsities = [x for x, _ in points]
        assert sparsities == sorted(sparsities) and len(points) == 5
        assert sparsities[0] == 0 and sparsities[-1] == pytest.approx(0.9, abs=0.01)
        assert all(math.isfinite(y) for _, y in points)


def test_the_first_stage_is_the_first_shot(subject):
    lines = LossModelling(criteria=["quadratic"], n_points=3, n_rows=5)(subject).figures["valid"].lines
    assert lines["quadratic"][:2] == lines["quadratic_staged"][:2]
    assert lines["quadratic"][2:] != lines["quadratic_staged"][2:]


def test_a_large_penalty_is_magnitude(subject):
    numbers = LossModelling(criteria=["magnitude", "linear"], n_points=2, penalty=1e9, n_rows=5)(subject).numbers
    assert numbers["train.linear"] == numbers["train.linear_staged"] == numbers["train.magnitude"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"criteria": ["size"]}, "criteria are some of magnitude, linear, obd, quadratic, not"),
        ({"sparsity": 1.0}, "sparsity is above 0 and below 1, not 1.0"),
    ],
)
def test_what_is_no_setting(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        LossModelling(**settings)


def test_all_classes_at_each_step_are_refused(subject):
    with pytest.raises(UserError, match="n_draws=null is for one output a sequence"):
        LossModelling(n_draws=None)(subject)


def test_a_task_without_classes_is_refused():
    config = composed(["task=adding", "head=squared_error", "model=lstm", "model.hidden_size=3"])
    task = assemble_task(config)
    with pytest.raises(UserError, match="a distribution over classes, not for the task adding"):
        LossModelling()(Subject(task, assemble_learner(config, task), 0, lambda: iter(())))
