"""Whether "A beats B", as a paper has it, holds for our runs: the same seeds, paired."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from seqbench.contracts.metrics import is_higher_better
from seqbench.report.declaration import TAGS, Claim, Column, Table
from seqbench.report.numbers import measured
from seqbench.report.record import Record
from seqbench.report.statistics import paired_p_value

HOLDS, CONTRADICTED, UNDECIDED, NOT_TESTED = "holds", "contradicted", "undecided", "not tested"
_LEVEL = 0.05


@dataclass(frozen=True)
class Finding:
    """What the runs say of a claim: one of holds, contradicted, undecided and not tested.

    `gains` are by how much `claim.better` is the better one, seed by seed; `p_value` is that of the paired t-test over
    them.
    """

    claim: Claim
    kind: str
    gains: list[float]
    p_value: float | None = None

    def text(self) -> str:
        """The claim and what was found of it, as a sentence."""
        claim = self.claim
        cited = f" ({claim.source}, {TAGS[claim.tag]})" if claim.source and claim.tag else ""
        said = f"{claim.better} beats {claim.than} in {claim.metric}{cited}: {self.kind}"
        if not self.gains:
            return f"{said}, no seed was run of both."
        n, ahead = len(self.gains), sum(gain > 0 for gain in self.gains)
        mean = statistics.fmean(self.gains)
        p = "" if self.p_value is None else f", p = {self.p_value:.2g}, paired t-test"
        seeds = f"ahead on {ahead} of {n} seeds"
        if n == 1:
            seeds = f"{'ahead' if ahead else 'behind'} on the only seed"
        return f"{said}; {seeds}, by {mean:.3g} in the mean{p}."


def judge_claim(table: Table, claim: Claim, found: list[list[Record]]) -> Finding:
    """The finding on a claim of `table`, whose rows have the records `found`."""
    column = next((one for one in table.columns if one.metric == claim.metric), Column("", metric=claim.metric))
    values = {row.heading(): measured(column, row, records) for row, records in zip(table.rows, found, strict=True)}
    better, than = values[claim.better], values[claim.than]
    sign = 1 if is_higher_better(claim.metric) else -1
    gains = [sign * (better[seed] - than[seed]) for seed in sorted(better.keys() & than.keys())]
    if len(gains) < 2:
        return Finding(claim, NOT_TESTED, gains)
    p_value = paired_p_value(gains)
    if p_value is None or p_value >= _LEVEL:
        return Finding(claim, UNDECIDED, gains, p_value)
    return Finding(claim, HOLDS if statistics.fmean(gains) > 0 else CONTRADICTED, gains, p_value)
