"""The contract of an embedding as checks. Each takes an embedding and raises `AssertionError`."""

from __future__ import annotations

from collections.abc import Callable

import torch

from seqbench.checks.closeness import require_close
from seqbench.contracts.embedding import Embedding

N_TOKENS = 12
IDS_BT = torch.randint(0, N_TOKENS, (3, 7), generator=torch.Generator().manual_seed(1))


def check_features(embedding: Embedding) -> None:
    """`d_output` finite features a position; or, of one that is not dense, the input itself."""
    features = embedding(IDS_BT)
    if not embedding.dense:
        assert torch.equal(features, IDS_BT), "it is not dense, and changes its input"
        return
    shape = (*IDS_BT.shape, embedding.d_output)
    assert features.shape == shape, f"the features' shape is {tuple(features.shape)}, not {shape}"
    assert features.isfinite().all(), "a feature is not finite"


def check_positions(embedding: Embedding) -> None:
    """A position's features are those of its id alone."""
    alone_D = embedding(IDS_BT[1:2, 2:3])[0, 0]
    require_close(alone_D, embedding(IDS_BT)[1, 2], "a position's features depend on other positions", 1e-5, 1e-6)


def checks(make: Callable[..., Embedding]) -> dict[str, Callable[[], None]]:
    """All of the contract by name. `make` takes `n_tokens` and `n_features`."""

    def embedding() -> Embedding:
        torch.manual_seed(0)
        return make(n_tokens=N_TOKENS, n_features=None).eval()

    return {
        "features": lambda: check_features(embedding()),
        "independent positions": lambda: check_positions(embedding()),
    }
