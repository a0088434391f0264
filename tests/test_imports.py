"""What is imported when: a run on synthetic data needs the core packages alone, and help needs not even torch."""

import subprocess
import sys

import pytest

HEAVY = ["wandb", "datasets", "sentencepiece", "sacrebleu", "matplotlib", "tensorboard", "transformers", "pandas"]
WATCH = """
import sys
from seqbench.cli import main
sys.argv[0] = "seqbench"
try:
    main()
finally:
    names = {name.partition(".")[0] for name in sys.modules} | {"torch._dynamo"} & set(sys.modules)
    print("IMPORTED", *sorted(names))
"""
RUN = ["task.delay=10", "task.train_size=40", "task.valid_size=20", "task.test_size=20", "train.max_steps=2"]


def imported(folder, *arguments):
    command = [sys.executable, "-c", WATCH, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_a_synthetic_run_needs_the_core_alone(tmp_path):
    names = imported(tmp_path, "train", *RUN)
    assert "torch" in names
    assert not names & set(HEAVY)
    assert "torch._dynamo" not in names  # a second of every start


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_needs_nothing_but_python(tmp_path, arguments):
    """So it answers at once, on a slow or a busy machine too."""
    at_start = subprocess.run([sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True)
    ours = imported(tmp_path, *arguments) - {name.partition(".")[0] for name in at_start.stdout.split()}
    assert ours - set(sys.stdlib_module_names) == {"seqbench"}


def test_listing_and_showing_need_no_datasets(tmp_path):
    assert not imported(tmp_path, "list") & {*HEAVY}
