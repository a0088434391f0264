"""The `tables` command: declaration and ledger in, Markdown and LaTeX files out."""

from __future__ import annotations

from pathlib import Path

from seqbench.errors import UserError
from seqbench.report.declaration import did_you_mean, read_declaration
from seqbench.report.ledger import read_ledger
from seqbench.report.render import latex, markdown
from seqbench.report.table import Compose, fill


def build_tables(
    declaration: Path, ledger: Path, output: Path, compose: Compose, names: list[str] | None = None
) -> list[Path]:
    """Write `<name>.md` and `<name>.tex` for the tables `names` (None: all that are declared) and return the paths.

    `compose(experiment, overrides)` gives the resolved config of a row. On an unchanged ledger the files come out
    the same byte for byte. Raises `UserError`, before anything is written, for mistakes in the declaration, a broken
    record or an unknown name.
    """
    tables = read_declaration(declaration)
    wanted = list(tables) if names is None else names
    for name in wanted:
        if name not in tables:
            hint = did_you_mean(name, tables)
            raise UserError(f"There is no table {name}{hint}; {declaration} declares {', '.join(tables)}.")
    records = read_ledger(ledger)
    grids = [fill(tables[name], records, compose) for name in wanted]
    output.mkdir(parents=True, exist_ok=True)
    paths = []
    for grid in grids:
        for suffix, text in ((".md", markdown(grid)), (".tex", latex(grid))):
            path = output / f"{grid.name}{suffix}"
            path.write_text(text, encoding="utf-8", newline="\n")
            paths.append(path)
    return paths
