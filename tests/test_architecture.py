"""The house's own laws: imports point one way, a file fits in 300 lines. What is imported when: test_imports.py."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "seqbench"
APART = {"models", "heads", "optim", "data"}  # none of them knows another
# low to high; a layer may import itself and anything before it
ORDER = [
    {"errors", "values"},
    {"types", "compiled"},
    APART,
    {"network"},
    {"seq2seq"},
    {"evaluation"},
    {"tasks"},
    {"targets"},
    {"config", "compose", "older"},
    {"report", "bench"},
    {"engine"},
    {"commands", "cli", "__main__"},
]
RANK = {name: index for index, names in enumerate(ORDER) for name in names}
FILES = sorted(PACKAGE.rglob("*.py"))


def layer(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path.name} imports by a relative name"
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way_and_files_are_short(path):
    assert len(path.read_text().splitlines()) <= 300
    if path == PACKAGE / "__init__.py":
        return
    own = layer(path)
    for module in imports(path):
        parts = module.split(".")
        if parts[0] != "seqbench" or len(parts) < 2 or parts[1] in ("__version__",):
            continue
        assert RANK[parts[1]] <= RANK[own], f"{path.name} imports {module}"
        assert parts[1] == own or not {parts[1], own} <= APART, f"{path.name} imports {module}"
        if own == "models":
            assert module.startswith(("seqbench.types", "seqbench.compiled", "seqbench.models.cells"))


@pytest.mark.parametrize("path", sorted((PACKAGE / "models").glob("*.py")), ids=lambda path: path.name)
def test_a_model_is_torch_and_the_language(path):
    allowed = {"torch", "seqbench", *sys.stdlib_module_names}
    assert {module.partition(".")[0] for module in imports(path)} <= allowed


def test_the_loop_fits_in_150_lines():
    assert len((PACKAGE / "engine" / "loop.py").read_text().splitlines()) <= 150


@pytest.mark.parametrize(
    ("package", "files"),
    [
        ("torch.distributed", {"engine/distributed.py"}),
        ("wandb", {"engine/mirror.py"}),
        ("torch.utils.tensorboard", {"engine/mirror.py"}),
        ("hydra", {"config.py", "compose.py", "commands/train.py", "commands/completion.py"}),
        ("omegaconf", {"config.py", "compose.py", "commands/train.py"}),
    ],
)
def test_only_its_files_know_a_package(package, files):
    found = {
        str(path.relative_to(PACKAGE))
        for path in FILES
        if any(f"{module}.".startswith(f"{package}.") for module in imports(path))
    }
    assert found == files
