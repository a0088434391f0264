"""Transformer-XL: relative positions and a memory of earlier segments (Dai et al. 2019, arXiv 1901.02860).

A Transformer decoder; details as in the authors' code (ACL 2019).

    post:  h = norm(x + attention(x, context))            y = norm(h + inner(h))           inner(h) = W_2 relu(W_1 h)
    pre:   h = x + attention(norm(x), norm(context))      y = h + inner(norm(h))           and one norm at the end

The context is what the layer was given at the `span` positions before, from the state where they lie before this call.
Every query sees exactly these and itself (the authors' same_length), whatever a call's length.

Shapes: B batch, T time, D features, M positions in memory, L distances, H heads, E = D / H.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.backbone import Backbone
from seqbench.contracts.norm import Norm
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, Dropout, NotNegative
from seqbench.models.cells.attention.relative import attend, sinusoids
from seqbench.models.cells.norm.layer_norm import LayerNorm


class Transformer(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, d_model). State: per layer its last inputs, (B, M, d_model) with
    M <= span: as many as there have been, so nothing stands for positions before the start.

    - Other widths of x than `d_model` are projected.
    - `d_inner` is the width between the two linear maps of a layer; `span` positions before its own are seen by each.
    - `pre_norm` puts the norm before each half of a layer and one at the end; else it follows each half's sum.
    - `norm` makes one of so many features.
    - `dropout` acts on x, on the positions' encodings, on what each half of a layer adds and within its second, and
      on y; `dropout_attention` on attention weights.
    - Weights and the biases u and w, which all layers share, start in N(0, `init_std`^2).
    """

    def __init__(
        self,
        d_input: int,
        d_model: Count,
        n_layers: Count,
        n_heads: Count,
        d_inner: Count,
        span: Count,
        dropout: Dropout = 0.1,
        dropout_attention: Dropout = 0.0,
        pre_norm: bool = False,
        norm: Callable[..., Norm] = LayerNorm,
        init_std: NotNegative = 0.02,
    ):
        super().__init__()
        if d_model % n_heads or d_model % 2:
            raise ValueError(f"d_model is even and a multiple of n_heads={n_heads}, not {d_model}")
        self.d_output, self.span, self.dropout = d_model, span, dropout
        self._d_input = d_input
        self.project = nn.Identity() if d_input == d_model else nn.Linear(d_input, d_model, bias=False)
        self.layers = nn.ModuleList(
            _Layer(d_model, d_inner, span, pre_norm, norm, dropout, dropout_attention) for _ in range(n_layers)
        )
        self.norm = norm(d_input=d_model) if pre_norm else nn.Identity()
        self.content_bias = nn.Parameter(torch.empty(n_heads, d_model // n_heads))
        self.position_bias = nn.Parameter(torch.empty(n_heads, d_model // n_heads))
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=init_std)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, None]:
        if not x.is_floating_point():
            x = F.one_hot(x, self._d_input).to(self.content_bias.dtype)
        x_BTD = self._drop(self.project(x))
        memories = [x_BTD[:, :0]] * len(self.layers) if state is None else state
        n_positions = memories[0].shape[1] + x_BTD.shape[1]
        r_LD = self._drop(sinusoids(min(n_positions, self.span + 1), x_BTD))
        new_state = []
        for layer, memory_BMD in zip(self.layers, memories, strict=True):
            context_BSD = torch.cat([memory_BMD.to(x_BTD.dtype), x_BTD], 1)
            new_state.append(context_BSD[:, -self.span :])
            x_BTD = layer(context_BSD, x_BTD.shape[1], r_LD, self.content_bias, self.position_bias)
        return self._drop(self.norm(x_BTD)), tuple(new_state), None

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


class _Layer(nn.Module):
    """Attention, then two linear maps at each position; a residual connection around each."""

    def __init__(
        self,
        d_model: int,
        d_inner: int,
        span: int,
        pre_norm: bool,
        norm: Callable[..., Norm],
        dropout: float,
        dropout_attention: float,
    ):
        super().__init__()
        self.span, self.pre_norm = span, pre_norm
        self.dropout, self.dropout_attention = dropout, dropout_attention
        self.query = nn.Linear(d_model, d_model, bias=False)
        self.key_value = nn.Linear(d_model, 2 * d_model, bias=False)
        self.position = nn.Linear(d_model, d_model, bias=False)
        self.attended = nn.Linear(d_model, d_model, bias=False)
        self.norm_attention = norm(d_input=d_model)
        self.inner = nn.Linear(d_model, d_inner)
        self.outer = nn.Linear(d_inner, d_model)
        self.norm_inner = norm(d_input=d_model)

    def forward(self, context_BSD: Tensor, n_steps: int, r_LD: Tensor, u_HE: Tensor, w_HE: Tensor) -> Tensor:
        """(B, T, D) for the last T = `n_steps` positions of the context."""
        x_BTD = context_BSD[:, context_BSD.shape[1] - n_steps :]
        if self.pre_norm:
            h_BTD = x_BTD + self._attention(self.norm_attention(context_BSD), n_steps, r_LD, u_HE, w_HE)
            return h_BTD + self._inner(self.norm_inner(h_BTD))
        h_BTD = self.norm_attention(x_BTD + self._attention(context_BSD, n_steps, r_LD, u_HE, w_HE))
        return self.norm_inner(h_BTD + self._inner(h_BTD))

    def _attention(self, context_BSD: Tensor, n_steps: int, r_LD: Tensor, u_HE: Tensor, w_HE: Tensor) -> Tensor:
        q_BTD = self.query(context_BSD[:, context_BSD.shape[1] - n_steps :])
        k_BSD, v_BSD = self.key_value(context_BSD).chunk(2, -1)
        dropout = self.dropout_attention if self.training else 0.0
        context_BTD = attend(q_BTD, k_BSD, v_BSD, self.position(r_LD), u_HE, w_HE, self.span, dropout)
        return self._drop(self.attended(context_BTD))

    def _inner(self, h_BTD: Tensor) -> Tensor:
        return self._drop(self.outer(self._drop(self.inner(h_BTD).relu())))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)
