"""Input-output sequences of a quadratic recurrent network, which is to be found again (Sedghi and Anandkumar 2016).

arXiv 1603.00954. Inputs x_t ~ N(0, I), and with h_0 = 0

    h_t = (A_1 x_t + U h_{t-1})^2 elementwise,    y_t = A_2^T h_t + noise,    noise ~ N(0, noise^2 I)

The rows of A_1 (H, X) have length 1, the entries of A_2 (H, Y) are N(0, 1), and those of U (H, H) N(0, 1 / (4 H)), so
that h stays bounded. `teacher_seed` draws the network, `data_seed` the sequences. No training set is finite: sequence i
is always the same, and `train_size` says how many make an epoch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Sums
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.learner import Learner
from seqbench.contracts.ranges import AtLeast, Count, NotNegative
from seqbench.contracts.task import SPLITS, Task
from seqbench.data.random_bits import check_data_seed, philox
from seqbench.evaluation.scoring import score
from seqbench.tasks.synthetic.counted import Counted

TEACHER = len(SPLITS)  # a stream of random bits beside those of the splits


class InputOutput(Counted, Task):
    """Batches of inputs (B, length, n_inputs) and targets (B, length, n_outputs), all scored. `mse` sums the components
    of a target; the noise alone makes it n_outputs noise^2."""

    selection = "mse"

    def __init__(
        self,
        n_inputs: Count = 5,
        n_hidden: Count = 3,
        n_outputs: Count = 4,
        length: Annotated[int, AtLeast(2)] = 2,
        noise: NotNegative = 0.1,
        batch_size: Count = 10_000,
        eval_batch_size: Count = 10_000,
        train_size: Count = 10_000_000,
        valid_size: Count = 10_000,
        test_size: Count = 10_000,
        teacher_seed: int = 0,
        data_seed: int = 0,
    ):
        check_data_seed(teacher_seed)
        super().__init__(length, batch_size, eval_batch_size, train_size, valid_size, test_size, False, data_seed)
        self.noise = noise
        self.inputs, self.outputs = Inputs(n_features=n_inputs), Outputs("reals", n_outputs)
        self.version = {"name": "input_output", "version": 1, "data_sha256": None}
        n_numbers = n_hidden * (n_inputs + n_outputs + n_hidden)
        bits = philox(teacher_seed, TEACHER).random_raw(2 * n_numbers).reshape(1, -1)
        flat = torch.from_numpy(normal(bits)[0])
        input_weight, output_weight, recurrent_weight = (
            part.view(n_hidden, -1)
            for part in flat.split([n_hidden * n_inputs, n_hidden * n_outputs, n_hidden * n_hidden])
        )
        self.input_weight_HX = input_weight / input_weight.norm(dim=1, keepdim=True)
        self.output_weight_HY, self.recurrent_weight_HH = output_weight, recurrent_weight / (4 * n_hidden) ** 0.5

    def teacher(self) -> dict[str, Tensor]:
        """A_1, A_2 and U in float64, by the names that a learner of this kind gives them."""
        return {
            "input_weight": self.input_weight_HX,
            "output_weight": self.output_weight_HY,
            "recurrent_weight": self.recurrent_weight_HH,
        }

    def batch(self, split: str, index: int) -> Batch:
        n_inputs, n_outputs = self.input_weight_HX.shape[1], self.output_weight_HY.shape[1]
        bits = self.draws(split, index, 2 * self.length * (n_inputs + n_outputs))
        numbers = torch.from_numpy(normal(bits)).view(len(bits), self.length, n_inputs + n_outputs)
        x_BTX, noise_BTY = numbers.split([n_inputs, n_outputs], -1)
        h_BH, targets = numbers.new_zeros(len(bits), len(self.input_weight_HX)), []
        for t in range(self.length):
            h_BH = (x_BTX[:, t] @ self.input_weight_HX.T + h_BH @ self.recurrent_weight_HH.T).square()
            targets.append(h_BH @ self.output_weight_HY + self.noise * noise_BTY[:, t])
        return Batch(x_BTX.float(), torch.stack(targets, 1).float())

    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        return score(learner, batches, "mse")

    def metrics(self, sums: Sums) -> dict[str, float]:
        squared_error, n_targets = sums["mse"]
        return {"mse": squared_error / n_targets, "n_targets": n_targets}


def normal(bits: np.ndarray) -> np.ndarray:
    """(B, N) numbers of N(0, 1) for (B, 2 N) times 64 random bits, by Box and Muller."""
    uniform = ((bits >> np.uint64(11)) + 1) * 2.0**-53  # in (0, 1]: the logarithm is finite
    radius, angle = np.split(uniform, 2, axis=1)
    return np.sqrt(-2 * np.log(radius)) * np.cos(2 * np.pi * angle)
