"""The search over trees: each node joins any two vectors at hand, by any triple, operation and function.

Qian, Kennedy, Klabjan 2019, arXiv 1905.10540, planA of the authors' code. A step makes N nodes. With the leaves x, h
and 0, the components that are open (nodes that no other has taken yet) and each pair a, b of these, the candidates are

    f(a L_k + b R_k + b_k),  f((a L_k) * (b R_k) + b_k)         f of sigmoid, tanh, 1 - v, v, relu

of every k, so 40 for a pair; f is sigmoid or tanh alone where the argument exceeds 1 in any unit. A pair of leaves
opens a component, a leaf and a component extend it, and two components merge. So that one component is left in the end,
with c open and m nodes to come only merges are allowed where m = c - 1, and no pairs of leaves where m = c. The first
node takes triple 0, the second triple 1. With w_i = norm(v_i) of a candidate v_i, a node's vector is the sum over its
candidates of softmax_i(s(w_i)) w_i; which pair it has taken is that of the best candidate. The last node's vector is
the new h.

Unlike in the authors' code, each row of a batch has a tree of its own, which is the paper's idea, and the norm is not
over the batch, so that no row depends on others.

Shapes: B batch, H units, C leaves and components, P pairs, K triples, O operations, F functions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.models.cells.structure.candidates import N_TRIPLES, Chosen, Triples

N_NODES = 9  # as many as a GRU has
LEAVES = ("x", "h", "0")
N_LEAVES = len(LEAVES)
OPERATIONS = {"sum": "+", "product": "*"}
FUNCTIONS = ("sigmoid", "tanh", "1-", "", "relu")  # as an expression has them
FUNCTION_NAMES = ("sigmoid", "tanh", "complement", "identity", "relu")
N_SATURATING = 2  # of the functions: those that are always allowed
N_OF_PAIR = N_TRIPLES * len(OPERATIONS) * len(FUNCTIONS)


class Tree(nn.Module):
    """One step of the cell. `norm` is of each candidate (..., H); `scorer` maps them to scores (...)."""

    def __init__(self, triples: Triples, norm: nn.Module, scorer: nn.Module, n_nodes: int = N_NODES):
        super().__init__()
        self.triples, self.norm, self.scorer, self.n_nodes = triples, norm, scorer, n_nodes

    def prepare(self, x_BTH: Tensor) -> Tensor:
        """What `step` reads of the inputs."""
        return x_BTH

    def step(self, x_BH: Tensor, h_BH: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The next h (B, H), and each node's scores (B, 1, P K O F), -inf where a candidate is not allowed."""
        leaves_BCH = torch.stack([x_BH, h_BH, torch.zeros_like(h_BH)], 1)
        open_BCH, n_open_B = leaves_BCH[:, :0], torch.zeros(len(h_BH), dtype=torch.long, device=h_BH.device)
        all_scores = []
        for node in range(self.n_nodes):
            i_P, j_P = pairs(N_LEAVES + open_BCH.shape[1], h_BH.device)
            v_BPKOFH, bounded_BPKO = self.candidates(torch.cat([leaves_BCH, open_BCH], 1), i_P, j_P)
            allowed = self.allowed(node, n_open_B, i_P, j_P)[..., None] & _functions_allowed(bounded_BPKO)
            scores = self.scorer(v_BPKOFH).masked_fill(~allowed, -torch.inf).flatten(1)
            node_BH = (scores.softmax(-1)[:, None] @ v_BPKOFH.flatten(1, -2)).squeeze(1)
            pair_B = scores.argmax(-1) // N_OF_PAIR
            open_BCH, n_open_B = self._taken(node, open_BCH, n_open_B, i_P[pair_B], j_P[pair_B], node_BH)
            all_scores.append(scores[:, None])
        return open_BCH[:, 0], all_scores

    def candidates(self, at_hand_BCH: Tensor, i_P: Tensor, j_P: Tensor) -> tuple[Tensor, Tensor]:
        """The normalised candidates (B, P, K, O, F, H), and where their functions' arguments are at most 1."""
        left_BPKH = self.triples.lefts(at_hand_BCH)[:, i_P]
        right_BPKH = self.triples.rights(at_hand_BCH)[:, j_P]
        bias_KH = self.triples.bias
        v_BPKOH = torch.stack([left_BPKH + right_BPKH + bias_KH, left_BPKH * right_BPKH + bias_KH], 3)
        results = [v_BPKOH.sigmoid(), v_BPKOH.tanh(), 1 - v_BPKOH, v_BPKOH, v_BPKOH.relu()]
        return self.norm(torch.stack(results, 4)), v_BPKOH.abs().amax(-1) <= 1

    def allowed(self, node: int, n_open_B: Tensor, i_P: Tensor, j_P: Tensor) -> Tensor:
        """(B, P, K, 1): the pairs that are at hand and leave one component in the end, and the node's triples."""
        n_left = self.n_nodes - node
        is_there_BP = j_P < N_LEAVES + n_open_B[:, None]
        n_components_P = (i_P >= N_LEAVES).long() + (j_P >= N_LEAVES).long()
        least_B1 = (n_open_B - n_left + 1)[:, None]
        pairs_BP = is_there_BP & (n_components_P >= least_B1)
        triples_K = torch.arange(N_TRIPLES, device=i_P.device)
        triples_K = triples_K == node if node < 2 else triples_K >= 0
        return (pairs_BP[..., None] & triples_K)[..., None]

    def _taken(
        self, node: int, open_BCH: Tensor, n_open_B: Tensor, i_B: Tensor, j_B: Tensor, node_BH: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The open components, and how many, once a node has taken the vectors i and j. It stands in the place of the
        first component that it takes, or behind all."""
        opens_B, merges_B = j_B < N_LEAVES, i_B >= N_LEAVES
        place_B = torch.where(opens_B, n_open_B, torch.where(merges_B, i_B, j_B) - N_LEAVES)
        gone_B = torch.where(merges_B, j_B - N_LEAVES, self.n_nodes)
        place_C = torch.arange(self.most_open(node + 1), device=node_BH.device)
        source_BC = place_C + (place_C >= gone_B[:, None]).long()
        padded_BCH = F.pad(open_BCH, (0, 0, 0, 2))  # what is not open is zero, and never taken
        moved_BCH = padded_BCH.gather(1, source_BC[..., None].expand(-1, -1, node_BH.shape[1]))
        is_node_BC1 = (place_C == place_B[:, None])[..., None]
        return torch.where(is_node_BC1, node_BH[:, None], moved_BCH), n_open_B + opens_B.long() - merges_B.long()

    def most_open(self, node: int) -> int:
        """How many components may be open before this node, in any tree."""
        return min(node, self.n_nodes + 1 - node)

    def chosen(self, best: Sequence[int]) -> Chosen:
        """The cell of the candidates `best` of each node."""
        parts, choices = [], []
        for node, index in enumerate(best):
            i_P, j_P = pairs(N_LEAVES + self.most_open(node))
            pair, rest = divmod(index, N_OF_PAIR)
            k, rest = divmod(rest, N_OF_PAIR // N_TRIPLES)
            operation, function = divmod(rest, len(FUNCTIONS))
            i, j = int(i_P[pair]), int(j_P[pair])
            at_hand = [*LEAVES, *parts]
            name, sign = [*OPERATIONS.items()][operation]
            made = f"{FUNCTIONS[function]}[{at_hand[i]} {sign} {at_hand[j]}]{k}"
            choices += [("triple", f"k{k}"), ("operation", name), ("function", FUNCTION_NAMES[function])]
            if j < N_LEAVES:
                parts.append(made)
            elif i < N_LEAVES:
                parts[j - N_LEAVES] = made
            else:
                parts[i - N_LEAVES] = made
                del parts[j - N_LEAVES]
        (whole,) = parts
        return Chosen(whole, tuple(choices))


def pairs(n: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """The pairs i < j of n vectors: (P,) and (P,), in order."""
    i_P, j_P = torch.triu_indices(n, n, 1, device=device)
    return i_P, j_P


def _functions_allowed(bounded_BPKO: Tensor) -> Tensor:
    """(B, P, K, O, F)."""
    is_saturating_F = torch.arange(len(FUNCTIONS), device=bounded_BPKO.device) < N_SATURATING
    return bounded_BPKO[..., None] | is_saturating_F
