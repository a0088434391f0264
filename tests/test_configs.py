"""Every YAML composes, and its keys are exactly its constructor's arguments."""

import functools

import pytest
import yaml

from seqbench.config.check import check
from seqbench.config.compose import composed
from seqbench.config.identity import run_id
from seqbench.config.nodes import groups, options
from seqbench.config.schema import folder
from seqbench.config.targets import KINDS, PLUGGABLE, signature_of
from seqbench.errors import ConfigError

ENGINE_GROUPS = ("log", "network")  # folders of conf/ with settings of the engine
CHOSEN = (*PLUGGABLE, "analysis")  # by a command line's group=option
NODES = [(group, name) for group in CHOSEN for name in options(group)]


@pytest.mark.parametrize(("group", "name"), NODES)
def test_keys_are_the_constructors(group, name):
    node = dict(getattr(composed([f"{group}={name}"]), group))
    signature, _ = signature_of(group, node.pop("_target_"))
    if group == "optimizer":
        assert node.pop("groups") == {}
    assert set(node) == set(signature) - KINDS[group].derived


@pytest.mark.parametrize(
    ("group", "name"), [*NODES, *((group, name) for group in ENGINE_GROUPS for name in options(group))]
)
def test_every_option_composes(group, name):
    check(composed([f"{group}={name}"]))


PLACES = {  # of a node of each kind that no section is of: a model that has one, and where
    "norm": ("transformer", "model.norm"),
    "equilibrium": ("deq_transformer", "model.equilibrium"),
    "solver": ("deq_transformer", "model.equilibrium.forward"),
    "quantizer": ("quantized_lstm", "model.weights"),
}
INNER = [(kind, name) for kind in PLACES for name in options(kind)]


def test_each_kind_has_a_place():
    assert KINDS.keys() - set(CHOSEN) == PLACES.keys()


@pytest.mark.parametrize(("kind", "name"), INNER)
def test_keys_of_a_node_within_are_the_constructors(kind, name):
    model, place = PLACES[kind]
    config = composed([f"model={model}", f"{kind}@{place}={name}"])
    check(config)
    node = functools.reduce(dict.__getitem__, place.split(".")[1:], config.model)
    assert set(node) == {"_target_", *signature_of(kind, node["_target_"])[0]} - KINDS[kind].derived


@pytest.mark.parametrize("group", ["model", *PLACES])
def test_one_yaml_a_class_named_as_its_module(group):
    """A preset names no class: it begins with the file that does."""
    nodes = {path.stem: yaml.safe_load(path.read_text()) for path in (folder() / group).iterdir()}
    targets = {name: node["_target_"] for name, node in nodes.items() if "_target_" in node}
    assert {name: target.split(".")[-2] for name, target in targets.items()} == {name: name for name in targets}
    assert {node["defaults"][0] for name, node in nodes.items() if name not in targets} <= targets.keys()


@pytest.mark.parametrize("name", options("experiment"))
def test_every_experiment_composes(name):
    check(composed([f"experiment={name}"]))


def test_groups_are_known():
    assert set(groups()) == {*KINDS, *ENGINE_GROUPS, "experiment"}


def test_run_id_ignores_paths_and_counts_and_sees_hyperparameters():
    base = run_id(composed([]))
    same = ["output_dir=x", "train.nproc=4", "train.threads=1", "log.every=7", "checkpoint.every=3", "data_dir=y"]
    assert {run_id(composed([override])) for override in same} == {base}
    adafactor = ["optimizer=adafactor", "+optimizer.groups.recurrent._target_=seqbench.optim.adafactor.Adafactor"]
    own = "+optimizer.groups.recurrent.backend=native"
    variants = [[], ["optimizer.backend=reference"], [own], [own, "optimizer.backend=native"]]
    assert len({run_id(composed([*adafactor, *more])) for more in variants}) == 1
    other = ["seed=1", "model.hidden_size=64", "optimizer.lr=0.1", "task.delay=7", "train.precision=bf16"]
    assert len({base, *(run_id(composed([override])) for override in other)}) == len(other) + 1


def test_a_number_is_the_same_run_however_it_is_written():
    assert run_id(composed(["optimizer.lr=1e-3"])) == run_id(composed(["optimizer.lr=0.001"]))


def test_foreign_targets_are_refused():
    with pytest.raises(ConfigError, match=r"model\._target_ must lie in seqbench\.models"):
        check(composed(["model._target_=os.system"]))


def test_group_settings_are_checked():
    check(composed(["+optimizer.groups.recurrent.lr=1e-4"]))
    with pytest.raises(ConfigError, match=r"optimizer\.groups\.recurrent\.lrr is not an argument"):
        check(composed(["+optimizer.groups.recurrent.lrr=1e-4"]))
