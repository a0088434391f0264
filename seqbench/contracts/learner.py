"""The contract of what is trained: what the loop, optimizers and evaluations see of it."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from seqbench.contracts.backbone import Model, ParameterGroup
from seqbench.contracts.batch import Batch
from seqbench.contracts.peers import Peers
from seqbench.contracts.pytree import State


class Learner(Model):
    """`forward(batch, state)` gives (loss_sum, state, aux): the loss summed over the batch's scored targets in the
    task's unit, the state that continues the sequence, and an auxiliary loss to add, a mean over the rows, or None.

    A network around a backbone and a sequence-to-sequence model are two learners (seqbench/learners). A model that is
    neither, such as a random-access machine, is a learner itself; its constructor is given the task's `inputs` and
    `outputs` where it takes them. A loss without a graph is not differentiated: such a learner learns in `after_step`.
    """

    def forward(self, batch: Batch, state: State = None) -> tuple[Tensor, State, Tensor | None]:
        raise NotImplementedError

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        """Named groups the config can address (`optimizer.groups.<name>`); parameters in none are in the main one."""
        return {}

    def after_step(self, peers: Peers) -> None:
        """Called once after every optimizer step, for projections and counters."""

    def prepare_evaluation(self, batches: Iterable[Batch], peers: Peers) -> None:
        """Called before a split is evaluated, with the training batches of one epoch, for statistics that are taken of
        the training set. `batches` costs nothing unless it is read."""

    def diagnostics(self) -> dict[str, tuple[float, float]]:
        """Diagnostics, name -> (sum, count), reset by each call: always the same names, so that processes can add them
        up."""
        return {}


def count_parameters(learner: Learner) -> dict[str, int]:
    """Numbers of reals: those of the hidden-to-hidden maps ("recurrent") and all ("total"), frozen ones too, shared
    ones once."""
    groups = [group for group in learner.parameter_groups().values() if group.recurrent]
    return {
        "recurrent": sum(parameter.numel() for group in groups for parameter in group.parameters),
        "total": sum(parameter.numel() for parameter in learner.parameters()),
    }
