"""Cell search: a recurrent cell that scores candidate operations at each node (Qian, Kennedy, Klabjan 2019).

Qian, Kennedy, Klabjan 2019, arXiv 1905.10540; details after the authors' code, of which planB is search=merged and
planA is search=tree. At each step a tree of nodes leads from x_t and h_{t-1} to h_t. A node's candidates differ in
the weights (L_k, R_k, b_k), k = 0 to 3, that they take, and in a tree in operands, operation and function, too
(cells/structure/merged.py and tree.py). A network s scores a candidate by its vector v alone, normalised, and

    node = sum_i softmax_i(s(w_i)) w_i,  w_i = norm(v_i)        structure: the candidate of the best score, at each node
    aux = margin_weight * sum over nodes of max(0, m - (best score - second best)) / m,  a mean over rows and steps

The mixture is used in evaluation, too. Left out of the paper's objective is the distance of the tree to that of a
trained GRU: the merged tree is a GRU's by construction, and the search over trees has no teacher here. So is the
alternation between the weights and the scores, which are the parameter group "scoring"; and planA's second stage, which
trains the weights with the structure held.

Shapes: B batch, T time, D features, H units, K candidates, N nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.backbone import Backbone, ParameterGroup
from seqbench.contracts.norm import Norm
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, NotNegative, OneOf, Positive
from seqbench.models.cells.norm.layer_norm import LayerNorm
from seqbench.models.cells.structure.candidates import Chosen, Scorer, Triples, margin_loss
from seqbench.models.cells.structure.merged import Merged
from seqbench.models.cells.structure.tree import Tree


class CellSearch(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, hidden_size), the h of each step. State: h (B, hidden_size).

    - `search` is merged, over the weights in the tree of a GRU, or tree, over all trees of nine nodes: up to 1,120
      candidates a node, so for a few units and short sequences.
    - `norm` is of each candidate, over its units; all share it. planA's is of the batch, by which rows depend on each
      other; planB has none, and diverges on a text at its own learning rate.
    - `d_score` is the width of the network that scores.
    - `margin` m and `margin_weight` are those of aux, which is there in training alone.

    The paper has inputs of `hidden_size` features; others pass a linear map without bias first. The L and R are the
    parameter group "recurrent", the scoring network is "scoring".
    """

    def __init__(
        self,
        d_input: int,
        hidden_size: Count,
        search: Annotated[str, OneOf("merged", "tree")] = "merged",
        norm: Callable[..., Norm] = LayerNorm,
        d_score: Count = 64,
        margin: Positive = 1.0,
        margin_weight: NotNegative = 0.1,
    ):
        super().__init__()
        self.d_input, self.d_output = d_input, hidden_size
        self.margin, self.margin_weight = margin, margin_weight
        self.projection = None if d_input == hidden_size else nn.Linear(d_input, hidden_size, bias=False)
        parts = Triples(hidden_size), norm(d_input=hidden_size), Scorer(hidden_size, d_score)
        self.cell = Merged(*parts) if search == "merged" else Tree(*parts)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, Tensor | None]:
        has_aux = self.training and self.margin_weight > 0
        y_BTH, h_BH, scores = self._run(x, state, has_aux)
        if not has_aux:
            return y_BTH, h_BH, None
        losses = [part.shape[-2] * margin_loss(part, self.margin) for part in scores]
        return y_BTH, h_BH, self.margin_weight * torch.stack(losses).sum()

    @torch.no_grad()
    def structure(self, x: Tensor, state: State = None) -> list[list[Chosen]]:
        """What has the best score at each node: for each row, and each step of it, the cell that this makes."""
        _, _, scores = self._run(x, state, keeps_scores=True)
        best_BTN = torch.cat([part_BTNK.argmax(-1) for part_BTNK in scores], -1)
        return [[self.cell.chosen(best) for best in row] for row in best_BTN.tolist()]

    def _run(self, x: Tensor, state: State, keeps_scores: bool) -> tuple[Tensor, Tensor, list[Tensor]]:
        """y, the last h, and the scores (B, T, N, K) of the nodes, in parts with K in common."""
        weight = self.cell.triples.left
        if not x.is_floating_point():
            x = F.one_hot(x, self.d_input).to(weight.dtype)
        x_BTH = x if self.projection is None else self.projection(x)
        h_BH = x_BTH.new_zeros(len(x_BTH), self.d_output) if state is None else state
        steps, scores = [], []
        for x_t in self.cell.prepare(x_BTH).unbind(1):
            h_BH, step_scores = self.cell.step(x_t, h_BH)
            steps.append(h_BH)
            if keeps_scores:
                scores.append(step_scores)
        return torch.stack(steps, 1), h_BH, [torch.stack(parts, 1) for parts in zip(*scores, strict=True)]

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        triples = self.cell.triples
        return {
            "recurrent": ParameterGroup([triples.left, triples.right], recurrent=True),
            "scoring": ParameterGroup(list(self.cell.scorer.parameters())),
        }
