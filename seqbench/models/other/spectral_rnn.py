"""Spectral training of a quadratic recurrent network: moments in place of gradients (Sedghi and Anandkumar 2016).

arXiv 1603.00954. For inputs x_t ~ N(0, I), with the score functions S_1(x) = x and S_2(x) = x x^T - I, the network

    h_t = (A_1 x_t + U h_{t-1})^2,    E[y_t | h_t] = A_2^T h_t

has, by Stein's identity, the moments

    E[y_t (x) S_2(x_t)]                     = sum_j 2 A_2j (x) a_j (x) a_j
    E[y_t (x) S_1(x_t) (x) S_2(x_{t-1})]    = sum_j 4 A_2j (x) a_j (x) sum_k U_jk a_k (x) a_k

a_j, A_2j and U_j are rows of A_1, A_2 and U. Simultaneous diagonalisation (Jennrich's algorithm) of the first tensor
gives A_1 and A_2, and the second is linear in U. The paper's own second moment is E[y_t (x) S_4(x_{t-1})], in which U
appears squared; this one keeps its signs. What is found is one of many networks of the same function: hidden units in
another order, or a_j and U_j of both signs turned.

Shapes: B batch, T time, X inputs, H hidden units, Y outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqbench.contracts.batch import Batch
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.learner import Learner
from seqbench.contracts.peers import Peers
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count


class SpectralRNN(Learner):
    """The loss is the squared error, summed over a target's components, and has no graph: the moments of each batch are
    added up, and `after_step` estimates the weights from all so far. State: h (B, H).

    - n_slices: random pairs of slices that are diagonalised; the pair that explains the first tensor best is taken.
    """

    touches_all = True

    def __init__(self, inputs: Inputs, outputs: Outputs, hidden_size: Count, n_slices: Count = 16):
        super().__init__()
        if inputs.n_features is None or outputs.kind != "reals" or outputs.per != "step":
            raise ValueError("SpectralRNN maps real inputs to real outputs at each step, as task=input_output asks for")
        n_inputs, n_outputs = inputs.n_features, outputs.size
        if hidden_size > min(n_inputs, n_outputs):
            raise ValueError(
                f"hidden_size={hidden_size} is above the numbers of inputs ({n_inputs}) and outputs ({n_outputs}): "
                "the weights could not be told from the moments"
            )
        self.n_slices = n_slices

        def untrained(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.zeros(*shape, dtype=torch.float64), requires_grad=False)

        self.input_weight = untrained(hidden_size, n_inputs)
        self.output_weight = untrained(hidden_size, n_outputs)
        self.recurrent_weight = untrained(hidden_size, hidden_size)
        sizes = {  # sums over all positions, or over those that have one before them
            "y": (n_outputs,),
            "s2": (n_inputs, n_inputs),
            "y_s2": (n_outputs, n_inputs, n_inputs),
            "s1_s2": (n_inputs, n_inputs, n_inputs),
            "y_s1_s2": (n_outputs, n_inputs, n_inputs, n_inputs),
            "counts": (3,),  # sequences, positions, positions with one before
        }
        for name, size in sizes.items():
            self.register_buffer(name, torch.zeros(size, dtype=torch.float64))
            self.register_buffer(f"new_{name}", torch.zeros(size, dtype=torch.float64), persistent=False)
        self._sums = tuple(sizes)

    def forward(self, batch: Batch, state: State = None) -> tuple[Tensor, State, None]:
        x_BTX, y_BTY = batch.inputs.double(), batch.targets.double()
        valid_BT = torch.ones_like(x_BTX[..., 0], dtype=torch.bool) if batch.valid_BT is None else batch.valid_BT
        if self.training:
            self._add(x_BTX, y_BTY, valid_BT)
        h_BH = x_BTX.new_zeros(len(x_BTX), len(self.input_weight)) if state is None else state
        errors = []
        for x_BX, y_BY in zip(x_BTX.unbind(1), y_BTY.unbind(1), strict=True):
            h_BH = (x_BX @ self.input_weight.T + h_BH @ self.recurrent_weight.T).square()
            errors.append((h_BH @ self.output_weight - y_BY).square().sum(1))
        return torch.stack(errors, 1)[valid_BT].sum(), h_BH, None

    def after_step(self, peers: Peers) -> None:
        for name in self._sums:
            new = getattr(self, f"new_{name}")
            getattr(self, name).add_(peers.sum(new))
            new.zero_()
        self._estimate()

    def _add(self, x_BTX: Tensor, y_BTY: Tensor, valid_BT: Tensor) -> None:
        """Adds the moments of a batch's scored targets to those that no step has taken yet."""
        eye = torch.eye(x_BTX.shape[-1], dtype=torch.float64, device=x_BTX.device)
        x_NX, y_NY = x_BTX[valid_BT], y_BTY[valid_BT]
        self.new_y += y_NY.sum(0)
        self.new_s2 += x_NX.T @ x_NX - len(x_NX) * eye
        self.new_y_s2 += torch.einsum("ny,na,nb->yab", y_NY, x_NX, x_NX) - y_NY.sum(0)[:, None, None] * eye
        later_BT = valid_BT[:, 1:]
        now_NX, before_NX, y_NY = x_BTX[:, 1:][later_BT], x_BTX[:, :-1][later_BT], y_BTY[:, 1:][later_BT]
        s2_NXX = before_NX[:, :, None] * before_NX[:, None] - eye
        s1_s2_NK = (now_NX[:, :, None, None] * s2_NXX[:, None]).flatten(1)
        self.new_s1_s2 += s1_s2_NK.sum(0).view_as(self.new_s1_s2)
        self.new_y_s1_s2 += (y_NY.T @ s1_s2_NK).view_as(self.new_y_s1_s2)
        self.new_counts += eye.new_tensor([len(x_BTX), len(x_NX), len(now_NX)])

    def _estimate(self) -> None:
        """The weights from the moments so far. y is centred: its mean would add variance to every moment."""
        _, n_positions, n_with_one_before = self.state_dict()["counts"].tolist()
        mean_Y = self.y / n_positions
        first = (self.y_s2 - mean_Y[:, None, None] * self.s2) / n_positions
        second = (self.y_s1_s2 - mean_Y[:, None, None, None] * self.s1_s2) / n_with_one_before
        a_HX, output_HY = decompose(first, len(self.input_weight), self.n_slices)
        self.input_weight.copy_(a_HX)
        self.output_weight.copy_(output_HY / 2)
        self.recurrent_weight.copy_(recurrent(second, self.input_weight, self.output_weight))


def decompose(tensor_YXX: Tensor, rank: int, n_slices: int) -> tuple[Tensor, Tensor]:
    """Rows a_j (H, X) of length 1 and b_j (H, Y) with sum_j b_j (x) a_j (x) a_j nearest to the tensor.

    Two random slices are A^T D A and A^T E A with diagonal D and E, so in the space that the a_j span the first times
    the second's inverse has them as eigenvectors.
    """
    span_XH = torch.linalg.svd(tensor_YXX.flatten(0, 1).T, full_matrices=False)[0][:, :rank]
    generator = torch.Generator().manual_seed(0)
    best, best_error = None, torch.inf
    for _ in range(n_slices):
        directions_2Y = torch.randn(2, len(tensor_YXX), dtype=torch.float64, generator=generator)
        slices = torch.einsum("sy,yab,ah,bk->shk", directions_2Y.to(tensor_YXX), tensor_YXX, span_XH, span_XH)
        vectors = torch.linalg.eig(torch.linalg.solve(slices[1], slices[0], left=False))[1].real
        a_XH = span_XH @ vectors
        a_HX = (a_XH / a_XH.norm(dim=0)).T
        squares_HK = (a_HX[:, :, None] * a_HX[:, None]).flatten(1)
        b_HY = torch.linalg.lstsq(squares_HK.T, tensor_YXX.flatten(1).T).solution
        error = float((b_HY.T @ squares_HK - tensor_YXX.flatten(1)).norm())
        if best is None or error < best_error:
            best, best_error = (a_HX, b_HY), error
    assert best is not None
    return best


def recurrent(tensor_YXXX: Tensor, a_HX: Tensor, output_HY: Tensor) -> Tensor:
    """U (H, H) with sum_jk 4 U_jk A_2j (x) a_j (x) a_k (x) a_k nearest to the tensor."""
    left_HK = torch.einsum("hy,hx->hyx", output_HY, a_HX).flatten(1)
    right_HK = torch.einsum("ha,hb->hab", a_HX, a_HX).flatten(1)
    flat = tensor_YXXX.flatten(0, 1).flatten(1)  # (Y X, X X) = 4 left^T U right
    half = torch.linalg.lstsq(left_HK.T, flat).solution
    return torch.linalg.lstsq(right_HK.T, half.T).solution.T / 4
