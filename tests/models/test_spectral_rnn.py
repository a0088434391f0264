"""The spectral method against its own equations: exact moments give back the network, and samples come near it."""

import pytest
import torch

from seqbench.analysis.parameter_error import ParameterError, errors, slope, spaced
from seqbench.checks.analyses import check_analysis
from seqbench.contracts.analysis import Subject
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.peers import Alone
from seqbench.errors import UserError
from seqbench.models.other.spectral_rnn import SpectralRNN, decompose, recurrent
from seqbench.tasks.synthetic.adding import Adding
from seqbench.tasks.synthetic.input_output import InputOutput, normal

H, X, Y = 3, 5, 4


def network(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a, b, u = (torch.randn(*size, dtype=torch.float64, generator=generator) for size in ((H, X), (H, Y), (H, H)))
    return {"input_weight": a / a.norm(dim=1, keepdim=True), "output_weight": b, "recurrent_weight": u / 3}


@pytest.mark.parametrize("seed", range(5))
def test_exact_moments_give_the_network_back(seed):
    truth = network(seed)
    a, b, u = truth.values()
    first = 2 * torch.einsum("jy,ja,jb->yab", b, a, a)
    second = 4 * torch.einsum("jy,jc,jk,ka,kb->ycab", b, a, u, a, a)
    a_HX, b_HY = decompose(first, H, n_slices=16)
    found = {"input_weight": a_HX, "output_weight": b_HY / 2, "recurrent_weight": recurrent(second, a_HX, b_HY / 2)}
    assert max(errors(found, truth).values()) < 1e-8


def test_an_error_does_not_depend_on_order_or_sign():
    truth, order, sign = network(0), [2, 0, 1], torch.tensor([[-1.0], [1.0], [-1.0]], dtype=torch.float64)
    a, b, u = truth.values()
    found = {"input_weight": sign * a[order], "output_weight": b[order], "recurrent_weight": sign * u[order][:, order]}
    assert max(errors(found, truth).values()) < 1e-12
    found["recurrent_weight"] = u[order][:, order]
    assert errors(found, truth)["recurrent_weight"] > 0.5


def test_what_is_estimated_computes_what_the_teacher_does():
    """With the teacher's weights the loss is the noise's."""
    task = InputOutput(batch_size=2000, length=4)
    learner = SpectralRNN(task.inputs, task.outputs, hidden_size=H).eval()
    learner.load_state_dict({**learner.state_dict(), **task.teacher()})
    batch = task.batch("train", 0)
    assert float(learner(batch)[0]) / batch.count() == pytest.approx(Y * 0.01, rel=0.05)
    first, state, _ = learner(batch.steps(0, 1))
    rest, _, _ = learner(batch.steps(1), state)
    assert float(first + rest) == pytest.approx(float(learner(batch)[0]), rel=1e-12)


def trained(task: InputOutput, batches: list[list[tuple[int, int]]]) -> SpectralRNN:
    """A step for each list of rows [(start, stop), ...] of the first batch."""
    learner = SpectralRNN(task.inputs, task.outputs, hidden_size=H).train()
    whole = task.batch("train", 0)
    for step in batches:
        for start, stop in step:
            learner(whole.map(lambda tensor, start=start, stop=stop: tensor[start:stop]))
        learner.after_step(Alone())
    return learner


def test_moments_add_up_over_batches_and_steps():
    task = InputOutput(batch_size=300)
    one, two = trained(task, [[(0, 300)]]), trained(task, [[(0, 100), (100, 130)], [(130, 300)]])
    for name, value in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], value, rtol=1e-9, atol=1e-9)
    assert one.counts.tolist() == [300, 600, 300]


def test_evaluating_adds_nothing():
    task = InputOutput(batch_size=300)
    learner = trained(task, [[(0, 300)]]).eval()
    before = learner.state_dict()["y_s2"].clone()
    learner(task.batch("valid", 0))
    learner.after_step(Alone())
    assert torch.equal(learner.state_dict()["y_s2"], before)


def test_errors_fall_with_the_sequences():
    task, steps = InputOutput(batch_size=20_000), [1, 2, 4, 8]
    learner = SpectralRNN(task.inputs, task.outputs, hidden_size=H)
    trajectory = []
    for step in range(1, steps[-1] + 1):
        learner.train()(task.batch("train", step - 1))
        learner.after_step(Alone())
        if step in steps:
            trajectory.append((step, {name: value.clone() for name, value in learner.state_dict().items()}))
    subject = Subject(task, learner.eval(), 0, lambda: iter(trajectory))
    check_analysis(ParameterError(), subject)
    outcome = ParameterError()(subject)
    assert [n for n, _ in outcome.figures["errors"].lines["input_weight"]] == [20_000, 40_000, 80_000, 160_000]
    assert outcome.numbers["input_weight.error"] < 0.05 and outcome.numbers["recurrent_weight.error"] < 0.15
    assert outcome.numbers["input_weight.slope"] < 0


def test_points_are_spaced_by_the_logarithm():
    points = [(step, step) for step in range(1, 1001)]
    assert [n for n, _ in spaced(points, 4)] == [1, 10, 100, 1000]
    assert slope([(n, n**-0.5) for n, _ in points]) == pytest.approx(-0.5)


def test_boxes_and_mullers_numbers_are_normal():
    import numpy as np

    bits = np.random.Philox(key=1).random_raw(40_000).reshape(100, 400)
    numbers = normal(bits)
    assert numbers.shape == (100, 200) and np.isfinite(numbers).all()
    assert abs(numbers.mean()) < 0.03 and abs(numbers.std() - 1) < 0.02 and abs((numbers**4).mean() - 3) < 0.25
    assert np.isfinite(normal(np.array([[0, 0]], np.uint64))).all()


def test_what_it_is_not_for():
    with pytest.raises(ValueError, match="maps real inputs to real outputs at each step"):
        SpectralRNN(Inputs(n_tokens=5), Outputs("classes", 5), hidden_size=2)
    with pytest.raises(ValueError, match="hidden_size=5 is above the numbers of inputs"):
        SpectralRNN(Inputs(n_features=X), Outputs("reals", Y), hidden_size=5)
    task = Adding(10)
    with pytest.raises(UserError, match="not for the task adding"):
        ParameterError()(Subject(task, SpectralRNN(Inputs(n_features=X), Outputs("reals", Y), H), 0, lambda: iter(())))
    task = InputOutput(n_hidden=2)
    with pytest.raises(UserError, match="one kind and size"):
        ParameterError()(Subject(task, SpectralRNN(task.inputs, task.outputs, H), 0, lambda: iter(())))


SMALL = ["model=spectral_rnn", "task=input_output", "task.batch_size=50", "task.train_size=400", "optimizer=sgd"]
SMALL += ["task.valid_size=20", "task.test_size=20", "train.max_steps=4", "train.eval_every=2", "checkpoint.every=1"]


@pytest.mark.slow
def test_a_run_in_two_processes_is_the_run_in_one(seqbench, tmp_path):
    weights = []
    for nproc in (1, 2):
        code, printed, errors = seqbench("train", *SMALL, f"train.nproc={nproc}", f"output_dir={nproc}")
        assert code == 0, printed + errors
        (path,) = (tmp_path / str(nproc)).glob("*/checkpoints/step-0000000004-*.pt")
        weights.append(torch.load(path, weights_only=True)["network"])
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-6, atol=1e-6)
