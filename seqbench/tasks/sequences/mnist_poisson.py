"""MNIST whose training batches are drawn by Poisson sampling, as privacy is accounted for (optim/dp_sgd.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from seqbench.contracts.ranges import Count, NotNegativeInt, OneOf
from seqbench.contracts.task import Sampling
from seqbench.data.arrays.poisson import Poisson
from seqbench.tasks.sequences.mnist import MNIST, SHAPES


class MNISTPoisson(MNIST):
    """`MNIST` with batches of `batch_size` rows on average; an epoch is as many batches as make up one pass."""

    equal_batches = False

    def __init__(
        self,
        layout: Annotated[str, OneOf(*SHAPES)],
        valid_size: NotNegativeInt,
        valid_from: Annotated[str, OneOf("first", "last")],
        batch_size: Count,
        eval_batch_size: Count,
        data_seed: int,
        data_dir: Path,
        source: str | None,
    ):
        super().__init__(layout, None, valid_size, valid_from, batch_size, eval_batch_size, data_seed, data_dir, source)
        n_train = len(self.rows["train"])
        self.index["train"] = Poisson(n_train, batch_size, data_seed)
        self.sampling = Sampling(n_train, batch_size)
