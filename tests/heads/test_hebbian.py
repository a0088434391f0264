"""Hebbian softmax: the mixing by hand, off when it should be, and the same for any number of processes."""

import torch

from seqbench.contracts.peers import Alone
from seqbench.heads.hebbian import Hebbian
from seqbench.heads.softmax import Softmax

D, C = 4, 6


ALONE = Alone()


def head(**settings):
    torch.manual_seed(0)
    return Hebbian(D, C, **settings).double()


def batch(seed, n=5):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, D, generator=generator, dtype=torch.float64), torch.randint(
        0, C - 1, (n,), generator=generator
    )


def test_rows_of_the_targets_move_to_their_mean_features():
    one = head(floor=0.3, until=4)
    before = one.linear.weight.detach().clone()
    for step in range(1, 6):
        h, _ = batch(step)
        target = torch.tensor([2, 2, 0, 2, 2])  # one step counts once, however often a class is in it
        one.losses(h, target)
        one.after_step(ALONE)
        share = max(1 / step, 0.3) if step < 4 else 0.0
        for y, mean in ((0, h[2]), (2, h[[0, 1, 3, 4]].mean(0))):
            before[y] = share * mean + (1 - share) * before[y]
        torch.testing.assert_close(one.linear.weight.detach(), before)
    assert one.steps_seen.tolist() == [5, 0, 5, 0, 0, 0]


def test_rescaled_features_keep_a_rows_norm():
    one = head(rescale=True)
    norm = one.linear.weight.detach().norm(dim=1)
    h, target = batch(1)
    one.losses(h, target)
    one.after_step(ALONE)
    torch.testing.assert_close(one.linear.weight.detach().norm(dim=1), norm)  # the first share is 1
    assert not torch.equal(one.linear.weight[target[0]], head().linear.weight[target[0]])


def test_without_mixing_it_is_the_plain_softmax_bit_for_bit():
    one = head(until=0)
    torch.manual_seed(0)
    plain = Softmax(D, C).double()
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in (one, plain)]
    for step in range(5):
        h, target = batch(step)
        losses = [one.losses(h, target), plain.losses(plain.linear(h), target)]
        assert torch.equal(*losses)
        for loss, optimizer in zip(losses, optimizers, strict=True):
            optimizer.zero_grad()
            loss.sum().backward()
            optimizer.step()
        one.after_step(ALONE)
    assert torch.equal(one.linear.weight, plain.linear.weight) and torch.equal(one.linear.bias, plain.linear.bias)


def test_batches_of_a_step_and_processes_are_one_batch():
    whole, parts = head(), head()
    h, target = batch(3, n=8)
    whole.losses(h, target)
    whole.after_step(ALONE)
    parts.losses(h[:2], target[:2])
    parts.losses(h[2:5], target[2:5])
    others = {h.shape[1:]: h[5:], target.shape[1:]: target[5:]}  # another process's rows

    class Two(Alone):
        def gather(self, rows):
            return torch.cat([rows, others[rows.shape[1:]]])

    parts.after_step(Two())
    torch.testing.assert_close(whole.linear.weight, parts.linear.weight)
    assert torch.equal(whole.steps_seen, parts.steps_seen)


def test_evaluation_leaves_no_trace():
    one = head().eval()
    before = one.linear.weight.detach().clone()
    one.losses(*batch(1))
    one.after_step(ALONE)
    assert torch.equal(one.linear.weight, before) and not one.steps_seen.any()
