"""A network whose closed units are taken away: a plain LSTM, smaller and equal.

Gates are folded into the weights that they mask. The columns of the embedding go with closed inputs, those of the
readout with closed units of the last layer. What is no learned embedding keeps all its features.

Shapes: D inputs, H units, B batch, T time.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from seqbench.contracts.backbone import Compactable
from seqbench.contracts.batch import Batch
from seqbench.embeddings.learned import LearnedEmbedding
from seqbench.learners.network import Network
from seqbench.models.recurrent.lstm import LSTM


def require_compactable(learner: nn.Module) -> Network:
    """The learner. Raises `ValueError` for one that cannot be made smaller, as the end of a sentence."""
    if not isinstance(learner, Network) or not isinstance(learner.backbone, Compactable):
        raise ValueError("has a model without gates, such as pruned_lstm has")
    if learner.head.readout is None:
        raise ValueError("has a head without one linear layer that reads the units")
    if isinstance(learner.embedding, LearnedEmbedding) and learner.head.readout.weight is learner.embedding.weight:
        raise ValueError("has tied weights, whose columns are of inputs and of units at once (network.tied=true)")
    return learner


def widths(network: Network) -> list[int]:
    """How many inputs there are, and units in each layer, open or closed."""
    return [len(gates) for gates in _backbone(network).fixed_gates()]


def open_indices(network: Network) -> list[Tensor]:
    """The indices of the inputs that are open, and of each layer's units. Raises `ValueError` where a layer has
    none, as the end of a sentence."""
    inputs_D, *units = _backbone(network).fixed_gates()
    if not isinstance(network.embedding, LearnedEmbedding):
        inputs_D = torch.ones_like(inputs_D)
    indices = [gates.nonzero().squeeze(1) for gates in (inputs_D, *units)]
    for index, kept in enumerate(indices):
        if len(kept) == 0:
            raise ValueError(f"has no open unit in layer {index}" if index else "has no open input")
    return indices


def largest(network: Network, sizes: Sequence[int]) -> list[Tensor]:
    """Of the open inputs and units so many as `sizes` says: of a layer's units, those with the largest norms. Raises
    `ValueError` where fewer are open, or other inputs than those, as the end of a sentence."""
    indices = open_indices(network)
    counts = [len(kept) for kept in indices]
    fits = len(sizes) == len(counts) and sizes[0] == counts[0]
    if not fits or any(size > count for size, count in zip(sizes[1:], counts[1:], strict=True)):
        raise ValueError(f"has {_said(counts)} open, and this model {_said(sizes)}")
    chosen = indices[:1]
    for kept, norms_H, size in zip(indices[1:], _backbone(network).unit_norms(), sizes[1:], strict=True):
        chosen.append(kept[norms_H[kept].argsort(descending=True, stable=True)[:size]].sort().values)
    return chosen


def compacted(network: Network, kept: Sequence[Tensor]) -> dict[str, Tensor]:
    """The state dict of the network with a plain LSTM of the inputs and units of these indices in the backbone's
    place."""
    backbone, readout = _backbone(network), network.head.readout
    assert readout is not None
    state = {name: value for name, value in network.state_dict().items() if not name.startswith("backbone.")}
    state |= {f"backbone.{name}": value for name, value in backbone.compacted(kept).items()}
    for name, parameter in network.named_parameters():
        if parameter is readout.weight:
            state[name] = (parameter.detach() * backbone.fixed_gates()[-1])[:, kept[-1]]
    if isinstance(network.embedding, LearnedEmbedding):
        state["embedding.weight"] = network.embedding.weight.detach()[:, kept[0]]
    return {name: value.clone() for name, value in state.items()}


def sizes_of(learner: nn.Module) -> list[int] | None:
    """Inputs and units of each layer of a network around a plain LSTM; None: of another learner."""
    if not isinstance(learner, Network) or not isinstance(learner.backbone, LSTM):
        return None
    layers = [layer for layer in learner.backbone.layers if isinstance(layer, nn.LSTM)]
    return [layers[0].input_size, *(layer.hidden_size for layer in layers)]


@torch.no_grad()
def largest_difference(network: Network, small: Network, kept: Sequence[Tensor], batches: Iterable[Batch]) -> float:
    """By how much what the heads are given differs at most once units are taken away, in float64, where rounding is no
    excuse. The state is carried over batches that go on. `small` has the shape of what is left."""
    pair = [copy.deepcopy(one).double().eval() for one in (network, small)]
    pair[1].load_state_dict(compacted(pair[0], kept))
    states, difference = [None, None], 0.0
    for batch in batches:
        double = batch.map(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)
        found = [one.outputs(double, None if batch.reset else state) for one, state in zip(pair, states, strict=True)]
        states = [state for _, state, _ in found]
        difference = max(difference, float((found[0][0] - found[1][0]).abs().max()))
    return difference


def _backbone(network: Network) -> Compactable:
    assert isinstance(network.backbone, Compactable)
    return network.backbone


def _said(sizes: Sequence[int]) -> str:
    return f"{sizes[0]} inputs and layers of {', '.join(map(str, sizes[1:]))} units"
