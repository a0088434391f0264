"""What a network takes when its quantised weights are packed, beside what it takes as it is trained.

A weight of k bits takes k, a scale of a row or of a matrix as much as a real number, and so does whatever is not
quantised, as embeddings, heads and biases are.
"""

from __future__ import annotations

from seqbench.contracts.analysis import Analysis, Outcome, Subject
from seqbench.contracts.quantizer import HasQuantized


class PackedSize(Analysis):
    """In MiB: `packed_mib` and `plain_mib` of all parameters, `packed_weights_mib` and `plain_weights_mib` of those
    that are quantised; and `ratio` and `weights_ratio`, plain over packed."""

    def __call__(self, subject: Subject) -> Outcome:
        learner = subject.learner
        holders = [module for module in learner.modules() if isinstance(module, HasQuantized)]
        quantizers = {parameter: quantizer for holder in holders for parameter, quantizer in holder.quantized()}
        plain = {parameter: 8 * parameter.element_size() * parameter.numel() for parameter in learner.parameters()}
        packed = {
            parameter: quantizer.packed_bits(tuple(parameter.shape), 8 * parameter.element_size())
            for parameter, quantizer in quantizers.items()
        }
        sizes = {
            "packed": sum({**plain, **packed}.values()),
            "plain": sum(plain.values()),
            "packed_weights": sum(packed.values()),
            "plain_weights": sum(plain[parameter] for parameter in packed),
        }
        numbers = {f"{name}_mib": n_bits / (8 * 2**20) for name, n_bits in sizes.items()}
        numbers["ratio"] = sizes["plain"] / sizes["packed"] if sizes["packed"] else 1.0
        numbers["weights_ratio"] = sizes["plain_weights"] / sizes["packed_weights"] if packed else 1.0
        return Outcome(numbers)
