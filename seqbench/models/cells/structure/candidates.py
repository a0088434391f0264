"""What the nodes of a searched cell share: triples of weights, the scores of candidates, and what was chosen.

Qian, Kennedy, Klabjan 2019, arXiv 1905.10540. A node joins two vectors a and b by one of K triples (L_k, R_k, b_k),

    f(a L_k + b R_k + b_k)      or      f((a L_k) * (b R_k) + b_k),

and a network s scores each vector v that comes out: softmax(s(v)) mixes the candidates of a node.

Shapes: H units, K triples.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

N_TRIPLES = 4
IDENTITY = N_TRIPLES - 1  # the triple that starts as L = R = I


@dataclass(frozen=True)
class Chosen:
    """The candidates of the best score at one step of one sequence.

    - expression: the cell with them, where [a + b]k is a L_k + b R_k + b_k and [a * b]k is (a L_k) * (b R_k) + b_k.
    - choices: (question, answer) pairs, such as ("output", "k3"). A question may come more than once.
    """

    expression: str
    choices: tuple[tuple[str, str], ...]


class Triples(nn.Module):
    """(L_k, R_k, b_k): L and R from U(+-1/sqrt(H)), those of the last one the identity; b zero. All are trained."""

    def __init__(self, hidden_size: int):
        super().__init__()
        bound = hidden_size**-0.5
        self.left = nn.Parameter(torch.empty(hidden_size, N_TRIPLES, hidden_size).uniform_(-bound, bound))
        self.right = nn.Parameter(torch.empty(hidden_size, N_TRIPLES, hidden_size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(N_TRIPLES, hidden_size))
        with torch.no_grad():
            for weight_HKH in (self.left, self.right):
                weight_HKH[:, IDENTITY] = torch.eye(hidden_size)

    def lefts(self, a: Tensor) -> Tensor:
        """a L_k of every k: (..., H) to (..., K, H)."""
        return (a @ self.left.flatten(1)).unflatten(-1, self.bias.shape)

    def rights(self, b: Tensor) -> Tensor:
        """b R_k of every k: (..., H) to (..., K, H)."""
        return (b @ self.right.flatten(1)).unflatten(-1, self.bias.shape)


class Scorer(nn.Module):
    """s(v) = w relu(W v + c): (..., H) to (...). The paper's code adds a bias, which no softmax can tell."""

    def __init__(self, hidden_size: int, d_score: int):
        super().__init__()
        self.inner = nn.Linear(hidden_size, d_score)
        self.outer = nn.Linear(d_score, 1, bias=False)

    def forward(self, v: Tensor) -> Tensor:
        return self.outer(self.inner(v).relu()).squeeze(-1)


def margin_loss(scores: Tensor, margin: float) -> Tensor:
    """The mean of max(0, m - (best - second best)) / m over all axes but the last, which is the candidates'."""
    best = scores.topk(2).values
    return (margin - (best[..., 0] - best[..., 1])).relu().mean() / margin
