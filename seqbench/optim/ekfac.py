"""EKFAC: natural gradient in a Kronecker-factored eigenbasis (George et al. 2018, arXiv 1806.03884).

For each map y = W x, with the bias as a column of W, U_A and U_B the eigenvectors of the moving second moments A of x
and B of the gradient g of y, and the gradient matrix P_n = sum of g x^T of each sample (kronecker.py):

    every `basis_every` steps    A = U_A diag(s_A) U_A^T,  B = U_B diag(s_B) U_B^T
    every step                   S_ij = mean of (U_B^T P_n U_A)_ij^2                    KFAC: S = s_B s_A^T
                                 D = U_B ((U_B^T dW U_A) / (S + damping)) U_A^T
                                 V = momentum V + D,  W = W - lr (V + weight_decay W)

The Fisher matrix is the empirical one, of the task's own targets, as in the authors' code. Departures from it: A and B
are moving averages, so that the basis is not that of one batch; and an average of S (`scaling_decay`) is carried over
to a new basis as the diagonal of what it was in the old one, where the code starts it anew from s_B s_A^T.

Of KFAC (Martens and Grosse 2015, arXiv 1503.05671), which takes the same basis, it changes the scalings alone: S is the
diagonal that is nearest to the Fisher matrix in that basis, and costs one more product a step, so a basis may serve for
more steps than KFAC's. A basis costs the eigenvectors of A and B, cubic in a layer's sides: `basis_every` spreads that
over steps, and `damping` is what keeps directions that S hardly knows from long steps. It pays where many steps along
the plain gradient are spent on unlike curvatures, as in deep autoencoders and networks of large batches; it does not
where most weights are a table of words, or a side is above `largest`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from seqbench.contracts.learner import Learner
from seqbench.contracts.optimizer import StepFacts
from seqbench.contracts.peers import Peers
from seqbench.contracts.ranges import Between, Count, NotNegative, OneOf, Positive
from seqbench.optim.kronecker import eigenbasis, moments, rotated, rotated_back, squares, wide
from seqbench.optim.watch import Use, Watch

Decay = Annotated[float, Between(0, 1, without_high=True)]


class EKFAC(torch.optim.Optimizer):
    """Preconditions every weight of `network` that is seen to multiply as a linear map, a convolution or an embedding
    (watch.py), each map of an LSTM or GRU for itself. What else there is takes its plain gradient, as in the authors'
    code: gains, weights of other recurrences, and those that are a map in one place and an embedding in another.

    A recurrent map's P_n is the sum over the steps of a row, so S has what steps have in common; a head that is given
    rows and steps flattened together takes each step as a sample.

    - `damping` is added to S; it and `lr` must be tuned together.
    - `momentum` 0: none. `weight_decay` is decoupled from the preconditioner.
    - `basis_every`: steps from one eigendecomposition to the next, the costly part.
    - `factor_decay`, `scaling_decay`: of the moving averages of A and B, and of S (0: of the step alone, the paper's
      EKFAC; else its running average, EKFAC-ra).
    - `scalings`: exact, or kronecker, which is KFAC, damped in the eigenbasis.
    - `largest`: a side of more elements keeps a diagonal moment, and its axes as its basis.

    State of a weight: `left` and `right`, moments; `left_basis`, `right_basis`, `scaling`, `step`; of all, `momentum`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        network: Learner,
        peers: Peers,
        lr: NotNegative,
        damping: Positive = 1e-3,
        momentum: Decay = 0.9,
        weight_decay: NotNegative = 0.0,
        basis_every: Count = 50,
        factor_decay: Decay = 0.95,
        scaling_decay: Decay = 0.0,
        scalings: Annotated[str, OneOf("exact", "kronecker")] = "exact",
        largest: Count = 2048,
    ):
        super().__init__(params, {"lr": lr, "damping": damping, "momentum": momentum, "weight_decay": weight_decay})
        self.peers, self.basis_every, self.largest = peers, basis_every, largest
        self.factor_decay, self.scaling_decay, self.scalings = factor_decay, scaling_decay, scalings
        self._watch = Watch(network, [weight for group in self.param_groups for weight in group["params"]])
        self._facts: StepFacts | None = None

    def begin(self, facts: StepFacts) -> None:
        self._facts = facts

    @torch.no_grad()
    def step(self, closure=None) -> None:
        uses: dict[nn.Parameter, list[Use]] = {}
        for use in self._watch.take():
            uses.setdefault(use.weight, []).append(use)
        for group in self.param_groups:
            for weight in group["params"]:
                if weight in uses and len({use.is_table for use in uses[weight]}) == 1:
                    self._precondition(uses[weight], group["damping"])
        for group in self.param_groups:
            _descend([weight for weight in group["params"] if weight.grad is not None], self.state, group)

    def _precondition(self, uses: list[Use], damping: float) -> None:
        """D in the place of the gradients of a weight and its bias."""
        weight, bias = uses[0].weight, uses[0].bias
        state, facts = self.state[weight], self._facts
        assert facts is not None and weight.grad is not None
        scale = 1 / facts.loss_scale
        self._average_moments(state, uses, scale, facts.count)
        if state["step"] % self.basis_every == 0:
            self._renew_basis(state)
        left, right = state["left_basis"], state["right_basis"]
        if self.scalings == "exact":
            of_step = self.peers.sum(squares(uses, scale, left, right)) / facts.count
            average = state.get("scaling")
            state["scaling"] = of_step if average is None else average.lerp_(of_step, 1 - self.scaling_decay)
        state["step"] += 1

        grad = weight.grad.flatten(1).to(wide(weight))
        if bias is not None and bias.grad is not None:
            grad = torch.cat([grad, bias.grad.to(grad)[:, None]], 1)
        update = rotated_back(rotated(grad, left, right) / (state["scaling"] + damping), left, right)
        if bias is not None and bias.grad is not None:
            bias.grad.copy_(update[:, -1])
            update = update[:, :-1]
        weight.grad.copy_(update.reshape(weight.shape))

    def _average_moments(self, state: dict[str, Any], uses: list[Use], scale: float, count: int) -> None:
        """Of the inputs a mean over positions, of the gradients over scored targets: what shares out the positions of a
        sample so that the product of both is the mean over samples where positions are independent."""
        left, right, n_positions = moments(uses, scale, self.largest)
        n_positions = self.peers.sum(torch.tensor(float(n_positions), device=left.device))
        counts = (n_positions, count) if uses[0].is_table else (count, n_positions)
        means = {"left": self.peers.sum(left) / counts[0], "right": self.peers.sum(right) / counts[1]}
        if "step" not in state:
            state.update(means, step=0)
            return
        for side, mean in means.items():
            state[side].lerp_(mean, 1 - self.factor_decay)

    def _renew_basis(self, state: dict[str, Any]) -> None:
        (left_values, left), (right_values, right) = eigenbasis(state["left"]), eigenbasis(state["right"])
        if self.scalings == "kronecker":
            state["scaling"] = left_values[:, None] * right_values
        elif "scaling" in state:
            turns = [_turn(state[f"{side}_basis"], new) for side, new in (("left", left), ("right", right))]
            state["scaling"] = rotated(state["scaling"], *turns)
        state["left_basis"], state["right_basis"] = left, right


def _turn(old: Tensor | None, new: Tensor | None) -> Tensor | None:
    """Squared cosines between two bases: what a diagonal in the old one has on its diagonal in the new one."""
    return None if old is None or new is None else (old.T @ new).square()


def _descend(weights: list[nn.Parameter], state: Mapping[Tensor, Any], group: dict[str, Any]) -> None:
    for weight in weights:
        assert weight.grad is not None
        step = weight.grad
        if group["momentum"]:
            if "momentum" not in state[weight]:
                state[weight]["momentum"] = torch.zeros_like(weight)
            step = state[weight]["momentum"].mul_(group["momentum"]).add_(step)
        if group["weight_decay"]:
            step = step.add(weight, alpha=group["weight_decay"])
        weight.sub_(step, alpha=group["lr"])
