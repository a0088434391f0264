"""What one recurrent layer with norms is made of, whatever its equations: weights, biases and norms by place.

Places are the input's product (x W), the last output's product (h U), their sum and, of an LSTM, the cell on its way
out. A place has a norm or none, and a bias or none: those of input and hidden stand within the norm, those of sum and
cell after it.

Shapes: T time, B batch, D features, H hidden size, K the gates of H each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqbench.contracts.norm import Norm, Steps
from seqbench.contracts.pytree import State
from seqbench.models.cells.norm.none import NoNorm
from seqbench.models.cells.time_loop.recurrence import project

Memory = dict[str, State]  # of each place


@dataclass(frozen=True)
class Placing:
    """What stands where: `norm` makes a norm of `d_input` features, `norms` and `biases` name the places of either."""

    norm: Callable[..., Norm]
    norms: Sequence[str]
    biases: Sequence[str]


class NormLayer(nn.Module):
    """Weights `weight_input` (D, K) and `weight_hidden` (H, K), and the norms and biases of the places. `sizes` are the
    places' numbers of features. A subclass defines `forward`; `reset_weights` fills the weights."""

    def __init__(self, d_input: int, hidden_size: int, sizes: dict[str, int], placing: Placing):
        super().__init__()
        _check("norms", placing.norms, sizes)
        _check("biases", placing.biases, sizes)
        self.hidden_size = hidden_size
        self.weight_input = nn.Parameter(torch.empty(d_input, sizes["input"]))
        self.weight_hidden = nn.Parameter(torch.empty(hidden_size, sizes["hidden"]))
        self.biases = nn.ParameterDict({place: torch.zeros(sizes[place]) for place in sizes if place in placing.biases})
        self.norms = nn.ModuleDict(
            {place: (placing.norm if place in placing.norms else NoNorm)(d_input=size) for place, size in sizes.items()}
        )
        for place, norm in self.norms.items():
            if norm.reads == "sequence" and place != "input":
                raise ValueError(f"{type(norm).__name__} reads a sequence as a whole, so norms is [input], not {place}")

    def first(self, n_rows: int) -> State:
        """The state before a sequence: (h, memory), unless a layer carries more."""
        return self.weight_hidden.new_zeros(n_rows, self.hidden_size), self.no_memory()

    def forward(self, x_TB: Tensor, state: State, steps: Steps) -> tuple[Tensor, State]:
        """Outputs (T, B, H) of features (T, B, D), or ids (T, B) that stand for one-hot vectors, and the state."""
        raise NotImplementedError

    def norm(self, place: str) -> Norm:
        norm = self.norms[place]
        assert isinstance(norm, Norm)
        return norm

    def no_memory(self) -> Memory:
        return dict.fromkeys(self.norms)

    def of_inputs(self, x_TB: Tensor, steps: Steps, memory: Memory) -> Tensor:
        """What the inputs give, (T, B, K), normalised."""
        z_TBK = self.biased("input", project(x_TB, self.weight_input))
        y_TBK, memory["input"] = self.norm("input").over_time(z_TBK, steps, memory["input"])
        return y_TBK

    def at(self, place: str, z_BD: Tensor, step: Steps, memory: Memory) -> Tensor:
        """One step's sums at a place, normalised."""
        y_1BD, memory[place] = self.norm(place).over_time(z_BD[None], step, memory[place])
        return y_1BD[0]

    def biased(self, place: str, z: Tensor) -> Tensor:
        return z + self.biases[place] if place in self.biases else z

    def reset_weights(self, init: str, init_range: float | None = None) -> None:
        """`uniform`: weights and biases are of U(-r, r), r = `init_range` or 1/sqrt(H). Otherwise W and U are
        orthogonal, each as a whole."""
        if init == "uniform":
            bound = 1 / math.sqrt(self.hidden_size) if init_range is None else init_range
            for parameter in (self.weight_input, self.weight_hidden, *self.biases.values()):
                nn.init.uniform_(parameter, -bound, bound)
            return
        if init_range is not None:
            raise ValueError(f"init_range={init_range} is for init=uniform, not {init}")
        for weight in (self.weight_input, self.weight_hidden):
            nn.init.orthogonal_(weight)


def _check(name: str, places: Sequence[str], sizes: dict[str, int]) -> None:
    wrong = sorted(set(places) - sizes.keys())
    if wrong:
        raise ValueError(f"{name} names places of the model, {', '.join(sizes)}, not {wrong[0]!r}")
