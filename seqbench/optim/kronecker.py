"""The Fisher matrix of one weight in a Kronecker-factored eigenbasis, from what passes through the weight.

The gradient of sample n for a map y = W x is the matrix P_n = sum over its positions of g x^T, with g that of the
output. Martens and Grosse 2015 (KFAC, arXiv 1503.05671) take the mean of vec(P) vec(P)^T for A (x) B, the second
moments of x and g; George et al. 2018 (EKFAC, arXiv 1806.03884) keep the eigenvectors U_A and U_B alone, and on the
diagonal put what it is there: S*_ij = mean of (U_B^T P_n U_A)_ij^2. An embedding's x is one-hot: its A is diagonal.

Shapes: N samples, P positions of a sample, A inputs, O outputs of the map; matrices are (left, right), which are (O, A)
for a map and (A, O) for an embedding, as their weights are.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqbench.optim.watch import Use

CHUNK = 2**22  # elements of samples' gradients that exist at a time


def moments(uses: list[Use], scale: float, largest: int) -> tuple[Tensor, Tensor, int]:
    """Sums over all positions of the second moments on the left and on the right, and the number of positions. A side
    is a matrix, or its diagonal where it has more than `largest` elements; gradients are multiplied by `scale`."""
    weight = uses[0].weight
    grads_MO = torch.cat([use.grads_NPO.flatten(0, 1) for use in uses]).to(wide(weight)) * scale
    inputs_M = torch.cat([use.inputs.flatten(0, 1) for use in uses])
    output = _moment(grads_MO, largest)
    if uses[0].is_table:
        return torch.bincount(inputs_M, minlength=len(weight)).to(output), output, len(inputs_M)
    return output, _moment(inputs_M.to(output), largest), len(inputs_M)


def _moment(values_MD: Tensor, largest: int) -> Tensor:
    return values_MD.T @ values_MD if values_MD.shape[1] <= largest else values_MD.square().sum(0)


def eigenbasis(moment: Tensor) -> tuple[Tensor, Tensor | None]:
    """Eigenvalues and eigenvectors, in float64 on the way: a moment of few samples is singular. A diagonal has none to
    be sought: None."""
    if moment.dim() == 1:
        return moment, None
    values, vectors = torch.linalg.eigh(moment.double())
    return values.clamp_min(0).to(moment), vectors.to(moment)


def squares(uses: list[Use], scale: float, left: Tensor | None, right: Tensor | None) -> Tensor:
    """Sum over the samples of their gradients' squares in the basis, elementwise. What several uses, such as the steps
    of a recurrence, give to one sample's gradient is added before it is squared."""
    total: Tensor | None = None
    for same in _of_the_same_samples(uses):
        grads_NPO = torch.cat([use.grads_NPO for use in same], 1).to(wide(same[0].weight)) * scale
        inputs = torch.cat([use.inputs for use in same], 1)
        if same[0].is_table:
            part = _embedding_squares(inputs, _times(grads_NPO, right), len(same[0].weight))
        else:
            part = _map_squares(_times(grads_NPO, left), _times(inputs.to(grads_NPO), right))
        total = part if total is None else total + part
    assert total is not None
    return total


def rotated(matrix: Tensor, left: Tensor | None, right: Tensor | None) -> Tensor:
    """left^T matrix right; None is the identity."""
    return _times(matrix if left is None else left.T @ matrix, right)


def rotated_back(matrix: Tensor, left: Tensor | None, right: Tensor | None) -> Tensor:
    """left matrix right^T."""
    matrix = matrix if left is None else left @ matrix
    return matrix if right is None else matrix @ right.T


def _map_squares(grads_NPO: Tensor, inputs_NPA: Tensor) -> Tensor:
    """(O, A)"""
    n_positions, n_outputs, n_inputs = *grads_NPO.shape[1:], inputs_NPA.shape[2]
    if n_positions == 1:
        return grads_NPO[:, 0].square().T @ inputs_NPA[:, 0].square()
    total = grads_NPO.new_zeros(n_outputs, n_inputs)
    rows = max(1, CHUNK // (n_outputs * n_inputs))
    for grads_nPO, inputs_nPA in zip(grads_NPO.split(rows), inputs_NPA.split(rows), strict=True):
        total += (grads_nPO.transpose(1, 2) @ inputs_nPA).square_().sum(0)
    return total


def _embedding_squares(ids_NP: Tensor, grads_NPO: Tensor, n_tokens: int) -> Tensor:
    """(A, O), A = `n_tokens`: a token's gradients within a sample are added first."""
    sample_N1 = torch.arange(len(ids_NP), device=ids_NP.device).unsqueeze(1)
    pairs, index = (sample_N1 * n_tokens + ids_NP).flatten().unique(return_inverse=True)
    n_outputs = grads_NPO.shape[2]
    sums = grads_NPO.new_zeros(len(pairs), n_outputs).index_add_(0, index, grads_NPO.flatten(0, 1))
    return grads_NPO.new_zeros(n_tokens, n_outputs).index_add_(0, pairs % n_tokens, sums.square_())


def _of_the_same_samples(uses: list[Use]) -> list[list[Use]]:
    groups: dict[tuple[int, int], list[Use]] = {}
    for use in uses:
        groups.setdefault((use.n_pass, len(use.inputs)), []).append(use)
    return list(groups.values())


def _times(matrix: Tensor, basis: Tensor | None) -> Tensor:
    return matrix if basis is None else matrix @ basis


def wide(weight: Tensor) -> torch.dtype:
    """float32 at least."""
    return torch.float64 if weight.dtype is torch.float64 else torch.float32
