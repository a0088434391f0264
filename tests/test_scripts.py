"""Scripts: their shell syntax, and that they know no machine but the one they run on."""

import os
import re
import subprocess
from pathlib import Path

import pytest

SCRIPTS = sorted(path for path in (Path(__file__).parents[1] / "scripts").iterdir() if path.is_file())


def test_there_are_scripts():
    assert "newcomer" in [path.name for path in SCRIPTS]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_syntax_and_mode(path):
    assert path.read_text().startswith("#!/usr/bin/env bash\n") and os.access(path, os.X_OK)
    assert subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True).stderr == ""


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_path_of_a_machine(path):
    assert re.findall(r"(?<![\w$}.])/(?!dev/null|usr/bin/env|tmp\b)\w+/\w+", path.read_text()) == []


def test_newcomer_stops_at_the_first_failure(tmp_path):
    """In a repository whose demo fails: one line that says so, its output, and exit code 1."""
    (tmp_path / "Makefile").write_text("demo:\n\t@echo no demo here; exit 3\ntest:\n\t@echo not reached\n")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *arguments], check=True)
    (script,) = [path for path in SCRIPTS if path.name == "newcomer"]
    process = subprocess.run([str(script)], cwd=tmp_path, capture_output=True, text=True)
    assert process.returncode == 1
    assert re.match(r"make demo: exit code 2 after \d+ s; the last lines:\n    no demo here\n", process.stdout)
    assert "not reached" not in process.stdout
