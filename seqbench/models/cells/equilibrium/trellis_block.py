"""One TrellisNet level that is applied again and again, with the input injected each time (Bai et al. 2019).

Bai, Kolter, Koltun 2019, TrellisNet, arXiv 1810.06682; as the block of an equilibrium model, arXiv 1909.01377.

    a_t = V_1 x_{t-s} + V_2 x_t + W_1 h_{t-s} + W_2 h_t + b            z = (c, h), s the dilation
    c'_t = sigmoid(a^f_t) c_{t-s} + sigmoid(a^i_t) tanh(a^g_t),   h'_t = sigmoid(a^o_t) tanh(c'_t)

x, c and h are zero before the first position.

Shapes: B batch, T time, S = s remembered positions, H hidden size, G = 4 H gates.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqbench.models.cells.equilibrium.tied import TiedLinear, dropout_mask


class TrellisBlock(nn.Module):
    """The level's weights; `bind` makes f for one segment.

    - `dropout` acts on h inside f, with a mask that all positions and applications share.
    - `weight_dropout` drops entries of W_1 and W_2.
    - `weight_norm` is on W_1 and W_2; all matrices start in N(0, `init_std`^2).
    """

    def __init__(
        self,
        d_input: int,
        hidden_size: int,
        dilation: int,
        dropout: float,
        weight_dropout: float,
        weight_norm: bool,
        init_std: float,
    ):
        super().__init__()
        self.hidden_size, self.dilation, self.dropout = hidden_size, dilation, dropout
        self.inject_past = TiedLinear(d_input, 4 * hidden_size, init_std, bias=False)
        self.inject = TiedLinear(d_input, 4 * hidden_size, init_std)
        self.recur = TiedLinear(2 * hidden_size, 4 * hidden_size, init_std, False, weight_norm, weight_dropout)

    def bind(self, x: Tensor, past_BSG: Tensor | None) -> TrellisStep:
        """f for the inputs x (B, T, d_input) or ids (B, T); `past_BSG` is V_1 x of the S positions before."""
        return TrellisStep(self, x, past_BSG)


class TrellisStep:
    """f of one segment: what does not depend on z is computed here, once. `past_BSG` is what the next segment needs of
    this one's injection."""

    def __init__(self, block: TrellisBlock, x: Tensor, past_BSG: Tensor | None):
        self.block, self.recur = block, block.recur.effective()
        (B, T), S, H = x.shape[:2], block.dilation, block.hidden_size
        late_BTG = block.inject_past.effective()(x)
        if past_BSG is None:
            past_BSG = late_BTG.new_zeros(B, S, 4 * H)
        early_BUG = torch.cat([past_BSG.to(late_BTG.dtype), late_BTG], 1)
        self.past_BSG = early_BUG[:, -S:]
        self.inject_BTG = block.inject.effective()(x) + early_BUG[:, :T]
        self.mask_B1H = dropout_mask(x, (B, 1, H), block.dropout, block.training)

    def __call__(self, z_BTC: Tensor, memory_BSC: Tensor) -> Tensor:
        """f(z), given z at the S positions before; z and it hold c and h side by side: C = 2 H."""
        H, T = self.block.hidden_size, z_BTC.shape[1]
        whole_BUC = torch.cat([memory_BSC, z_BTC], 1)
        h_BUH = whole_BUC[..., H:] if self.mask_B1H is None else whole_BUC[..., H:] * self.mask_B1H
        gates_BTG = self.recur(torch.cat([h_BUH[:, :T], h_BUH[:, -T:]], 2)) + self.inject_BTG
        f, i, g, o = gates_BTG.chunk(4, -1)
        c_BTH = f.sigmoid() * whole_BUC[:, :T, :H] + i.sigmoid() * g.tanh()
        return torch.cat([c_BTH, o.sigmoid() * c_BTH.tanh()], 2)

    def remembered(self, z_BTC: Tensor, memory_BSC: Tensor) -> Tensor:
        """The memory of the segment after."""
        return torch.cat([memory_BSC, z_BTC], 1)[:, -self.block.dilation :]


def checked_width(d_model: int | None, hidden_size: int) -> int:
    """How many of the channels are handed on."""
    if d_model is not None and d_model > hidden_size:
        raise ValueError(f"d_model is at most hidden_size={hidden_size}, not {d_model}")
    return d_model or hidden_size
