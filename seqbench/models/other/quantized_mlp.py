"""Binarised multilayer perceptron (Courbariaux, Hubara, Soudry, El-Yaniv, Bengio 2016, arXiv 1602.02830).

At each step, without memory, for each layer:

    z = N(Q_w(W) x) + b        h = dropout(Q_a(clip(z, -1, 1)))

N is batch normalisation. The weights W are kept as real numbers, are used as quantised, and are clipped to +-1 after
each step. The inputs of the first layer are not quantised. With weights=real and activations=real it is the same
network with hard tanh units.

Shapes: T time, B batch, D features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.backbone import Backbone, ParameterGroup
from seqbench.contracts.norm import Norm, Steps
from seqbench.contracts.peers import Alone, Peers
from seqbench.contracts.pytree import State
from seqbench.contracts.quantizer import Quantizer
from seqbench.contracts.ranges import Count, Dropout, Positive
from seqbench.models.cells.norm.of_batch import estimate_population
from seqbench.models.cells.time_loop import packed


class QuantizedMLP(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, the last of `sizes`).

    - `weights`, `activations`: quantisers Q_w and Q_a.
    - `ends_real`: the last layer ends with z, to be scores of classes (head=squared_hinge with linear=false).
    - `dropout` acts on each h.
    - `init_range` r: W starts in U(-r, r); b at 0.
    - `glorot_rates`: the learning rate of a layer's W is sqrt((n_in + n_out) / 1.5) times the optimizer's.
    - `clip`: real weights are clipped to +-clip after each step (null: not).
    - `backend` does not affect results: packed computes the products of quantised h with packed weights in evaluation,
      reference does not; auto is packed where it can.
    """

    streams = False
    carries_norms = True
    machine_settings = ("backend",)

    def __init__(
        self,
        d_input: int,
        sizes: Sequence[Count],
        norm: Callable[..., Norm],
        weights: Callable[..., Quantizer],
        activations: Callable[..., Quantizer],
        ends_real: bool = False,
        dropout: Dropout = 0.0,
        init_range: Positive = 1.0,
        glorot_rates: bool = True,
        clip: Positive | None = 1.0,
        backend: packed.Backend = "auto",
        peers: Peers | None = None,
    ):
        super().__init__()
        if not sizes:
            raise ValueError("sizes names no layer")
        self.d_input, self.d_output = d_input, sizes[-1]
        self.quantize_weights, self.quantize = weights(), activations()
        self._packed = packed.PackedWeights(self.quantize_weights, self.quantize)
        self.ends_real, self.dropout, self.glorot_rates, self.clip = ends_real, dropout, glorot_rates, clip
        self.backend, self.peers = backend, peers or Alone()
        self.layers = nn.ModuleList(nn.Linear(*widths, bias=False) for widths in pairwise([d_input, *sizes]))
        for weight in self._weights():
            nn.init.uniform_(weight, -init_range, init_range)
        self.norms = nn.ModuleList(norm(d_input=size) for size in sizes)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(size)) for size in sizes)
        self.couples_rows = any(isinstance(one, Norm) and one.couples_rows for one in self.norms)
        self.reads_valid = self.couples_rows

    def forward(self, x: Tensor, state: State = None, valid_BT: Tensor | None = None) -> tuple[Tensor, State, None]:
        with torch.autocast(x.device.type, enabled=False):
            dtype = self.biases[0].dtype
            x = x.to(dtype) if x.is_floating_point() else F.one_hot(x, self.d_input).to(dtype)
            h_TBD, valid_TB = x.transpose(0, 1), None if valid_BT is None or valid_BT.all() else valid_BT.T
            is_packed = self._packed.serve(self.backend, self._weights()[0], self.training)
            for index, weight in enumerate(self._weights()):
                if index and is_packed:
                    z_TBD = packed.linear(self._packed.of(weight), h_TBD.flatten(0, 1)).unflatten(0, h_TBD.shape[:2])
                else:
                    z_TBD = F.linear(h_TBD, self.quantize_weights(weight))
                z_TBD = self._normalise(index, z_TBD, valid_TB) + self.biases[index]
                if index == len(self.layers) - 1 and self.ends_real:
                    return z_TBD.transpose(0, 1), None, None
                h_TBD = F.dropout(self.quantize(z_TBD.clamp(-1, 1)), self.dropout, self.training)
        return h_TBD.transpose(0, 1), None, None

    def prepare_evaluation(self, passes: Iterable[None], peers: Peers) -> None:
        """Estimate the population's statistics, if the norms have such, in passes over training batches."""
        estimate_population(self, passes)

    def after_step(self, peers: Peers) -> None:
        if self.clip is not None:
            with torch.no_grad():
                for weight in self._weights():
                    weight.clamp_(-self.clip, self.clip)

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        """Each layer's W, by number, where the learning rates differ."""
        if not self.glorot_rates:
            return {}
        return {
            f"layer{index}": ParameterGroup([weight], lr_scale=math.sqrt(sum(weight.shape) / 1.5))
            for index, weight in enumerate(self._weights())
        }

    def quantized(self) -> list[tuple[nn.Parameter, Quantizer]]:
        """The weight matrices, each with its quantiser."""
        return [(weight, self.quantize_weights) for weight in self._weights()]

    def train(self, mode: bool = True) -> QuantizedMLP:
        self._packed.clear()  # of weights that may have changed since
        return super().train(mode)

    def _weights(self) -> list[nn.Parameter]:
        return [layer.get_parameter("weight") for layer in self.layers]

    def _normalise(self, index: int, z_TBD: Tensor, valid_TB: Tensor | None) -> Tensor:
        norm = self.norms[index]
        assert isinstance(norm, Norm)
        return norm.over_time(z_TBD, Steps(0, valid_TB, self.peers), None)[0]
