"""The cross entropy in chunks of the vocabulary against the plain one, and what a head shares with an embedding."""

import pytest
import torch
import torch.nn.functional as F
from allocation import allocated

from seqbench.embeddings.learned import LearnedEmbedding
from seqbench.heads.chunked import losses_by_targets, losses_by_words
from seqbench.heads.softmax import Softmax

N, D, V = 7, 5, 23


def draw(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.fixture
def problem():
    h, weight, bias = (draw(*shape).requires_grad_() for shape in ((N, D), (V, D), (V,)))
    return h, weight, bias, torch.tensor([0, 22, 5, 6, 7, 8, 22])


WAYS = pytest.mark.parametrize("chunked", [losses_by_words, losses_by_targets])


@WAYS
@pytest.mark.parametrize("chunk", [1, 3, 7, 22, 23, 1000])
@pytest.mark.parametrize("even", [True, False])
def test_chunked_equals_full_forward_and_backward(problem, chunked, chunk, even):
    h, weight, bias, target = problem
    grad = torch.full((N,), 0.3, dtype=torch.float64) if even else draw(N)
    full = F.cross_entropy(h @ weight.T + bias, target, reduction="none")
    expected = torch.autograd.grad(full, (h, weight, bias), grad)
    ours = chunked(h, weight, bias, target, chunk)
    torch.testing.assert_close(ours, full)
    torch.testing.assert_close(torch.autograd.grad(ours, (h, weight, bias), grad), expected)


@WAYS
def test_chunked_gradient(problem, chunked):
    h, weight, bias, target = problem
    assert torch.autograd.gradcheck(lambda *given: chunked(*given, target, 5), (h, weight, bias))
    assert torch.autograd.gradcheck(lambda *given: chunked(*given, None, target, 5).sum(), (h, weight))


@WAYS
def test_chunked_survives_large_logits_and_no_target_at_all(chunked):
    h, weight = torch.full((1, 1), 100.0), torch.tensor([[100.0], [-100.0], [99.99]]).requires_grad_()
    expected = torch.tensor([0.3133])  # log(1 + exp(-1))
    torch.testing.assert_close(chunked(h, weight, None, torch.tensor([0]), 1), expected, atol=1e-3, rtol=0)
    none = chunked(h[:0], weight, None, torch.tensor([], dtype=torch.long), 1)
    none.sum().backward()
    assert none.shape == (0,) and not weight.grad.any()


@WAYS
def test_chunked_under_autocast_is_as_exact_as_a_linear_layer(problem, chunked):
    """Against float64 its errors are at most twice the linear layer's: it rounds the same factors to bfloat16, and the
    logits' gradient once more."""
    h, weight, bias, target = problem
    exact = F.cross_entropy(h @ weight.T + bias, target, reduction="none")
    h, weight, bias = (tensor.detach().float().requires_grad_() for tensor in (h, weight, bias))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = chunked(h, weight, bias, target, 7)
        full = F.cross_entropy(F.linear(h, weight, bias).float(), target, reduction="none")
    assert ours.dtype == torch.float32
    assert (ours - exact).norm() < 2 * (full - exact).norm() < 0.02 * exact.norm()
    right = torch.autograd.grad(exact.sum(), problem[:3])
    own, other = (torch.autograd.grad(losses.sum(), (h, weight, bias)) for losses in (ours, full))
    for found, theirs, gradient in zip(own, other, right, strict=True):
        assert (found - gradient).norm() < 2 * (theirs - gradient).norm() < 0.04 * gradient.norm()


@pytest.mark.parametrize("setting", [{"vocab_chunk": 10}, {"target_chunk": 3}])
def test_a_chunked_head_is_the_plain_one(setting):
    torch.manual_seed(0)
    plain = Softmax(D, V)
    chunked = Softmax(D, V, **setting)
    chunked.load_state_dict(plain.state_dict())
    h, target = draw(N, D, dtype=torch.float32), torch.arange(N)
    torch.testing.assert_close(chunked.losses(h, target), plain.losses(plain.readout(h), target))
    torch.testing.assert_close(chunked.log_probs(h), plain.log_probs(plain.readout(h)))
    assert chunked.readout is None


def test_tied_weights_are_one_matrix():
    embedding = LearnedEmbedding(V, D, None)
    head = Softmax(D, V, embedding=embedding)
    assert head.linear.weight is embedding.weight
    with pytest.raises(ValueError, match=r"embedding\.d_embed, 5"):
        Softmax(D + 1, V, embedding=embedding)


SMOOTHED = [{}, {"vocab_chunk": 10}, {"target_chunk": 3}, {"bias": False, "target_chunk": 3}]


@pytest.mark.parametrize("setting", SMOOTHED)
def test_smoothed_labels_are_torchs_in_training_and_plain_in_evaluation(setting):
    head = Softmax(D, V, label_smoothing=0.1, **setting).double()
    h, target = draw(N, D).requires_grad_(), torch.tensor([0, 22, 5, 6, 7, 8, 22])
    z = F.linear(h, head.linear.weight, head.linear.bias)
    given = h if head.readout is None else head.readout(h)
    for training, e in ((True, 0.1), (False, 0.0)):
        expected = F.cross_entropy(z, target, reduction="none", label_smoothing=e)
        ours = head.train(training).losses(given, target)
        torch.testing.assert_close(ours, expected)
        leaves = (h, *head.parameters())
        torch.testing.assert_close(
            torch.autograd.grad(ours.sum(), leaves, retain_graph=True),
            torch.autograd.grad(expected.sum(), leaves, retain_graph=True),
        )


@pytest.mark.parametrize("n_words", [33_278, 267_735])
def test_chunks_of_words_need_little_beside_the_gradients(n_words):
    """What is given back at the end is less than a twentieth of the logits that the plain way would have."""
    n_targets = 256
    h, target = draw(n_targets, 4, dtype=torch.float32).requires_grad_(), torch.arange(n_targets)
    head = Softmax(4, n_words, vocab_chunk=1024)
    most, left = allocated(lambda: head.losses(h, target).sum().backward())
    assert left >= 4 * head.linear.weight.numel()
    assert most - left < 0.05 * 4 * n_targets * n_words


def test_chunks_of_targets_make_no_gradients_in_evaluation():
    head, target = Softmax(64, 33_278, target_chunk=4), torch.arange(8)
    h = draw(8, 64, dtype=torch.float32)
    with torch.no_grad():
        most, _ = allocated(lambda: head.losses(h, target))
    assert most < 4 * head.linear.weight.numel()
