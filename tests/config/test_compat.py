"""Configs of the first edition: their shape is what is hashed, and they load as configs of today."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest

from seqbench.config.check import check
from seqbench.config.compat import default_of, fill_defaults
from seqbench.config.compose import composed
from seqbench.config.identity import hashed, run_id
from seqbench.config.network_shape import network_of_today
from seqbench.config.nodes import options
from seqbench.config.schema import typed
from seqbench.config.values import same

FROZEN = json.loads(Path(__file__).with_name("frozen_ids.json").read_text())
FLAT = {  # what the first edition saved of copy_t400/deq_transformer
    "_target_": "seqbench.models.deq_transformer.DEQTransformer",
    "d_model": 32,
    "n_heads": 2,
    "d_inner": 110,
    "span": 420,
    "dropout": 0.0,
    "dropout_attention": 0.0,
    "pre_norm": False,
    "weight_norm": True,
    "init_std": 0.1,
    "forward_solver": "anderson",
    "forward_steps": 30,
    "forward_tolerance": 0.001,
    "backward_solver": "anderson",
    "backward_steps": 30,
    "backward_tolerance": 0.001,
    "relative_tolerance": True,
    "solver_memory": 6,
    "backward_memory": None,
    "gradient": "implicit",
    "phantom_steps": 5,
    "damping": 0.8,
    "jacobian_weight": 0.0,
    "jacobian_probability": 1.0,
    "jacobian_growth_steps": None,
    "pretrain_steps": 500,
    "pretrain_layers": 3,
    "on_failure": "continue",
}


def loaded(sections):
    """Sections as a saved config holds them, loaded by this version."""
    content = {**json.loads(json.dumps(sections)), "evaluation": composed([]).evaluation}
    return fill_defaults(typed(network_of_today(content)))


@pytest.mark.parametrize("name", options("experiment"))
def test_the_two_directions_are_inverse(name):
    config = composed([f"experiment={name}"])
    first = hashed(config)
    again = loaded(first)
    check(again)
    assert same(hashed(again), first)
    for section in ("model", "embedding", "head", "optimizer", "schedule"):
        assert getattr(again, section) == getattr(config, section), section


def test_a_config_of_flat_solver_settings_loads():
    config = composed(["experiment=copy_t400/deq_transformer"])
    old = replace(config, model=copy.deepcopy(FLAT))
    assert fill_defaults(old).model == config.model
    check(old)
    assert run_id(old) == FROZEN["experiments"]["copy_t400/deq_transformer"]


def test_a_config_from_before_a_setting_had_a_name_loads():
    config = composed(["experiment=copy_t400/deq_transformer"])
    later = ("backward_memory", "jacobian_growth_steps", "on_failure")
    old = replace(config, model={key: value for key, value in FLAT.items() if key not in later})
    assert fill_defaults(old).model == config.model


@pytest.mark.parametrize(
    ("forward", "backward", "memory", "backward_memory"),
    [
        ("anderson", "broyden", 6, 35),
        ("broyden", "broyden", 55, None),
        ("plain", "anderson", 9, None),
        ("anderson", "plain", 9, None),
        ("plain", "plain", 6, None),
    ],
)
def test_solvers_of_the_first_edition_keep_their_settings(forward, backward, memory, backward_memory):
    config = composed(["experiment=copy_t400/deq_transformer"])
    solvers = {"forward_solver": forward, "backward_solver": backward, "forward_tolerance": 0.5}
    flat = {**FLAT, **solvers, "solver_memory": memory, "backward_memory": backward_memory}
    old = fill_defaults(replace(config, model=copy.deepcopy(flat)))
    check(old)
    assert old.model["equilibrium"]["forward"]["tolerance"] == 0.5
    assert hashed(old)["model"] == flat


def test_what_the_first_edition_had_no_word_for_is_another_run():
    base = "experiment=copy_t400/deq_transformer"
    same_run = [[], ["solver@model.equilibrium.backward=anderson"]]
    assert len({run_id(composed([base, *more])) for more in same_run}) == 1
    others = [
        ["model.equilibrium.backward.relative=false"],
        ["model.equilibrium.forward.relative=false"],
        ["solver@model.equilibrium.forward=broyden"],
        ["model.equilibrium.forward.memory=5"],
        ["model.equilibrium.backward.memory=5"],
    ]
    transformers = [[], ["norm@model.norm=none"], ["model.norm.eps=1e-6"], ["model.pre_norm=true"]]
    ids = [run_id(composed([base, *more])) for more in ([], *others)]
    ids += [run_id(composed(["model=transformer", *more])) for more in transformers]
    assert len(set(ids)) == len(ids)
    assert hashed(composed(["model=transformer"]))["model"]["norm"] == "post"
    assert hashed(composed(["model=transformer", "norm@model.norm=none"]))["model"]["norm"] == {
        "_target_": "seqbench.models.none.NoNorm"
    }


def test_norms_of_the_first_edition_are_placements():
    config = composed(["experiment=wmt14_ende/translation_transformer/adafactor_full"])
    first = hashed(config)["model"]
    assert (first["norm"], first["d_ff"]) == ("pre", 2048) and not {"pre_norm", "d_inner"} & first.keys()
    assert fill_defaults(replace(config, model=dict(first))).model == config.model


@pytest.mark.parametrize(
    ("overrides", "section", "key", "default"),
    [
        (["model=deq_transformer"], "model", "backward_memory", None),
        (["model=deq_trellisnet"], "model", "forward_steps", 30),
        (["model=transformer"], "model", "norm", "post"),
        (["model=lstm"], "model", "forget_bias", None),
        (["optimizer=adam"], "optimizer", "amsgrad", False),
        ([], "network", "div_value", 4.0),
        ([], "train", "average_last", 1),
    ],
)
def test_the_default_of_a_setting_that_a_record_lacks(overrides, section, key, default):
    settings = hashed(composed(overrides))[section]
    assert key in settings
    assert same(default_of(section, settings, key), default)


def test_the_default_within_a_node_of_today():
    settings = hashed(composed(["model=transformer", "norm@model.norm=layer_norm", "model.norm.eps=1e-3"]))["model"]
    assert same(default_of("model", settings["norm"], "affine"), True)
