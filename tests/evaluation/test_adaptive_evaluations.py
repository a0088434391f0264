"""Evaluations that adapt to the test text or bound the context: what they must equal, and that none looks ahead.

A small LSTM over random words, in float64, untrained: nothing here depends on what it has learnt.
"""

import math

import numpy as np
import pytest
import torch

from seqbench.checks.evaluations import check_evaluation
from seqbench.config.nodes import options
from seqbench.contracts.batch import Batch
from seqbench.data.text.stream import EvaluationStream, TokenStream
from seqbench.embeddings.learned import LearnedEmbedding
from seqbench.errors import UserError
from seqbench.evaluation.cache import Cache
from seqbench.evaluation.dynamic import Dynamic
from seqbench.evaluation.frequency import Frequency
from seqbench.evaluation.scoring import score
from seqbench.evaluation.sliding import Sliding
from seqbench.evaluation.static import Static
from seqbench.heads.softmax import Softmax
from seqbench.learners.network import Network
from seqbench.models.recurrent.lstm import LSTM

V = 7
DYNAMIC = {"lr": 0.05, "decay": 0.01, "eps": 0.01, "segment": 3, "statistics_batch_size": 4}


class Words:
    """A task's part that evaluations see."""

    version = {"name": "words"}
    selection = "nll"

    def evaluate(self, learner, batches):
        return score(learner, batches, "nll")

    def metrics(self, sums):
        return {name: total / count for name, (total, count) in sums.items() if count}

    def __init__(self):
        self.ids = np.random.default_rng(0).integers(0, V, 200).astype(np.uint16)

    def token_counts(self):
        return np.bincount(self.ids, minlength=V)

    def windows(self, split, batch_size, bptt):
        stream = TokenStream(self.ids, batch_size, bptt)
        for index in range(stream.n_windows):
            inputs, targets, reset = stream.window(index)
            yield Batch(inputs, targets, reset=reset)


def text(length, window=20):
    stream = EvaluationStream(np.random.default_rng(1).integers(0, V, length).astype(np.uint16), window, 0)
    for index in range(stream.n_windows):
        inputs, targets, reset = stream.window(index)
        yield Batch(inputs, targets, reset=reset)


def network():
    torch.manual_seed(0)
    return Network(LearnedEmbedding(V, 5, None), LSTM(5, 6), Softmax(6, V)).double().eval()


def nll(evaluation, batches, net=None):
    total, count = evaluation(Words(), net or network(), batches).sums["nll"]
    return total / count


EVALUATIONS = {
    "dynamic": Dynamic(**DYNAMIC),
    "cache": Cache(size=8, weight=0.3, sharpness=2.0),
    "sliding": Sliding(context=9, stride=4, batch_size=3),
}


@pytest.mark.parametrize("name", EVALUATIONS)
def test_no_prediction_sees_its_target(name):
    # if each possible next word's score is the probability it would have, they sum to one; a peek gives more
    evaluation, known = EVALUATIONS[name], torch.tensor([[3, 1, 4, 1, 5, 2, 6, 5, 3, 5, 1, 4, 1, 5, 2]])
    for length in (1, 4, 9, 15):
        inputs = torch.cat([torch.zeros(1, 1, dtype=torch.long), known[:, : length - 1]], 1)

        def total(targets, inputs=inputs):
            return evaluation(Words(), network(), [Batch(inputs[:, : targets.shape[1]], targets)]).sums["nll"][0]

        before = total(known[:, : length - 1]) if length > 1 else 0.0
        scores = [total(torch.cat([known[:, : length - 1], torch.tensor([[word]])], 1)) for word in range(V)]
        assert sum(math.exp(before - score) for score in scores) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("name", EVALUATIONS)
def test_the_windows_it_is_given_do_not_matter(name):
    evaluation = EVALUATIONS[name]
    values = [nll(evaluation, text(60, window)) for window in (1, 7, 20, 60)]
    assert values == pytest.approx([values[0]] * 4, rel=1e-6)
    assert abs(values[0] / nll_plain(text(60)) - 1) > 1e-5  # and the evaluation does something


@pytest.mark.parametrize("name", EVALUATIONS)
def test_the_network_is_left_as_it_was(name):
    net = network()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    EVALUATIONS[name](Words(), net, text(30))
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


def nll_plain(batches):
    total, count = score(network(), batches, "nll")["nll"]
    return total / count


@pytest.mark.parametrize("wrong", [{"lr": -1.0}, {"eps": 0.0}, {"eps": -0.1}])
def test_dynamic_refuses_rates_that_mean_nothing(wrong):
    with pytest.raises(ValueError, match="lr is at least 0 and eps above 0"):
        Dynamic(**{**DYNAMIC, **wrong})


def test_dynamic_with_learning_rate_0_is_plain_evaluation_exactly():
    evaluation = Dynamic(**{**DYNAMIC, "lr": 0.0, "segment": 20})
    assert evaluation(Words(), network(), text(60, 20)).sums == score(network(), text(60, 20), "nll")


def test_cache_with_weight_0_is_plain_evaluation():
    assert nll(Cache(size=8, weight=0.0, sharpness=1.0), text(60)) == pytest.approx(nll_plain(text(60)), rel=1e-7)


def test_dynamic_follows_the_rule():
    # the same by hand, with autograd on one segment after another
    net, rule = network(), Dynamic(**DYNAMIC)
    weights, squares, n_segments, state = list(net.parameters()), None, 0, None
    for batch in Words().windows("train", 4, 5):
        loss_sum, state, _ = net(batch, state)
        grads = torch.autograd.grad(loss_sum / 20, weights)
        state = tuple((h.detach(), c.detach()) for h, c in state)
        squares = [g * g + (0 if squares is None else squares[i]) for i, g in enumerate(grads)]
        n_segments += 1
    rms = [(square / n_segments).sqrt() for square in squares]
    level = sum(one.mean() for one in rms) / len(rms)
    trained, total, state = [w.detach().clone() for w in weights], 0.0, None
    (batch,) = text(12)
    for start in range(0, 12, 3):
        part = Batch(batch.inputs[:, start : start + 3], batch.targets[:, start : start + 3])
        loss_sum, state, _ = net(part, state)
        grads = torch.autograd.grad(loss_sum / 3, weights)
        state = tuple((h.detach(), c.detach()) for h, c in state)
        total += float(loss_sum.detach())
        for weight, before, grad, one in zip(weights, trained, grads, rms, strict=True):
            pull = (one / level).clamp(max=1 / rule.decay)
            weight.data += rule.decay * pull * (before - weight.data) - rule.lr * grad / (one + rule.eps)
    assert nll(rule, text(12)) == pytest.approx(total / 12, rel=1e-10)


def test_cache_follows_the_rule():
    cache, net = EVALUATIONS["cache"], network()
    (batch,) = text(20)
    h_TD = net.features(batch.inputs)[0][0].float()
    p_TV = net.head.log_probs(net.head.readout(net.features(batch.inputs)[0][0])).exp()
    words, total = batch.targets[0], 0.0
    for t in range(20):
        p = p_TV[t, words[t]]
        seen = range(max(0, t - 8), t)
        if seen:
            share = torch.softmax(torch.stack([2.0 * h_TD[t] @ h_TD[i] for i in seen]), 0)
            p = 0.7 * p + 0.3 * sum(share[k] for k, i in enumerate(seen) if words[i] == words[t])
        total -= math.log(float(p.detach()))
    assert nll(cache, text(20)) == pytest.approx(total / 20, rel=1e-6)


def test_sliding_bounds_the_context_and_batches_do_not_matter():
    values = [nll(Sliding(9, 4, batch_size), text(60)) for batch_size in (1, 3, 100)]
    assert values == pytest.approx([values[0]] * 3, rel=1e-12)
    assert nll(Sliding(60, 4), text(60)) == pytest.approx(nll_plain(text(60)), rel=1e-12)  # all the context there is
    # one token of context: the next word from this one, with nothing before it
    net, total = network(), 0.0
    for batch in text(60, 1):
        total += float(net(batch)[0].detach())
    assert nll(Sliding(0, 1), text(60)) == pytest.approx(total / 60, rel=1e-12)


def test_sliding_takes_each_row_for_a_text():
    rows = [Batch(batch.inputs.flip(1), batch.targets.flip(1)) for batch in text(60, 60)], list(text(60, 60))
    both = [
        Batch(torch.cat([a.inputs, b.inputs]), torch.cat([a.targets, b.targets])) for a, b in zip(*rows, strict=True)
    ]
    apart = [nll(Sliding(9, 4), row) for row in rows]
    assert apart[0] != apart[1]
    assert nll(Sliding(9, 4), both) == pytest.approx(sum(apart) / 2, rel=1e-12)


def test_frequency_parts_add_up_to_plain_evaluation():
    counts = Words().token_counts()
    edge = int(np.median(counts))
    found = Frequency([edge])(Words(), network(), text(60)).sums
    rare, common = found["nll_from_0"], found[f"nll_from_{edge}"]
    assert found["nll"] == pytest.approx(score(network(), text(60), "nll")["nll"], rel=1e-12)
    assert (rare[0] + common[0], rare[1] + common[1]) == pytest.approx(found["nll"], rel=1e-12)
    assert rare[1] == sum(int((counts[batch.targets] < edge).sum()) for batch in text(60))


def test_half_precision_changes_little():
    """The weights that autocast multiplies with are those of now, and sharp scores are made in float32."""
    static = score(network(), text(150), "nll")["nll"][0] / 150
    for evaluation in (Dynamic(**DYNAMIC), Cache(size=50, weight=0.9, sharpness=100.0)):
        full = nll(evaluation, text(150))
        with torch.autocast("cpu", torch.bfloat16):
            half = nll(evaluation, text(150), network().float())
        # Logits of size 0.3 that err by a few roundings of 2^-8 move the mean over 150 words by some 2e-4; 0.05 of what
        # the dynamic evaluation changes is 1.4e-3, and lost with the weights of before. The cache's scores, 20 or so,
        # err by 2^-8 of themselves for states that are rounded, with either sign: far below 0.05 of its change of 0.8.
        assert 0 < abs(half - full) < 0.05 * abs(full - static)


@pytest.mark.parametrize("evaluation", [*EVALUATIONS.values(), Frequency([10, 1000])], ids=lambda one: one.category)
def test_a_process_without_text_sums_the_same_names(evaluation):
    names = evaluation(Words(), network(), text(50)).sums.keys()
    assert evaluation(Words(), network(), iter(())).sums == dict.fromkeys(names, (0.0, 0))


@pytest.mark.parametrize(
    "evaluation", [Static(), *EVALUATIONS.values(), Frequency([10, 20])], ids=lambda one: type(one).__name__
)
def test_contract(evaluation):
    check_evaluation(evaluation, Words(), network(), lambda: text(60, 20))


def test_every_evaluation_of_a_text_has_a_row():
    classes = {type(evaluation).__name__.lower() for evaluation in (*EVALUATIONS.values(), Static(), Frequency([10]))}
    assert classes == set(options("evaluation")) - {"beam"}  # of translations: test_beam.py


def test_only_for_a_continuous_text():
    class Numbers:
        version = {"name": "words"}

    task = Numbers()
    for evaluation in (*EVALUATIONS.values(), Frequency([10])):
        with pytest.raises(UserError, match="is for language modelling, not for the task words"):
            evaluation(task, network(), text(10))
