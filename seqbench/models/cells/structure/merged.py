"""The search within the tree of a gated recurrent unit: which triple of weights each node takes.

Qian, Kennedy, Klabjan 2019, arXiv 1905.10540, planB of the authors' code. Of the nine nodes of a GRU, z (twice) and r
take the triples 0 and 1; at the others all K candidates are computed and mixed by their scores:

    z = sigmoid(x L_0 + h R_0 + b_0)            r = sigmoid(x L_1 + h R_1 + b_1)
    reset       u  = mix_k (r L_k) * (h R_k) + b_k
    complement  o  = mix_k 1 - (z L_k + b_k)
    kept        c  = mix_k (z L_k) * (h R_k) + b_k
    candidate   n  = mix_k tanh(x L_k + u R_k + b_k)
    new         a  = mix_k (o L_k) * (n R_k) + b_k
    output      h' = mix_k a L_k + c R_k + b_k

    mix_k v_k = sum_k softmax_k(s(w_k)) w_k,   w_k = norm(v_k)

With k = 2 for the candidate, k = 3 elsewhere, L_3 = R_3 = I, b_3 = 0 and no norm this is the GRU of Cho et al. 2014,
whose reset gate acts before the recurrent product. The authors' code has no norm here. But products and sums of
mixtures, unlike a GRU, do not bound h, and without one training diverges as soon as a mixture of the L or R grows.

Shapes: B batch, T time, N nodes, K triples, H units.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqbench.models.cells.structure.candidates import Chosen, Triples

NODES = ("reset", "complement", "kept", "candidate", "new", "output")  # in the order in which they are scored


class Merged(nn.Module):
    """One step of the cell. `norm` is of each candidate (..., H); `scorer` maps (..., K, H) to scores (..., K)."""

    def __init__(self, triples: Triples, norm: nn.Module, scorer: nn.Module):
        super().__init__()
        self.triples, self.norm, self.scorer = triples, norm, scorer

    def prepare(self, x_BTH: Tensor) -> Tensor:
        """(B, T, K, H): what `step` reads of the inputs, x L_k + b_k, for all steps at once."""
        return self.triples.lefts(x_BTH) + self.triples.bias

    def step(self, x_BKH: Tensor, h_BH: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The next h (B, H), and the scores (B, N, K) of the nodes, in parts of one after another."""
        lefts, rights, bias_KH = self.triples.lefts, self.triples.rights, self.triples.bias
        hr_BKH = rights(h_BH)
        gates_B2H = (x_BKH[:, :2] + hr_BKH[:, :2]).sigmoid()
        zl_BKH, rl_BKH = lefts(gates_B2H).unbind(1)
        first = torch.stack([rl_BKH * hr_BKH + bias_KH, 1 - (zl_BKH + bias_KH), zl_BKH * hr_BKH + bias_KH], 1)
        (u_BH, o_BH, c_BH), scores = self._mixed(first)
        (n_BH,), candidate = self._mixed((x_BKH + rights(u_BH)).tanh()[:, None])
        (a_BH,), new = self._mixed((lefts(o_BH) * rights(n_BH) + bias_KH)[:, None])
        (h_BH,), output = self._mixed((lefts(a_BH) + rights(c_BH) + bias_KH)[:, None])
        return h_BH, [scores, candidate, new, output]

    def _mixed(self, v_BNKH: Tensor) -> tuple[Sequence[Tensor], Tensor]:
        """Each node's mixture (B, H), and the scores (B, N, K)."""
        v_BNKH = self.norm(v_BNKH)
        scores_BNK = self.scorer(v_BNKH)
        return (scores_BNK.softmax(-1)[..., None] * v_BNKH).sum(-2).unbind(1), scores_BNK

    def chosen(self, best: Sequence[int]) -> Chosen:
        """The cell with the triples `best`, in the order of `NODES`."""
        k = dict(zip(NODES, best, strict=True))
        candidate = f"tanh[x + [r * h]{k['reset']}]{k['candidate']}"
        new = f"[1-[z + 0]{k['complement']} * {candidate}]{k['new']}"
        expression = f"[{new} + [z * h]{k['kept']}]{k['output']}"
        return Chosen(expression, tuple((name, f"k{index}") for name, index in k.items()))
