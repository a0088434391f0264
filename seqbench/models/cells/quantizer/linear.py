"""LinearQuant: fixed-point numbers of k bits (Hubara et al. 2016, arXiv 1609.07061).

    q_k(x) = clip(round(x 2^(k-1)) / 2^(k-1), -1, 1 - 2^(1-k))

The paper's range is fixed, at values that we have not seen; ours is that of a signed number of k bits.
"""

from __future__ import annotations

from typing import Annotated

from seqbench.contracts.ranges import Between
from seqbench.models.cells.quantizer.grid import Grid, Levels


class Linear(Grid):
    """2^k levels, zero among them. What is rounded to a level has a gradient, what is clipped has none: that is
    torch.fake_quantize_per_tensor_affine with scale 2^(1-k).

    - `stochastic`: training rounds up or down at random, without bias.
    """

    def __init__(self, bits: Annotated[int, Between(2, 16)] = 4, stochastic: bool = False):
        n = 2 ** (bits - 1)
        super().__init__(bits, "one", stochastic, Levels(shift=0, slope=n, offset=n, factor=1, zero=n, divisor=n))
