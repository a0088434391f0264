"""`seqbench report`: the ledger as a website."""

from __future__ import annotations

from seqbench.commands.tables import compose_row
from seqbench.config.compose import composed
from seqbench.report.places import Places


def report(arguments: list[str]) -> None:
    """Writes results/site: pages of the tables, runs, models and tasks, to open from the disk or to serve as they are.

    results_dir=results                the folder of tables.yaml, of the ledger, runs/, and of bench/
    """
    from seqbench.report.site.build import build_site  # its templates' engine is for this command alone

    places = Places(composed(arguments, "report"))
    paths = build_site(places.declaration, places.runs, places.bench, places.site, compose_row)
    print(f"{places.site / 'index.html'}: {len(paths)} files")
