"""Words of a formal language or not: what the tasks of this family share beside their words.

    input    # ( a ) b              # begins each word, so that the empty word is read, too
    target   1                      1 for a word of the language

Often only few words belong to a language, so that a constant answer is nearly always right. What selects and is
reported is therefore balanced: the mean of the error on words of the language and of that on the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch

from seqbench.contracts.batch import Batch
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.learner import Learner
from seqbench.contracts.task import Sums, Task
from seqbench.data.arrays.order import InOrder, orders
from seqbench.data.random_bits import check_data_seed
from seqbench.evaluation.scoring import score_by_label

Words = list[tuple[str, bool]]  # with whether each belongs to the language


class Membership(Task):
    """Batches of ids (B, T), padded, and targets (B,). Symbol number a of `alphabet` has the id a; the id after the
    last one begins a word and stands in the padding.

    For the first `curriculum` epochs the words come from the shortest to the longest, then in a new order in each,
    words of like length together. `data_seed` fixes words and orders, whatever the run's seed.
    """

    selection = "balanced_error"

    def __init__(
        self,
        alphabet: str,
        words: Mapping[str, Words],
        batch_size: int,
        eval_batch_size: int,
        curriculum: int,
        data_seed: int,
        name: str,
    ):
        check_data_seed(data_seed)
        for split, found in words.items():
            if len({belongs for _, belongs in found}) < 2:
                raise ValueError(f"the {split} split would have no word of the language, or no other")
        self.alphabet, self.words, self.curriculum = alphabet, words, curriculum
        lengths = {split: torch.tensor([len(word) for word, _ in found]).numpy() for split, found in words.items()}
        sizes = {split: len(found) for split, found in words.items()}
        self.index = orders(sizes, batch_size, eval_batch_size, data_seed, lengths)
        self.by_length = InOrder(sizes["train"], batch_size, lengths["train"])
        self.inputs, self.outputs = Inputs(n_tokens=len(alphabet) + 1), Outputs("classes", 2, per="sequence")
        self.version = {"name": name, "version": 1, "data_sha256": None}
        self.baseline = {"balanced_error": 0.5, "balanced_accuracy": 0.5}  # of any constant answer

    def n_batches(self, split: str) -> int:
        return self.index[split].n_batches

    def batch(self, split: str, index: int) -> Batch:
        in_order = split == "train" and index < self.curriculum * self.by_length.n_batches
        examples = (self.by_length if in_order else self.index[split]).examples(index)
        words, targets = zip(*(self.words[split][example] for example in examples), strict=True)
        return self.batch_of(words, targets)

    def batch_of(self, words: Sequence[str], targets: Sequence[bool] | None = None) -> Batch:
        """Any words over the alphabet as a batch; without `targets` these are zeros."""
        number = {symbol: index for index, symbol in enumerate(self.alphabet)}
        begin = len(self.alphabet)
        ids_BT = torch.full((len(words), 1 + max(map(len, words))), begin)
        for row, word in enumerate(words):
            ids_BT[row, 1 : 1 + len(word)] = torch.tensor([number[symbol] for symbol in word], dtype=torch.long)
        lengths_B = torch.tensor([1 + len(word) for word in words])
        valid_BT = torch.arange(ids_BT.shape[1]) < lengths_B[:, None]
        targets_B = torch.tensor(targets or [False] * len(words), dtype=torch.long)
        return Batch(ids_BT, targets_B, inputs_valid_BT=valid_BT)

    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        return score_by_label(learner, batches, 2)

    def metrics(self, sums: Sums) -> dict[str, float]:
        nll, n_targets = sums["nll"]
        wrong = [sums["error_of_0"], sums["error_of_1"]]
        error = sum(total for total, _ in wrong) / n_targets
        balanced = sum(total / count for total, count in wrong) / 2
        return {
            "nll": nll / n_targets,
            "error": error,
            "accuracy": 1 - error,
            "balanced_error": balanced,
            "balanced_accuracy": 1 - balanced,
            "n_targets": n_targets,
        }
