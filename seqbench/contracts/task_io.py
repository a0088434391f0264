"""What a task tells the network about its data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskIO:
    """What a task tells the network about its data; never written in a config.

    `n_tokens` is the input vocabulary (None: real-valued inputs of `n_features`), `n_outputs` the classes or, where
    `real_outputs` says so, real numbers, `one_hot` whether the task's protocol feeds tokens one-hot rather than
    embedded, `selection` the metric on the valid split that picks the best checkpoint (lower is better). Translation
    reads `n_source_tokens` (None: the task has no source), which are the same tokens where the `shared_vocabulary` says
    so, and knows the ids of <pad>, <s> and </s>.
    """

    n_outputs: int
    n_tokens: int | None = None
    n_features: int | None = None
    one_hot: bool = False
    real_outputs: bool = False
    selection: str = "nll"
    n_source_tokens: int | None = None
    shared_vocabulary: bool = False
    pad: int = 0
    bos: int = 1
    eos: int = 2
