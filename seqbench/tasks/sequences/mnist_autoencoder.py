"""MNIST images to be reproduced, for autoencoders (Hinton and Salakhutdinov 2006; Martens and Grosse 2015)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from seqbench.contracts.batch import Batch
from seqbench.contracts.inputs_outputs import Outputs
from seqbench.contracts.learner import Learner
from seqbench.contracts.ranges import Count, NotNegativeInt, OneOf
from seqbench.contracts.task import Sums
from seqbench.evaluation.scoring import score
from seqbench.tasks.sequences.mnist import MNIST, N_PIXELS


class MNISTAutoencoder(MNIST):
    """Inputs and targets (B, 1, 784), between 0 and 1. `nll` is the cross entropy of an image in nats, summed over its
    pixels, each taken as the probability of a bit: greys have an entropy of their own, so it does not reach 0."""

    selection = "nll"

    def __init__(
        self,
        valid_size: NotNegativeInt,
        valid_from: Annotated[str, OneOf("first", "last")],
        batch_size: Count,
        eval_batch_size: Count,
        data_seed: int,
        data_dir: Path,
        source: str | None,
    ):
        super().__init__(
            "vector", None, valid_size, valid_from, batch_size, eval_batch_size, data_seed, data_dir, source
        )
        self.outputs = Outputs("bits", N_PIXELS)
        self.version = {**self.version, "name": "mnist_autoencoder"}

    def batch(self, split: str, index: int) -> Batch:
        batch = super().batch(split, index)
        return batch.replace(targets=batch.inputs)

    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        return score(learner, batches, "nll")

    def metrics(self, sums: Sums) -> dict[str, float]:
        nll, n_images = sums["nll"]
        return {"nll": nll / n_images, "n_targets": n_images}
