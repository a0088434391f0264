"""The stages of optimising an LSTM (Appleyard, Kočiský, Blunsom 2016, arXiv 1604.01946), each a Python loop over time.

    separate   a product for each gate and side, eight a step, and an operation for each nonlinearity
    grouped    the four gates' products in one: two a step
    fused      the nonlinearities and the cell's update in one compiled function
    transposed weights stored as the product reads them
    inputs of k steps    the inputs' products of k steps in one; of all steps: one product a layer
    compiled   torch.compile of a whole step, instead of all that

All compute what torch.nn.LSTM does with the same weights (tests/bench). What the paper did with streams
over layers has no counterpart here: the threads of a processor share one product already.

Shapes: T time, B batch, D features of a layer's input, H hidden size, G = 4 H gates in torch's order i, f, g, o.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.bench.measure import device
from seqbench.bench.suite import Contestant, Suite
from seqbench.models.cells.time_loop.stack import weights
from seqbench.models.recurrent.lstm import LSTM

Layer = Callable[[Tensor, nn.Module], Tensor]  # x (T, B, D) and a torch layer, whose weights are used -> y (T, B, H)
ALL = 0  # of the inputs' steps in one product


def separate(x_TBD: Tensor, layer: nn.Module) -> Tensor:
    input_weight, weight, input_bias, bias = (value.chunk(4) for value in weights(layer))
    h_BH = c_BH = x_TBD.new_zeros(x_TBD.shape[1], len(weight[0]))
    outputs = []
    for x_BD in x_TBD.unbind(0):
        i, f, g, o = (
            x_BD @ input_weight[gate].T + h_BH @ weight[gate].T + input_bias[gate] + bias[gate] for gate in range(4)
        )
        c_BH = torch.sigmoid(f) * c_BH + torch.sigmoid(i) * torch.tanh(g)
        h_BH = torch.sigmoid(o) * torch.tanh(c_BH)
        outputs.append(h_BH)
    return torch.stack(outputs)


def update(gates_BG: Tensor, c_BH: Tensor) -> tuple[Tensor, Tensor]:
    """(h, c) of a step, from the gates before their nonlinearities."""
    i, f, g, o = gates_BG.chunk(4, 1)
    c_BH = torch.sigmoid(f) * c_BH + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c_BH), c_BH


@functools.cache
def compiled(function: Callable) -> Callable:
    return torch.compile(function, dynamic=False)


def grouped(x_TBD: Tensor, layer: nn.Module, fuses: bool = False, transposes: bool = False, n_steps: int = 1) -> Tensor:
    """`n_steps`: of the inputs in one product."""
    input_weight, weight, input_bias, bias = weights(layer)
    input_weight_DG, weight_HG = input_weight.T, weight.T
    if transposes:
        input_weight_DG, weight_HG = input_weight_DG.contiguous(), weight_HG.contiguous()
    advance = compiled(update) if fuses else update
    h_BH = c_BH = x_TBD.new_zeros(x_TBD.shape[1], weight.shape[1])
    outputs = []
    for block_tBD in x_TBD.split(n_steps or len(x_TBD)):
        for from_input_BG in (block_tBD @ input_weight_DG + (input_bias + bias)).unbind(0):
            h_BH, c_BH = advance(from_input_BG + h_BH @ weight_HG, c_BH)
            outputs.append(h_BH)
    return torch.stack(outputs)


def step(x_BD: Tensor, h_BH: Tensor, c_BH: Tensor, *layer: Tensor) -> tuple[Tensor, Tensor]:
    input_weight, weight, input_bias, bias = layer
    return update(F.linear(x_BD, input_weight, input_bias) + F.linear(h_BH, weight, bias), c_BH)


def compiled_step(x_TBD: Tensor, layer: nn.Module) -> Tensor:
    tensors, advance = weights(layer), compiled(step)
    h_BH = c_BH = x_TBD.new_zeros(x_TBD.shape[1], tensors[1].shape[1])
    outputs = []
    for x_BD in x_TBD.unbind(0):
        h_BH, c_BH = advance(x_BD, h_BH, c_BH, *tensors)
        outputs.append(h_BH)
    return torch.stack(outputs)


def library(x_TBD: Tensor, layer: nn.Module) -> Tensor:
    return layer(x_TBD)[0]


FUSED = functools.partial(grouped, fuses=True)
TRANSPOSED = functools.partial(FUSED, transposes=True)
STAGES: dict[str, Layer] = {
    "separate": separate,
    "grouped": grouped,
    "fused": FUSED,
    "transposed": TRANSPOSED,
    "inputs of 2 steps": functools.partial(TRANSPOSED, n_steps=2),
    "inputs of 10 steps": functools.partial(TRANSPOSED, n_steps=10),
    "inputs of all steps": functools.partial(TRANSPOSED, n_steps=ALL),
    "compiled": compiled_step,
    "torch.nn.LSTM": library,
}


def stage(name: str) -> Callable[..., Callable[[], None]]:
    def build(H: int, B: int, T: int, layers: int, backward: int) -> Callable[[], None]:
        torch._dynamo.reset()  # or what is compiled for one shape after the other runs uncompiled from the fifth on
        compiled.cache_clear()
        torch.manual_seed(0)
        network = nn.ModuleList(nn.LSTM(H, H) for _ in range(layers)).to(device())
        x_TBD = torch.randn(T, B, H, device=device())

        def forward() -> Tensor:
            y_TBD = x_TBD
            for layer in network:
                y_TBD = STAGES[name](y_TBD, layer)
            return y_TBD

        return _work(forward, network, backward)

    return build


def seqbench(H: int, B: int, T: int, layers: int, backward: int) -> Callable[[], None]:
    torch.manual_seed(0)
    network = LSTM(H, H, n_layers=layers, backend="native" if device().type == "cpu" else "auto").to(device())
    x_BTD = torch.randn(B, T, H, device=device())
    return _work(lambda: network(x_BTD)[0], network, backward)


def _work(forward: Callable[[], Tensor], network: nn.Module, backward: int) -> Callable[[], None]:
    def work() -> None:
        if backward:
            network.zero_grad()
            forward().sum().backward()
        else:
            with torch.no_grad():
                forward()

    return work


SUITE = Suite(
    name="stages",
    title="Stages of optimising an LSTM (Appleyard, Kočiský, Blunsom 2016)",
    note=(
        "Layers of H units, inputs of H features, B sequences of T steps, float32; backward=1: forward and backward, "
        "0: forward. The paper's shape is H = 512, B = 64, T = 100, 4 layers, on a GPU."
    ),
    ours="separate",
    contestants=[
        *(Contestant(name, stage(name), trains=False) for name in STAGES),
        Contestant("seqbench", seqbench, trains=False),
    ],
    shapes=[
        *({"H": H, "B": B, "T": 100, "layers": 1, "backward": 1} for H in (128, 512) for B in (1, 16, 64)),
        {"H": 1024, "B": 16, "T": 100, "layers": 1, "backward": 1},
        {"H": 512, "B": 64, "T": 100, "layers": 4, "backward": 0},
    ],
    n_tokens=lambda H, B, T, layers, backward: B * T,
    smaller={"T": 2, "layers": 1},
)
