"""YAML of a user's that is larger than any config, or goes round in circles, is refused in a moment."""

import time

import pytest
from said import one_sentence

from seqbench.config.bounds import check_text
from seqbench.config.nodes import options
from seqbench.config.schema import folder
from seqbench.errors import ConfigError

GLOBAL = "# @package _global_\n"
ANCHORS = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 7))
BOMBS = [
    (ANCHORS, "holds over 3,000 values, more than any config."),
    ("a: &a [*a]\n", "*a stands within itself."),
    ("a: " + "[" * 3000 + "]" * 3000, "is nested over 30 levels deep."),
    ("".join(f"{' ' * n}a:\n" for n in range(200)) + " " * 200 + "b: 1\n", "is nested over 30 levels deep."),
    ("".join(f"key_{n}: {n}\n" for n in range(50_000)), "is longer than any config: over 65,536 bytes."),
    ("".join(f"k{n}: 1\n" for n in range(4000)), "holds over 3,000 values, more than any config."),
    (
        "".join(f"a{n}: ${{a{n + 1}}}${{a{n + 1}}}\n" for n in range(30)) + "a30: x\n",
        "has over 16 references ${...}.",
    ),
]


@pytest.mark.parametrize(("content", "reason"), BOMBS, ids=[reason for _, reason in BOMBS])
@pytest.mark.parametrize("saved", [False, True], ids=["folder", "run"])
def test_a_bomb(seqbench, tmp_path, content, reason, saved):
    name = "outputs/0123456789ab/config.yaml" if saved else "mine/experiment/mine.yaml"
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(content if saved else GLOBAL + content)
    started = time.perf_counter()
    if saved:
        assert reason in seqbench("list")[1]
        code, _, said = seqbench("eval", "run=0123456789ab")
    else:
        code, _, said = seqbench("train", "--config-dir", "mine", "experiment=mine")
    assert code == 2 and one_sentence(said).endswith(reason)
    assert time.perf_counter() - started < 30  # of a busy machine; two seconds of a free one
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]


def test_the_configs_of_the_house_are_far_from_the_bounds():
    for group in ("experiment", "model", "task"):
        for name in options(group):
            path = folder() / group / f"{name}.yaml"
            check_text(path.read_text(), name)


@pytest.mark.parametrize("text", ["a: [1", "%YAML 9.9\n---\na: 1", "a: *nowhere", "\x00"])
def test_what_is_not_valid_is_left_to_whoever_reads_it(text):
    check_text(text, "x")


def test_anchors_within_reason():
    check_text("a: &a [1, 2]\nb: *a\nc: {<<: {d: 1}}\n", "x")
    with pytest.raises(ConfigError, match="stands within itself"):
        check_text("a: &a {b: {c: *a}}", "x")


OWN = [
    (f"{GLOBAL}- 1\n- 2\n", None),
    (f"{GLOBAL}defaults: 5\n", None),
    (f"{GLOBAL}defaults:\n  - mine\n", "The configs name one another without end, or a value is nested too deeply."),
    (f"{GLOBAL}model: [1]\n", None),
    (
        "seed: 3\n",
        "An experiment's file begins with the line `# @package _global_`, and this one does not.",
    ),
    (f'{GLOBAL}output_dir: "a\\0b"\n', "output_dir names a folder, not 'a\\x00b'."),
    (f"{GLOBAL}seed: null\n", "seed must have a value, not null."),
]


@pytest.mark.parametrize(("content", "sentence"), OWN, ids=[repr(content) for content, _ in OWN])
def test_an_experiment_that_is_not_as_hydra_expects(seqbench, tmp_path, content, sentence):
    path = tmp_path / "mine" / "experiment" / "mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    code, _, said = seqbench("train", "--config-dir", "mine", "experiment=mine")
    assert code == 2 and (one_sentence(said) == sentence or sentence is None), said
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("hidden_size: 8\n", "model needs a _target_ and its arguments; choose a file of conf/model/."),
        ("_target_: os.mkdir\n", "model._target_ must lie in seqbench.models, not 'os.mkdir'."),
    ],
)
def test_a_model_without_a_class_of_ours(seqbench, tmp_path, content, sentence):
    path = tmp_path / "mine" / "model" / "mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    code, _, said = seqbench("train", "--config-dir", "mine", "model=mine", "model.hidden_dim=3")
    assert (code, one_sentence(said)) == (2, sentence)


@pytest.mark.parametrize(
    "content",
    ["", "null\n", "5\n", "[1]\n", "model: null\n", "model: lstm\n", "task: {delay: 3}\n", "a: ${b}\n", "\xff\xfe"],
)
@pytest.mark.parametrize("command", ["eval", "train", "list"])
def test_a_saved_config_that_is_none(seqbench, tmp_path, command, content):
    path = tmp_path / "outputs" / "0123456789ab" / "config.yaml"
    path.parent.mkdir(parents=True)
    path.write_bytes(content.encode("latin-1"))
    code, out, said = seqbench(command, *([] if command == "list" else ["run=0123456789ab"]))
    if command == "list":
        assert code == 0 and f"{path.parent.name}  " in out
    else:
        assert code == 2 and "config.yaml" in one_sentence(said)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]
