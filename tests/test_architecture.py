"""The house's own laws: imports point one way, a file fits in 300 lines. What is imported when: test_imports.py."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "seqbench"
APART = {"models", "embeddings", "heads", "optim", "data"}  # none of them knows another
# low to high; a layer may import itself and anything before it
ORDER = [
    {"errors", "compiled"},
    {"contracts"},
    APART,
    {"learners"},
    {"evaluation", "analysis"},
    {"tasks"},
    {"config"},
    {"report", "bench", "checks"},
    {"engine"},
    {"commands", "cli", "__main__"},
]
RANK = {name: index for index, names in enumerate(ORDER) for name in names}
FILES = sorted(PACKAGE.rglob("*.py"))
MODELS = [path for path in sorted((PACKAGE / "models").rglob("*.py")) if "cells" not in path.parts]
COMPOSING = {  # from a command line to a config, or to the configs of a sweep
    *("config/schema.py", "config/nodes.py", "config/compose.py", "config/complaints.py"),
    *("commands/train.py", "commands/sweep.py"),
}


def layer(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_the_globs_find_files():
    """A glob that finds nothing would leave a law of the house untested, and green."""
    assert len(FILES) > 100
    assert len(MODELS) > 15
    assert {layer(path) for path in FILES} == {*RANK, "__init__"}


def test_module_names_are_unique_within_a_kind():
    """A run's identity names a class by its kind and module, without the family's folder."""
    for kind in ("models", "embeddings", "heads", "optim", "evaluation", "analysis", "tasks"):
        files = [path for path in (PACKAGE / kind).rglob("*.py") if "cells" not in path.parts]
        names = [path.stem for path in files if path.stem != "__init__"]
        assert sorted(names) == sorted(set(names)), kind


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
        shares_a_table = (own, parts[1]) == ("heads", "embeddings")  # a head's weights may be its embedding's
        assert parts[1] == own or shares_a_table or not {parts[1], own} <= APART, f"{path.name} imports {module}"
        if own == "models":
            assert module.startswith(("seqbench.contracts", "seqbench.compiled", "seqbench.models.cells"))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.name)
def test_a_model_is_torch_and_the_language(path):
    allowed = {"torch", "seqbench", *sys.stdlib_module_names}
    assert {module.partition(".")[0] for module in imports(path)} <= allowed


@pytest.mark.parametrize(
    ("package", "files"),
    [
        ("torch.distributed", {"engine/distributed.py"}),
        ("wandb", {"engine/mirror.py"}),
        ("torch.utils.tensorboard", {"engine/mirror.py"}),
        ("hydra", {*COMPOSING, "config/arguments.py", "commands/completion.py"}),
        ("omegaconf", COMPOSING),
    ],
)
def test_only_its_files_know_a_package(package, files):
    found = {
        str(path.relative_to(PACKAGE))
        for path in FILES
        if any(f"{module}.".startswith(f"{package}.") for module in imports(path))
    }
    assert found == files


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one node (Tarjan 1972), sorted."""
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    components = []

    def visit(node: str) -> None:
        numbers[node] = lowest[node] = len(numbers)
        stack.append(node)
        for successor in sorted(graph[node]):
            if successor not in numbers:
                visit(successor)
                lowest[node] = min(lowest[node], lowest[successor])
            elif successor in stack:
                lowest[node] = min(lowest[node], numbers[successor])
        if lowest[node] == numbers[node]:
            position = stack.index(node)
            components.append(sorted(stack[position:]))
            del stack[position:]

    for node in sorted(graph):
        if node not in numbers:
            visit(node)
    return sorted(component for component in components if len(component) > 1)


def test_circles_are_found():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a", "e"}, "e": {"f"}, "f": {"d"}, "g": {"g"}}
    assert circles(graph) == [["b", "c"], ["d", "e", "f"]]


def test_no_module_imports_itself_by_way_of_others():
    """Imports inside functions count: they put a circle off until the function is called."""
    modules = {module_name(path): path for path in FILES}
    graph = {name: (imports(path) & modules.keys()) - {name, "seqbench"} for name, path in modules.items()}
    assert sum(map(len, graph.values())) > 300
    assert circles(graph) == []
