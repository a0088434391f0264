"""The documentation holds: its code runs, its commands exist, its links lead somewhere."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seqbench.cli import COMMANDS
from seqbench.config.compose import composed
from seqbench.config.nodes import options

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"```\w+\n# (\S+)\n(.*?)```", re.DOTALL)
CHOICES = re.compile(
    r"\b(model|embedding|head|optimizer|schedule|task|evaluation|analysis|experiment|log)=([a-z]\w+(?:/\w+)?)"
)


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the package with the files that docs/adding.md shows."""
    place = tmp_path_factory.mktemp("extended")
    for folder in ("seqbench", "conf"):
        shutil.copytree(ROOT / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__"))
    blocks = BLOCK.findall((ROOT / "docs" / "adding.md").read_text())
    assert len(blocks) == 16
    for path, text in blocks:
        assert not (place / path).exists(), path
        (place / path).write_text(text)
    return place


def test_what_adding_shows_runs(extended):
    def call(*arguments):
        environment = {**os.environ, "PYTHONPATH": str(extended)}
        command = [sys.executable, "-m", "seqbench", *arguments]
        process = subprocess.run(command, cwd=extended, env=environment, capture_output=True, text=True, timeout=240)
        assert process.returncode == 0, process.stderr
        return process.stdout

    added = ["model=leaky", "embedding=scaled", "head=poly", "task=majority", "optimizer=sign_sgd", "schedule=linear"]
    output = call("train", *added, "optimizer.noise=0.1", "network.dropout_output=0.1", "train.max_steps=3")
    name = re.search(r"^Run (\w{12}):", output, re.MULTILINE).group(1)
    assert "Memoryless baseline: nll 0.69315" in output
    assert '"category": "cold"' in call("eval", f"run={name}", "evaluation=cold")
    assert '"backbone.projection.weight": ' in call("analyze", f"run={name}", "analysis=weight_norms")
    assert "  leaky                    Leaky average: an exponential moving average" in call("list", "models")


def test_what_plugin_shows_runs(seqbench, tmp_path):
    text = (ROOT / "docs" / "plugin.md").read_text()
    blocks = BLOCK.findall(text)
    assert len(blocks) == 2
    for path, content in blocks:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    commands = re.findall(r"^ +seqbench (.*my_package.*)$", text, re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        small = ["task.delay=5", "task.train_size=40", "task.valid_size=20", "task.test_size=20", "train.max_steps=2"]
        code, _, errors = seqbench(*command.split(), *(small if command.startswith("train") else []))
        assert code == 0, errors


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_names_exist(page):
    text = page.read_text()
    assert set(re.findall(r"^ +seqbench ([a-z]+)", text, re.MULTILINE)) <= set(COMMANDS)
    shown = {Path(path).stem for path, _ in BLOCK.findall(text)}
    for group, name in CHOICES.findall(text):
        assert name in {*options(group), *shown}, f"{group}={name}"


def cells_of(line: str) -> list[str]:
    """The cells of a Markdown row, without the marks of footnotes."""
    return [re.sub(r" \[\w\]$", "", cell.strip()) for cell in line.strip("|").split("|")]


def test_numbers_of_the_readmes_tables_are_those_of_results():
    """README shows some columns and rows of a table whose file it names above it."""
    shown = re.findall(r"\(results/tables/(\w+)\.md\)[^|]*\n\n((?:\|.*\n)+)", (ROOT / "README.md").read_text())
    assert shown
    for name, table in shown:
        made = (ROOT / "results" / "tables" / f"{name}.md").read_text()
        theirs = [cells_of(line) for line in made.splitlines() if line.startswith("| ")]
        heading, _, *rows = table.splitlines()
        columns = [theirs[0].index(one) for one in cells_of(heading)]
        for row in rows:
            assert cells_of(row) in [[cells[column] for column in columns] for cells in theirs], row


def test_reading_names_files_that_exist():
    rows = re.findall(r"^\d+\. `([^`]+)`", (ROOT / "docs" / "reading.md").read_text(), re.MULTILINE)
    assert 0 < len(rows) <= 10
    assert [path for path in rows if not (ROOT / path).is_file()] == []
    composed(["experiment=copy_t100/scornn"])
