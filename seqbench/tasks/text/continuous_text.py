"""One continuous stream of tokens: what all language modelling shares, whatever the text and the tokens.

Training reads `batch_size` rows of the stream side by side in windows of `bptt` steps, the state carried from window to
window. Without `carries_state` each window begins with no state, as in papers that cut a text into blocks. With
`variable_bptt` a window has T steps around `bptt`, drawn from `data_seed`, and the learning rate of its step is
multiplied by T / bptt (Merity, Keskar, Socher 2018, arXiv 1708.02182). Evaluation reads the whole split as one row, its
state carried: every token is scored, the first one given the token that ends a line, or what the tokenizer names
instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Sums
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.learner import Learner
from seqbench.contracts.task import Task
from seqbench.data.random_bits import check_data_seed
from seqbench.data.text.store import Prepared
from seqbench.data.text.stream import EvaluationStream, TokenStream
from seqbench.evaluation.scoring import perplexity, score

_BLOCK = 1 << 22  # tokens counted at a time


class ContinuousText(Task):
    """The windows of a prepared text and the metric of its tokens, `unit`: ppl or bpc. `start` is the token that stands
    before the first one of a split when it is evaluated."""

    continuous = True

    def __init__(
        self,
        prepared: Prepared,
        unit: str,
        start: str,
        batch_size: int,
        bptt: int,
        eval_window: int,
        variable_bptt: bool,
        data_seed: int,
        carries_state: bool = True,
    ):
        self.bptt, self.unit, self.carries_state = bptt, unit, carries_state
        before = prepared.vocabulary.index(start)
        self.ids = {split: prepared.ids(split) for split in ("train", "valid", "test")}
        self.streams = {
            "train": TokenStream(self.ids["train"], batch_size, bptt, data_seed if variable_bptt else None),
            "valid": EvaluationStream(self.ids["valid"], eval_window, before),
            "test": EvaluationStream(self.ids["test"], eval_window, before),
        }
        self.vocabulary = prepared.vocabulary
        n_types = len(self.vocabulary)
        self.inputs, self.outputs = Inputs(n_tokens=n_types), Outputs("classes", n_types)
        self.baseline: dict[str, float] = {}

    def windows(self, split: str, batch_size: int, bptt: int) -> Iterator[Batch]:
        """One pass over a split in rows and windows of other sizes than the task's own."""
        stream = TokenStream(self.ids[split], batch_size, bptt)
        for index in range(stream.n_windows):
            inputs_BT, targets_BT, reset = stream.window(index)
            yield Batch(inputs_BT, targets_BT, reset=reset)

    def token_counts(self) -> np.ndarray:
        """How often each type occurs in the training split: (V,) int64."""
        ids, counts = self.ids["train"], np.zeros(self.outputs.size, np.int64)
        for start in range(0, len(ids), _BLOCK):
            counts += np.bincount(ids[start : start + _BLOCK], minlength=self.outputs.size)
        return counts

    def n_batches(self, split: str) -> int:
        return self.streams[split].n_windows

    def batch(self, split: str, index: int) -> Batch:
        inputs_BT, targets_BT, reset = self.streams[split].window(index)
        lr_scale = inputs_BT.shape[1] / self.bptt if split == "train" else 1.0
        reset = reset or (split == "train" and not self.carries_state)
        return Batch(inputs_BT, targets_BT, reset=reset, lr_scale=lr_scale)

    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        return score(learner, batches, "nll")

    def metrics(self, sums: Sums) -> dict[str, float]:
        """Of all targets, and of those that an evaluation tells apart: `nll_from_100` gives `ppl_from_100`."""
        metrics: dict[str, float] = {}
        for name, (total, n_targets) in sums.items():
            if not n_targets:
                continue  # no word of this split is in that band
            part = name.removeprefix("nll")
            nll = total / n_targets
            metrics |= {name: nll, f"n_targets{part}": n_targets}
            metrics[f"{self.unit}{part}"] = perplexity(nll) if self.unit == "ppl" else nll / math.log(2)
        return metrics


def check_windows(batch_size: int, bptt: int, eval_window: int, data_seed: int) -> None:
    """Raise `ValueError` for sizes that no window has: before any text is read."""
    for name, value in [("batch_size", batch_size), ("bptt", bptt), ("eval_window", eval_window)]:
        if value < 1:
            raise ValueError(f"task.{name} must be positive, not {value}")
    check_data_seed(data_seed)
