"""ConvS2S: convolutional sequence to sequence learning (Gehring et al. 2017, arXiv 1705.03122).

Gehring, Auli, Grangier, Yarats, Dauphin, with the scales of fairseq's FConvModel, the authors' code. There the output
layer has weight norm too; here it is a head's.

    layer       h = (GLU(conv_k(h')) + h') sqrt(1/2)
    decoder     d_i = (W h_i + b + g_i) sqrt(1/2)       g_i: the embedded input, u of them below
                a_ij = softmax_j(d_i . z_j)             c_i = sqrt(m) sum_j a_ij (z_j + e_j) sqrt(1/2)
                h_i <- (W' c_i + h_i) sqrt(1/2)         in every layer, before the residual

z_j are the encoder's outputs, e_j its embedded inputs, m the number of source positions. Positions are embedded too.

Shapes: B batch, S source positions, T target positions, D features of an embedding, C channels, k kernel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from seqbench.contracts.encoder_decoder import EncoderDecoder
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, Dropout
from seqbench.models.cells.attention.source import masked_softmax

_HALF = math.sqrt(0.5)


class ConvS2S(EncoderDecoder):
    """Encoder and decoder of gated convolutions. State: for each layer its last k - 1 inputs (B, k - 1, C), and the
    number of tokens so far (B,).

    - `encoder_layers` and `decoder_layers` list (channels, kernel); the encoder's kernels are odd, for it pads both
      sides.
    - `d_hidden` is the width of what comes out.
    - `dropout` acts on embeddings, on each convolution's input and on what comes out.
    - `max_positions`: positions from there on share one embedding.

    Weights are normal with variance 4 (1 - p) / fan-in before a gate, (1 - p) / fan-in in the linear maps of the
    embeddings, and 1 / fan-in in the others, from whose inputs nothing is dropped; weight norm on all of them.
    """

    def __init__(
        self,
        d_input: int,
        encoder_layers: Sequence[Sequence[int]],
        decoder_layers: Sequence[Sequence[int]],
        d_hidden: Count,
        dropout: Dropout = 0.1,
        max_positions: Count = 1024,
    ):
        super().__init__()
        for name, layers in (("encoder_layers", encoder_layers), ("decoder_layers", decoder_layers)):
            if not layers or any(len(layer) != 2 or min(layer) < 1 for layer in layers):
                raise ValueError(f"{name} lists [channels, kernel], not {layers!r}")
        if any(kernel % 2 == 0 for _, kernel in encoder_layers):
            raise ValueError("the kernels of encoder_layers are odd")
        self.dropout, self.max_positions, self.d_output = dropout, max_positions, d_hidden
        self.positions = nn.ModuleList(nn.Embedding(max_positions, d_input) for _ in range(2))
        for table in self.positions:
            nn.init.normal_(table.weight, 0.0, 0.1)  # type: ignore[arg-type]
        self.first = nn.ModuleList(
            _linear(d_input, layers[0][0], dropout) for layers in (encoder_layers, decoder_layers)
        )
        self.encoder, self.decoder = _stack(encoder_layers, dropout), _stack(decoder_layers, dropout)
        self.kernels = [[kernel for _, kernel in layers] for layers in (encoder_layers, decoder_layers)]
        self.encoder_output = _linear(encoder_layers[-1][0], d_input)
        self.queries = nn.ModuleList(_linear(channels, d_input) for channels, _ in decoder_layers)
        self.contexts = nn.ModuleList(_linear(d_input, channels) for channels, _ in decoder_layers)
        self.output = _linear(decoder_layers[-1][0], d_hidden)

    def encode(self, x_BSD: Tensor, valid_BS: Tensor) -> tuple[State, None]:
        place_S = torch.arange(x_BSD.shape[1], device=x_BSD.device).clamp_max(self.max_positions - 1)
        embedded_BSD = self._dropped(x_BSD + self.positions[0](place_S))
        kept_BS1 = valid_BS.unsqueeze(2).to(embedded_BSD.dtype)
        x_BSC = self.first[0](embedded_BSD)
        for layer, kernel in zip(self.encoder, self.kernels[0], strict=True):
            before_BSC = layer.project(x_BSC)  # type: ignore[operator]
            wide = kernel // 2
            seen_BSC = F.pad(self._dropped(x_BSC * kept_BS1), (0, 0, wide, wide))
            x_BSC = (layer(seen_BSC) + before_BSC) * _HALF
        z_BSD = self.encoder_output(x_BSC)
        # every layer of the decoder adds to this gradient, twice: through the scores and through the contexts
        z_BSD = _scaled_gradient(z_BSD, 1 / (2 * len(self.decoder)))
        return {"keys": z_BSD, "values": (z_BSD + embedded_BSD) * _HALF, "valid": valid_BS}, None

    def decode(self, x_BTD: Tensor, memory: State, state: State = None) -> tuple[Tensor, State, None]:
        n_rows, n_new = x_BTD.shape[:2]
        n_before_B = x_BTD.new_zeros(n_rows, dtype=torch.long) if state is None else state["n"]
        place_BT = n_before_B[:, None] + torch.arange(n_new, device=x_BTD.device)
        embedded_BTD = self._dropped(x_BTD + self.positions[1](place_BT.clamp_max(self.max_positions - 1)))
        x_BTC, coverage_BS, layers = self.first[1](embedded_BTD), 0 if state is None else state["coverage"], []
        scale_B11 = memory["valid"].sum(1).to(x_BTC.dtype).sqrt()[:, None, None]
        for index, layer in enumerate(self.decoder):
            before_BTC = layer.project(x_BTC)  # type: ignore[operator]
            seen_BTC = self._dropped(x_BTC)
            n_past = self.kernels[1][index] - 1
            past_BkC = (
                seen_BTC.new_zeros(n_rows, n_past, seen_BTC.shape[2]) if state is None else state["layers"][index]
            )
            seen_BTC = torch.cat([past_BkC.to(seen_BTC.dtype), seen_BTC], 1)
            layers.append(seen_BTC[:, n_new:].clone())
            h_BTC = layer(seen_BTC)
            query_BTD = (self.queries[index](h_BTC) + embedded_BTD) * _HALF
            weight_BTS = masked_softmax(query_BTD @ memory["keys"].transpose(1, 2), memory["valid"].unsqueeze(1))
            coverage_BS = coverage_BS + weight_BTS.sum(1) / len(self.decoder)
            context_BTD = weight_BTS.to(h_BTC.dtype) @ memory["values"].to(h_BTC.dtype) * scale_B11
            h_BTC = (self.contexts[index](context_BTD) + h_BTC) * _HALF
            x_BTC = (h_BTC + before_BTC) * _HALF
        new_state = {"layers": tuple(layers), "n": n_before_B + n_new, "coverage": coverage_BS}
        return self._dropped(self.output(x_BTC)), new_state, None

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


class _Gated(nn.Module):
    """GLU of a convolution over the time of (B, T + k - 1, C') to (B, T, C), and the residual's linear map where C' is
    not C."""

    def __init__(self, d_before: int, channels: int, kernel: int, dropout: float):
        super().__init__()
        convolution = nn.Conv1d(d_before, 2 * channels, kernel)
        nn.init.normal_(convolution.weight, 0.0, math.sqrt(4 * (1 - dropout) / (kernel * d_before)))
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
        self.convolution = parametrizations.weight_norm(convolution, dim=0)
        self.project = nn.Identity() if d_before == channels else _linear(d_before, channels)

    def forward(self, x_BTC: Tensor) -> Tensor:
        return F.glu(self.convolution(x_BTC.transpose(1, 2)), 1).transpose(1, 2)


def _stack(layers: Sequence[Sequence[int]], dropout: float) -> nn.ModuleList:
    widths = [layers[0][0], *(channels for channels, _ in layers)]
    return nn.ModuleList(_Gated(widths[i], channels, kernel, dropout) for i, (channels, kernel) in enumerate(layers))


def _linear(d_input: int, d_output: int, dropout: float = 0.0) -> nn.Module:
    """`dropout`: of its input, whose variance is as much larger for it."""
    linear = nn.Linear(d_input, d_output)
    nn.init.normal_(linear.weight, 0.0, math.sqrt((1 - dropout) / d_input))
    nn.init.zeros_(linear.bias)
    return parametrizations.weight_norm(linear, dim=0)


def _scaled_gradient(x: Tensor, scale: float) -> Tensor:
    """x itself, whose gradient is multiplied on its way back."""
    return x * scale + x.detach() * (1 - scale)
