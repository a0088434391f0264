"""The squared hinge is its formula, and is evaluated as a softmax."""

import pytest
import torch
import torch.nn.functional as F

from seqbench.heads.squared_hinge import SquaredHinge


def test_training_is_on_the_squared_hinge_and_evaluation_on_the_cross_entropy():
    head = SquaredHinge(5, 5, linear=False)
    assert head.readout is None and not list(head.parameters())
    z = 2 * torch.randn(7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target = torch.tensor([0, 1, 2, 3, 4, 0, 1])
    signs = torch.full((7, 5), -1.0).double()
    signs[torch.arange(7), target] = 1
    torch.testing.assert_close(head.losses(z, target), (torch.relu(1 - signs * z) ** 2).sum(1))
    torch.testing.assert_close(head.eval().losses(z, target), F.cross_entropy(z, target, reduction="none"))
    assert torch.equal(head.log_probs(z).argmax(1), z.argmax(1))


def test_far_on_the_right_side_there_is_no_loss():
    z = torch.tensor([[5.0, -3.0, -1.0], [5.0, -3.0, 1.0]])
    assert SquaredHinge(3, 3, linear=False).losses(z, torch.tensor([0, 0])).tolist() == [0, 4]


def test_a_layer_of_its_own_or_as_many_features_as_classes():
    assert SquaredHinge(8, 3).readout.weight.shape == (3, 8)
    with pytest.raises(ValueError, match="with linear=false there are as many features as classes, not 8 for 3"):
        SquaredHinge(8, 3, linear=False)
