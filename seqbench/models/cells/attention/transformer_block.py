"""One Transformer layer that is applied again and again, with the input injected each time (Bai et al. 2019).

Bai, Kolter, Koltun 2019, arXiv 1909.01377; relative attention of Dai et al. 2019, arXiv 1901.02860; details as in the
authors' code.

    q, k, v = W_qkv [memory, z] + U x                     a_ij ~ exp(((q_i + u) . k_j + (q_i + w) . r_{i-j}) / sqrt(E))
    h = LN(W_o a v + z),   f(z) = LN(W_2 relu(W_1 h) + h)                                              (post-norm)
    h = W_o a v + z with q, k, v of LN(z),   f(z) = W_2 relu(W_1 LN(h)) + LN(h)                         (pre-norm)

LN has no parameters. Every position sees itself and the `span` positions before it, those of earlier segments too.

Shapes: B batch, T time, M remembered positions, S = M + T, D width, L distances, F inner width.
"""

from __future__ import annotations

import contextlib

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.models.cells.attention.relative import attend, sinusoids
from seqbench.models.cells.equilibrium.tied import TiedLinear, dropout_mask, lowered


class TransformerBlock(nn.Module):
    """The layer's weights; `bind` makes f for one segment.

    - `d_inner` is F, `span` the number of positions before its own that each one sees.
    - `dropout` acts on what attention and feed-forward net add and inside the latter, with masks that all positions and
      applications share; `dropout_attention` on the a_ij.
    - `pre_norm` chooses the second of the two forms above.
    - `weight_norm` is on all matrices but U; all of them start in N(0, `init_std`^2).
    """

    def __init__(
        self,
        d_input: int,
        d_model: int,
        n_heads: int,
        d_inner: int,
        span: int,
        dropout: float,
        dropout_attention: float,
        pre_norm: bool,
        weight_norm: bool,
        init_std: float,
    ):
        super().__init__()
        if d_model % n_heads or d_model % 2:
            raise ValueError(f"d_model is even and a multiple of n_heads={n_heads}, not {d_model}")
        self.d_model, self.n_heads, self.span, self.pre_norm = d_model, n_heads, span, pre_norm
        self.dropout, self.dropout_attention = dropout, dropout_attention
        self.inject = TiedLinear(d_input, 3 * d_model, init_std)
        self.qkv = TiedLinear(d_model, 3 * d_model, init_std, bias=False, weight_norm=weight_norm)
        self.position = TiedLinear(d_model, d_model, init_std, bias=False, weight_norm=weight_norm)
        self.out = TiedLinear(d_model, d_model, init_std, bias=False, weight_norm=weight_norm)
        self.inner = TiedLinear(d_model, d_inner, init_std, weight_norm=weight_norm)
        self.outer = TiedLinear(d_inner, d_model, init_std, weight_norm=weight_norm)
        self.content_bias = nn.Parameter(torch.empty(d_model).uniform_(-0.05, 0.05))
        self.position_bias = nn.Parameter(torch.empty(d_model).uniform_(-0.05, 0.05))

    def bind(self, x: Tensor, past_BM2D: Tensor | None) -> TransformerStep:
        """f for the inputs x (B, T, d_input) or ids (B, T), after M positions whose injected keys and values are
        `past_BM2D`."""
        return TransformerStep(self, x, past_BM2D)


class TransformerStep:
    """f of one segment: what does not depend on z is computed here, once. `past_BM2D` is what the next segment needs
    of this one's injection."""

    def __init__(self, block: TransformerBlock, x: Tensor, past_BM2D: Tensor | None):
        self.block, self.qkv = block, block.qkv.effective()
        self.out, self.inner, self.outer = block.out.effective(), block.inner.effective(), block.outer.effective()
        D, H = block.d_model, block.n_heads
        self.inject_BTC = block.inject.effective()(x)
        if past_BM2D is None:
            past_BM2D = self.inject_BTC.new_zeros(len(x), 0, 2 * D)
        self.before_BM2D = past_BM2D
        self.past_BM2D = torch.cat([past_BM2D, self.inject_BTC[..., D:].to(past_BM2D.dtype)], 1)[:, -block.span :]
        (B, T), M = self.inject_BTC.shape[:2], past_BM2D.shape[1]
        heads = (H, D // H)
        self.content_bias = lowered(block.content_bias).unflatten(0, heads)
        self.position_bias = lowered(block.position_bias).unflatten(0, heads)
        distances_LD = sinusoids(min(M + T, block.span + 1), block.content_bias)
        self.position_LD = block.position.effective()(distances_LD)
        rate, training = block.dropout, block.training
        self.mask_out = dropout_mask(x, (B, 1, D), rate, training)
        self.mask_inner = dropout_mask(x, (B, 1, block.inner.weight.shape[0]), rate, training)
        self.mask_outer = dropout_mask(x, (B, 1, D), rate, training)
        self.seed = int(torch.randint(2**62, ())) if block.dropout_attention and training else 0

    def keys_values(self, memory_BMD: Tensor | None) -> Tensor:
        """Keys and values (B, M, 2D) of the z that the M positions before had."""
        if memory_BMD is None:
            return self.before_BM2D
        D = self.block.d_model
        return self.qkv(self._normed(memory_BMD, self.block.pre_norm))[..., D:] + self.before_BM2D

    def __call__(self, z_BTD: Tensor, memory_BM2D: Tensor) -> Tensor:
        """f(z), given the `keys_values` of the memory."""
        pre_norm = self.block.pre_norm
        h_BTD = _masked(self.out(self._attention(self._normed(z_BTD, pre_norm), memory_BM2D)), self.mask_out) + z_BTD
        h_BTD = self._normed(h_BTD, True)  # before the feed-forward net in either order
        inner_BTF = _masked(F.relu(self.inner(h_BTD)), self.mask_inner)
        return self._normed(_masked(self.outer(inner_BTF), self.mask_outer) + h_BTD, not pre_norm)

    def remembered(self, z_BTD: Tensor, memory_BMD: Tensor | None) -> Tensor:
        """What the next segment may see of z here and before: the last `span` positions."""
        return (z_BTD if memory_BMD is None else torch.cat([memory_BMD, z_BTD], 1))[:, -self.block.span :]

    def _attention(self, z_BTD: Tensor, memory_BM2D: Tensor) -> Tensor:
        block, D = self.block, self.block.d_model
        qkv_BTC = self.qkv(z_BTD) + self.inject_BTC
        q_BTD, own_BTC = qkv_BTC.split([D, 2 * D], -1)
        k_BSD, v_BSD = torch.cat([memory_BM2D.to(own_BTC.dtype), own_BTC], 1).chunk(2, -1)
        rate = block.dropout_attention if block.training else 0.0
        with self._same_draws() if rate else contextlib.nullcontext():
            return attend(
                q_BTD, k_BSD, v_BSD, self.position_LD, self.content_bias, self.position_bias, block.span, rate
            )

    @contextlib.contextmanager
    def _same_draws(self):
        """At every application the same mask: drawn from the same seed, and the generators as they were after."""
        devices = [self.inject_BTC.device] if self.inject_BTC.is_cuda else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(self.seed)
            yield

    def _normed(self, x: Tensor, applies: bool) -> Tensor:
        return F.layer_norm(x, (self.block.d_model,)) if applies else x


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask
