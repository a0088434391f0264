"""The norms of a feed-forward network's layers: h = f(N(W h) + b), for each kind of N.

Shapes: S positions (of an image; 1 elsewhere), N rows, P public rows, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from seqbench.contracts.norm import Norm, Steps
from seqbench.contracts.peers import Alone, Peers
from seqbench.models.cells.norm.group_norm import GroupNorm
from seqbench.models.cells.norm.none import NoNorm
from seqbench.models.cells.norm.public_batch_norm import PublicBatchNorm


class FeedForwardNorms(nn.Module):
    """A norm and the shift b after it for each of the layers, whose features `widths` counts. Without norms there is no
    shift: the layers keep their own bias.

    `has_public`: the network reads public rows, too. Raises `ValueError` for a norm that needs them where there are
    none.
    """

    def __init__(self, norm: Callable[..., Norm], widths: Sequence[int], has_public: bool, peers: Peers | None):
        super().__init__()
        self.peers = peers or Alone()
        norms = [norm(d_input=width) for width in widths]
        self.norms = nn.ModuleList(norms)
        self.is_none = all(isinstance(one, NoNorm) for one in norms)
        self.shifts = nn.ParameterList([] if self.is_none else [torch.zeros(width) for width in widths])
        for module in norms:
            if isinstance(module, PublicBatchNorm):
                if not has_public:
                    raise ValueError(
                        "public_batch_norm takes its statistics from public rows, and this task has none; "
                        "task=mnist_poisson has, with task.public=omniglot"
                    )
                module.couples_rows, module.reads = module.of == "all", "sequence"
        self.couples_rows = any(module.couples_rows for module in norms)
        self.is_public = any(isinstance(module, PublicBatchNorm) for module in norms)

    def forward(self, layer: int, flows: list[Tensor], valid_SN: Tensor | None = None) -> list[Tensor]:
        """N(z) + b of a layer's products z (S, N, D): those of the rows and, where the network reads public ones, of
        these. `valid_SN` marks what is no padding, which a batch's statistics are of."""
        if self.is_none:
            return flows
        norm, shift_D = self.norms[layer], self.shifts[layer]
        if isinstance(norm, PublicBatchNorm):
            x_SND, public_SPD = flows
            public_SPD, x_SND = norm.of_both(public_SPD, x_SND)
            return [x_SND + shift_D, public_SPD + shift_D]
        if isinstance(norm, GroupNorm):
            return [norm.of_images(z_SND) + shift_D for z_SND in flows]
        assert isinstance(norm, Norm)
        return [norm.over_time(z_SND, Steps(0, valid_SN, self.peers), None)[0] + shift_D for z_SND in flows]
