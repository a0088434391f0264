"""Recurrent layers whose weights and activations are quantised (Hubara et al. 2016, arXiv 1609.07061).

    z_t = Q(W) Q(x_t) + Q(U) h_{t-1} + b        h_t = Q(tanh(z_t)),  or an LSTM's o * tanh(c_t), quantised

Quantised are W, U, x and h, and by option the gradient of z; the biases, an LSTM's gates and its cell are not.

Shapes: T time, B batch, D features, H hidden size, K gates (4: i, f, g, o of an LSTM; 1 of an RNN).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.peers import Peers
from seqbench.contracts.pytree import State
from seqbench.contracts.quantizer import Quantizer
from seqbench.models.cells.quantizer.straight_through import with_quantized_gradient
from seqbench.models.cells.time_loop import packed
from seqbench.models.cells.time_loop.stack import RecurrentStack, weights


class QuantizedStack(RecurrentStack):
    """`layers` hold the weights, which stay real and, after each step, are clipped to +-`clip`: their names are those
    of a stack that is not quantised, so either begins with the other's weights.

    `backend`: reference is a loop in PyTorch; packed, in evaluation, one of products of packed weights (packed.py);
    auto is packed where it can. The products are exact, and sigmoid and tanh are as near as torch's, so that of many
    numbers one that lies on the border between two levels may fall on its other side."""

    def __init__(
        self,
        layers: Sequence[nn.RNNBase],
        dropout: float,
        weights: Callable[..., Quantizer],
        activations: Callable[..., Quantizer],
        gradients: Callable[..., Quantizer],
        quantizes_input: bool,
        clip: float | None,
        backend: str,
    ):
        super().__init__(layers, dropout, backend)
        self.quantize_weights, self.quantize, self.quantize_gradient = weights(), activations(), gradients()
        if self.quantize_gradient.scale == "tensor":
            raise ValueError("gradients.scale=tensor would make a position depend on others; row is of a position")
        self.quantizes_input, self.clip = quantizes_input, clip
        self._packed = packed.PackedWeights(self.quantize_weights, self.quantize)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, None]:
        with torch.autocast(x.device.type, enabled=False):  # a level is the same number in any product
            weight = weights(self.layers[0])[0]
            x = x.to(weight.dtype) if x.is_floating_point() else F.one_hot(x, self._d_input).to(weight.dtype)
            new_state = []
            is_packed = self._packed.serve(self.backend, weight, self.training)
            run = self._run_packed if is_packed else self._reference
            for index in range(len(self.layers)):
                if index > 0:
                    x = F.dropout(x, self.dropout, self.training)
                x, after = run(index, x, None if state is None else state[index])
                new_state.append(after)
        return x, tuple(new_state), None

    def after_step(self, peers: Peers) -> None:
        if self.clip is not None:
            with torch.no_grad():
                for weight, _ in self.quantized():
                    weight.clamp_(-self.clip, self.clip)

    def quantized(self) -> list[tuple[nn.Parameter, Quantizer]]:
        """The weight matrices, each with its quantiser."""
        return [(weight, self.quantize_weights) for layer in self.layers for weight in weights(layer)[:2]]

    def train(self, mode: bool = True) -> QuantizedStack:
        self._packed.clear()  # of weights that may have changed since
        return super().train(mode)

    def _reference(self, index: int, x_BTD: Tensor, before: State) -> tuple[Tensor, State]:
        """The definition."""
        layer = self.layers[index]
        input_weight, recurrent_weight, *biases = weights(layer)
        weight_KH = self.quantize_weights(recurrent_weight)
        z_TBK = F.linear(
            self._inputs(x_BTD).transpose(0, 1), self.quantize_weights(input_weight), biases[0] + biases[1]
        )
        h_BH, c_BH = self._first(layer, x_BTD, before)
        h_BH, outputs = self.quantize(h_BH), []
        for z_BK in z_TBK.unbind(0):
            z_BK = with_quantized_gradient(z_BK + F.linear(h_BH, weight_KH), self.quantize_gradient)
            if c_BH is None:
                h_BH = self.quantize(z_BK.tanh())
            else:
                i, f, g, o = z_BK.chunk(4, 1)
                c_BH = f.sigmoid() * c_BH + i.sigmoid() * g.tanh()
                h_BH = self.quantize(o.sigmoid() * c_BH.tanh())
            outputs.append(h_BH)
        y_BTH = torch.stack(outputs, 1) if outputs else h_BH.new_empty(len(x_BTD), 0, h_BH.shape[1])
        return y_BTH, h_BH if c_BH is None else (h_BH, c_BH)

    def _run_packed(self, index: int, x_BTD: Tensor, before: State) -> tuple[Tensor, State]:
        layer = self.layers[index]
        input_weight, recurrent_weight, *biases = weights(layer)
        x_TBD, bias_K = x_BTD.transpose(0, 1), biases[0] + biases[1]
        if self.quantizes_input:
            x_RD = x_TBD.flatten(0, 1)
            gates_TBK = packed.linear(self._packed.of(input_weight), x_RD, bias_K).unflatten(0, x_TBD.shape[:2])
        else:
            gates_TBK = F.linear(x_TBD, self.quantize_weights(input_weight), bias_K).contiguous()
        h_BH, c_BH = self._first(layer, x_BTD, before)
        h_TBH, c_BH = packed.recurrence(self._packed.of(recurrent_weight), gates_TBK, h_BH, c_BH)
        last_BH = h_TBH[-1] if len(h_TBH) else self.quantize(h_BH)
        return h_TBH.transpose(0, 1), last_BH if c_BH is None else (last_BH, c_BH)

    def _inputs(self, x_BTD: Tensor) -> Tensor:
        return self.quantize(x_BTD) if self.quantizes_input else x_BTD

    def _first(self, layer: nn.Module, x_BTD: Tensor, before: State) -> tuple[Tensor, Tensor | None]:
        is_lstm = isinstance(layer, nn.LSTM)
        if before is not None:
            return before if is_lstm else (before, None)
        assert isinstance(layer, nn.RNNBase)
        zero_BH = x_BTD.new_zeros(len(x_BTD), layer.hidden_size)
        return zero_BH, zero_BH if is_lstm else None
