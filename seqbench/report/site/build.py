"""The `report` command: the ledger as a folder of pages that link to each other and to nothing that they need."""

from __future__ import annotations

from pathlib import Path

from seqbench.data.files.atomic import write_whole
from seqbench.report.selection import Compose
from seqbench.report.site.front import front_page, list_pages
from seqbench.report.site.gathered import Gathered
from seqbench.report.site.models import model_pages
from seqbench.report.site.page import TEMPLATES, Page, environment, render
from seqbench.report.site.runs import run_pages
from seqbench.report.site.speeds import read_suites
from seqbench.report.site.tables import table_pages
from seqbench.report.site.tasks import task_pages

ASSETS = ("style.css", "sort.js")
FOLDERS = ("tables", "runs", "models", "tasks")


def build_site(declaration: Path, ledger: Path, bench: Path, output: Path, compose: Compose) -> list[Path]:
    """Write the site to `output` and return the paths of its files.

    `compose(experiment, overrides)` gives a resolved config. On an unchanged ledger the files come out the same byte
    for byte; pages of runs, tables and so on that are no more are removed. Raises `UserError`, before anything is
    written, for mistakes in the declaration or a broken record.
    """
    gathered = Gathered(declaration, ledger, compose)
    pages: list[Page] = [
        front_page(gathered),
        *list_pages(gathered),
        *table_pages(gathered),
        *run_pages(gathered),
        *model_pages(gathered, read_suites(bench)),
        *task_pages(gathered),
    ]
    templates = environment()
    texts = {page.path: render(page, templates) for page in pages}
    texts |= {name: (TEMPLATES / name).read_text(encoding="utf-8") for name in ASSETS}
    paths = []
    for path, text in texts.items():
        file = output / path
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, text)
        paths.append(file)
    for folder in FOLDERS:
        for stale in {*(output / folder).glob("*.html")} - {*paths}:
            stale.unlink()
    return paths
