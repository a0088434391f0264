"""Every YAML composes, and its keys are exactly its constructor's arguments."""

import pytest

from seqbench.config.check import check
from seqbench.config.compose import composed, groups, options
from seqbench.config.identity import run_id
from seqbench.config.targets import KINDS, PLUGGABLE, signature_of
from seqbench.errors import ConfigError

NODES = [(group, name) for group in PLUGGABLE for name in options(group)]


@pytest.mark.parametrize(("group", "name"), NODES)
def test_keys_are_the_constructors(group, name):
    node = dict(getattr(composed([f"{group}={name}"]), group))
    signature, _ = signature_of(group, node.pop("_target_"))
    if group == "optimizer":
        assert node.pop("groups") == {}
    assert set(node) == set(signature) - KINDS[group].derived


@pytest.mark.parametrize(("group", "name"), [*NODES, *(("log", name) for name in options("log"))])
def test_every_option_composes(group, name):
    check(composed([f"{group}={name}"]))


@pytest.mark.parametrize("name", options("experiment"))
def test_every_experiment_composes(name):
    check(composed([f"experiment={name}"]))


def test_groups_are_known():
    assert set(groups()) == {*PLUGGABLE, "log", "experiment"}


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
