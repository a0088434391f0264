"""MNIST whose training batches are drawn by Poisson sampling, as privacy is accounted for (optim/dp_sgd.py).

Besides the private images there may be public ones of other data, Omniglot's letters at the size of MNIST's digits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch

from seqbench.contracts.ranges import Count, NotNegativeInt, OneOf
from seqbench.contracts.task import Sampling
from seqbench.data.arrays.omniglot import OMNIGLOT
from seqbench.data.arrays.poisson import Poisson
from seqbench.data.arrays.store import are_arrays_at_hand, ensure_arrays
from seqbench.data.files.lock import say
from seqbench.data.random_bits import philox
from seqbench.tasks.sequences.mnist import MNIST, SHAPES

_STREAM = 0x0B11  # apart from the other draws of the seed


class MNISTPoisson(MNIST):
    """`MNIST` with batches of `batch_size` rows on average; an epoch is as many batches as make up one pass.

    `public`: omniglot, or null, none. `n_public` images of it, drawn by `data_seed`, are the task's public inputs. A
    `source` holds both sets, or folders of them.
    """

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
        public: Annotated[str, OneOf("omniglot")] | None = None,
        n_public: Count = 128,
    ):
        super().__init__(layout, None, valid_size, valid_from, batch_size, eval_batch_size, data_seed, data_dir, source)
        n_train = len(self.rows["train"])
        self.index["train"] = Poisson(n_train, batch_size, data_seed)
        self.sampling = Sampling(n_train, batch_size)
        if public is not None:
            arrays = ensure_arrays(OMNIGLOT, data_dir, source, say)
            n_images = len(arrays["images"])
            if n_public > n_images:
                raise ValueError(f"task.n_public is at most the {n_images:,} public images, not {n_public}")
            order = np.argsort(philox(data_seed, _STREAM).random_raw(n_images), kind="stable")
            images_PHW = arrays["images"][np.sort(order[:n_public])]
            self.public = torch.from_numpy(images_PHW.astype(np.float32) / 255).view(n_public, *self.shape)

    @classmethod
    def prepare(cls, data_dir: Path, source: str | None, force: bool, settings: dict[str, Any]) -> str:
        said = super().prepare(data_dir, source, force, settings)
        if settings.get("public") is None:
            return said
        arrays = ensure_arrays(OMNIGLOT, data_dir, source, say, force or source is not None)
        return f"{said}\n{OMNIGLOT.name}: {len(arrays['images']):,} public images, in {arrays.path}"

    @classmethod
    def at_hand(cls, data_dir: Path, source: str | None, settings: dict[str, Any]) -> bool:
        has_public = settings.get("public") is None or are_arrays_at_hand(OMNIGLOT, data_dir, source)
        return has_public and super().at_hand(data_dir, source, settings)
