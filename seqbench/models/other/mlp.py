"""Multilayer perceptron: at each step a stack of linear layers, without memory.

Its layers may be normalised, before the nonlinearity (Ioffe, Szegedy 2015, arXiv 1502.03167).

Shapes: B batch, T time, D features, N = B T rows, P public rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.backbone import Backbone
from seqbench.contracts.norm import Norm
from seqbench.contracts.peers import Peers
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, OneOf, Positive
from seqbench.models.cells.norm.feed_forward import FeedForwardNorms
from seqbench.models.cells.norm.none import NoNorm
from seqbench.models.cells.norm.of_batch import estimate_population

NONLINEARITIES = {"relu": F.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}


class MLP(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, the last of `sizes`): h = f(N(W h) + b) for each of `sizes`, where N
    is `norm`, over the rows of all steps if it is of rows.

    W start by Glorot's uniform, or by a Gaussian of standard deviation `init_std`; b at 0. There is no state. `public`
    (P, T, d_input) are rows that a norm may take its statistics from.
    """

    streams = False
    carries_norms = True

    def __init__(
        self,
        d_input: int,
        sizes: Sequence[Count],
        nonlinearity: Annotated[str, OneOf(*NONLINEARITIES)] = "relu",
        norm: Callable[..., Norm] = NoNorm,
        init_std: Positive | None = None,
        peers: Peers | None = None,
        public: Tensor | None = None,
    ):
        super().__init__()
        if not sizes:
            raise ValueError("sizes names no layer")
        self.d_output = sizes[-1]
        self.nonlinearity = NONLINEARITIES[nonlinearity]
        self.d_input = d_input
        self.norms = FeedForwardNorms(norm, sizes, public is not None, peers)
        self.couples_rows = self.reads_valid = self.norms.couples_rows
        layers = [nn.Linear(*widths, bias=self.norms.is_none) for widths in pairwise([d_input, *sizes])]
        for layer in layers:
            if init_std is None:
                nn.init.xavier_uniform_(layer.weight)
            else:
                nn.init.normal_(layer.weight, std=init_std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        self.layers = nn.ModuleList(layers)
        self.public_1PD: Tensor | None
        self.register_buffer("public_1PD", None if public is None else public.reshape(1, -1, d_input), persistent=False)

    def forward(
        self, x: Tensor, state: State = None, valid_BT: Tensor | None = None
    ) -> tuple[Tensor, State, Tensor | None]:
        h_BTD = x if x.is_floating_point() else F.one_hot(x, self.d_input).to(next(self.parameters()).dtype)
        valid_1N = None if valid_BT is None else valid_BT.reshape(1, -1)
        flows = [h_BTD.reshape(1, -1, self.d_input)]
        if self.norms.is_public and self.public_1PD is not None:
            flows.append(self.public_1PD.to(h_BTD.dtype))
        for index, layer in enumerate(self.layers):
            products = self.norms(index, [layer(h_1ND) for h_1ND in flows], valid_1N)
            flows = [self.nonlinearity(z_1ND) for z_1ND in products]
        return flows[0].view(*h_BTD.shape[:2], self.d_output), None, None

    def prepare_evaluation(self, passes: Iterable[None], peers: Peers) -> None:
        estimate_population(self, passes)
