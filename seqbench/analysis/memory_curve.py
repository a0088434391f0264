"""How much of its inputs a network still holds, over the distance (memory capacity; Jaeger 2001, GMD report 152).

The network reads sequences of independent random inputs, and what the readout sees at their end is regressed on the
input d steps before it. With x that input and p(d) the best linear prediction, on sequences that it was not fitted to,

    recall(d) = 1 - E |x_{T-d} - p(d)|^2 / Var x        capacity = sum over d of recall(d)

Chance is 0 and perfect recall 1. A network whose readout sees N numbers has a capacity of at most N, whatever its
nonlinearity. Symbols are regressed as one-hot vectors, and named by the largest prediction; chance is then 1/K.

Shapes: B sequences, T time, D features, N what the readout sees, P distances, K symbols.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqbench.contracts.analysis import Analysis, Figure, Outcome, Subject
from seqbench.contracts.ranges import Count
from seqbench.errors import UserError
from seqbench.learners.network import Network

BORDER = 0.5  # recall of the farthest input that counts as remembered
CHUNK = 500  # sequences at once


class MemoryCurve(Analysis):
    """Recall of the last `n_distances` inputs of sequences of `length` steps, the last input being at distance 0.

    - n_rows: sequences, half of them to fit the regressions and half to measure.
    - n_symbols: of the vocabulary, that are drawn where the network reads tokens.

    Numbers: `capacity`; `border`, the farthest distance whose recall is at least 1/2, -1 where there is none; and
    `n_units`, which the readout sees. Real inputs are from U(0, 1) in the first feature, the others being 0.
    """

    def __init__(self, n_distances: Count = 20, length: Count = 40, n_rows: Count = 10_000, n_symbols: Count = 8):
        if length < n_distances:
            raise ValueError(f"analysis.length={length} is below the {n_distances} distances, analysis.n_distances")
        if n_symbols < 2:
            raise ValueError(f"analysis.n_symbols is at least 2, not {n_symbols}")
        self.n_distances, self.length = n_distances, length
        self.n_rows, self.n_symbols = n_rows, n_symbols

    def __call__(self, subject: Subject) -> Outcome:
        network, inputs = subject.learner, subject.task.inputs
        if not isinstance(network, Network) or not network.backbone.causal:
            raise UserError("analysis=memory_curve is for a causal network that reads one sequence.")
        n_units = network.backbone.d_output
        if self.n_rows < 4 * n_units:
            raise UserError(
                f"analysis.n_rows={self.n_rows:,} is too few to regress on {n_units:,} units: give at least "
                f"{4 * n_units:,}."
            )
        draw = torch.Generator().manual_seed(subject.seed)
        if inputs.n_tokens is None:
            n_symbols = None
            x = torch.zeros(self.n_rows, self.length, inputs.n_features or 0)
            x[..., 0] = torch.rand(self.n_rows, self.length, generator=draw)
            recalled_BTK = x[..., :1].double()
        else:
            n_symbols = min(self.n_symbols, inputs.n_tokens)
            tokens_K = torch.randperm(inputs.n_tokens, generator=draw)[:n_symbols]
            index_BT = torch.randint(n_symbols, (self.n_rows, self.length), generator=draw)
            x = tokens_K[index_BT]
            recalled_BTK = torch.nn.functional.one_hot(index_BT, n_symbols).double()
        feature_BN = _last_features(network, x)
        recent_BPK = recalled_BTK.flip(1)[:, : self.n_distances]
        return _outcome(*recall(feature_BN, recent_BPK), n_units, n_symbols)


@torch.no_grad()
def _last_features(network: Network, x: Tensor) -> Tensor:
    """(B, N), in float64: what the backbone says of the last position."""
    device = next(network.parameters()).device
    parts = [network.features(chunk.to(device))[0][:, -1] for chunk in x.split(CHUNK)]
    return torch.cat(parts).double().cpu()


def recall(feature_BN: Tensor, x_BPK: Tensor) -> tuple[Tensor, Tensor]:
    """(recall_P, accuracy_P) of the second half of the rows, by least squares on the first half. The accuracy is of
    symbols, and means nothing for numbers (K = 1)."""
    half = len(feature_BN) // 2
    mean_N, mean_PK = feature_BN[:half].mean(0), x_BPK[:half].mean(0)
    centred_BN = feature_BN - mean_N
    fitted_BN, flat_BF = centred_BN[:half], (x_BPK[:half] - mean_PK).flatten(1)
    weight_NF = torch.linalg.lstsq(fitted_BN, flat_BF, driver="gelsd").solution  # features may be constant, or copies
    prediction_BPK = mean_PK + (centred_BN[half:] @ weight_NF).unflatten(1, mean_PK.shape)
    truth_BPK = x_BPK[half:]
    error_P = (truth_BPK - prediction_BPK).square().sum((0, 2))
    variance_P = (truth_BPK - truth_BPK.mean(0)).square().sum((0, 2))
    accuracy_P = (prediction_BPK.argmax(-1) == truth_BPK.argmax(-1)).double().mean(0)
    return 1 - error_P / variance_P, accuracy_P


def _outcome(recall_P: Tensor, accuracy_P: Tensor, n_units: int, n_symbols: int | None) -> Outcome:
    recalls = recall_P.tolist()
    remembered = [distance for distance, value in enumerate(recalls) if value >= BORDER]
    numbers = {
        "capacity": sum(recalls),
        "border": float(remembered[-1] if remembered else -1),
        "n_units": float(n_units),
    }
    lines = {"recall": _points(recalls)}
    if n_symbols is not None:
        lines |= {"accuracy": _points(accuracy_P.tolist()), "chance": _points([1 / n_symbols] * len(recalls))}
        numbers["chance"] = 1 / n_symbols
    return Outcome(numbers, {"recall": Figure("distance, steps", "recall", lines)})


def _points(values: list[float]) -> list[tuple[float, float]]:
    return [(float(distance), value) for distance, value in enumerate(values)]
