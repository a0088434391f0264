"""TCN: an oracle by loops, how far back it sees, its size."""

import pytest
import torch

from seqbench.models.convolutional.tcn import TCN


def by_hand(model: TCN, x_TD: torch.Tensor) -> torch.Tensor:
    """One row, position by position, kernel tap by kernel tap; x (T, D) -> y (T, C)."""
    for index, block in enumerate(model.blocks):
        h = x_TD
        for layer in (block.first, block.second):
            g, v = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
            w = g * v / v.flatten(1).norm(dim=1)[:, None, None]
            out = []
            for t in range(len(h)):
                total = layer.bias
                for tap in range(w.shape[2]):
                    back = t - (w.shape[2] - 1 - tap) * 2**index
                    total = total + (w[:, :, tap] @ h[back] if back >= 0 else 0)
                out.append(total.clamp(min=0))
            h = torch.stack(out)
        residual = x_TD if x_TD.shape[1] == h.shape[1] else x_TD @ block.project.weight[:, :, 0].T + block.project.bias
        x_TD = (h + residual).clamp(min=0)
    return x_TD


def test_equals_the_definition():
    torch.manual_seed(0)
    model = TCN(3, [4, 4, 2], kernel=3).double()
    x = torch.randn(2, 20, 3, dtype=torch.float64)
    torch.testing.assert_close(model(x)[0], torch.stack([by_hand(model, row) for row in x]))


def test_convolutions_of_a_kernel_of_one_start_small():
    torch.manual_seed(0)
    block = TCN(300, [200], kernel=3).blocks[0]
    assert float(block.project.weight.detach().std()) == pytest.approx(0.01, rel=0.05)
    assert float(block.first.weight.detach().std()) > 0.015  # U(-r, r), r = 1/sqrt(300 x 3), as torch has it


@pytest.mark.parametrize(("blocks", "kernel"), [(1, 3), (3, 2), (4, 3)])
def test_how_far_back_it_sees(blocks, kernel):
    torch.manual_seed(0)
    model = TCN(1, [6] * blocks, kernel).double()
    x = torch.rand(1, 100, 1, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(x)[0][0, -1].sum(), x)
    reach = 1 + 2 * (kernel - 1) * (2**blocks - 1)
    assert int((gradient[0, :, 0] != 0).sum()) <= reach
    assert gradient[0, -reach, 0] != 0 and not gradient[0, : 100 - reach].any()


def test_size_of_the_authors_copy_model():
    model = TCN(1, [10] * 8, kernel=8)
    convolutions = 8 * (1 + 15 * 10) * 10 + 16 * 10 + 16 * 10  # weights, biases, and the norms' gains
    assert sum(parameter.numel() for parameter in model.parameters()) == convolutions + 10 + 10


def test_no_blocks_are_no_network():
    with pytest.raises(ValueError, match=r"^channels lists one width a block and is empty$"):
        TCN(3, [], kernel=3)
