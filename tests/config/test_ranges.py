"""Ranges at the argument: every one is read by the check, which names the setting's path and says it in one wording."""

import copy
import functools
from dataclasses import asdict
from typing import Annotated

import pytest

from seqbench.config.check import check
from seqbench.config.compose import composed
from seqbench.config.targets import check_node
from seqbench.config.values import fault
from seqbench.contracts.ranges import Above, AtLeast, Between, Count, OneOf
from seqbench.errors import ConfigError

UNIT = "is at least 0 and below 1"
REFUSED = [
    ("model=lstm", "n_layers", 0, "is at least 1"),
    ("model=lstm", "hidden_size", -3, "is at least 1"),
    ("model=lstm", "init", "normal", "is one of uniform, glorot, orthogonal"),
    ("model=lstm", "init_range", -0.5, "is at least 0, or null"),
    ("model=gru", "backend", "fast", "is one of auto, reference, native"),
    ("model=awd_lstm", "n_layers", 0, "is at least 1"),
    ("model=awd_lstm", "d_last", 0, "is at least 1, or null"),
    ("model=awd_lstm", "dropout_hidden", 1.0, UNIT),
    ("model=awd_lstm", "dropout_recurrent", -0.1, UNIT),
    ("model=kru", "nonlinearity", "relu", "is one of modrelu, tanh"),
    ("model=kru", "factor_sizes", [2, 0], "holds values each of which is at least 1"),
    ("model=scornn", "input_init_range", -1, "is at least 0"),
    ("model=gated_cnn", "gate", "swish", "is one of glu, gtu, bilinear, linear, relu"),
    ("model=gated_cnn", "init", "glorot", "is one of kaiming, convs2s"),
    ("model=gated_cnn", "dropout", 1.0, UNIT),
    ("model=tcn", "channels", [4, 0], "holds values each of which is at least 1"),
    ("model=tcn", "kernel", 1, "is at least 2"),
    ("model=transformer", "span", 0, "is at least 1"),
    ("model=transformer", "n_heads", 0, "is at least 1"),
    ("model=transformer", "dropout_attention", 1.0, UNIT),
    ("model=transformer", "norm.eps", 0.0, "is positive"),
    ("model=weight_tied_transformer", "n_layers", 0, "is at least 1"),
    ("model=trellisnet", "dilation", 0, "is at least 1"),
    ("model=deq_trellisnet", "weight_dropout", 1.0, UNIT),
    ("model=deq_transformer", "span", 0, "is at least 1"),
    ("model=deq_transformer", "equilibrium.gradient", "exact", "is one of implicit, phantom"),
    ("model=deq_transformer", "equilibrium.on_failure", "ignore", "is one of stop, continue"),
    ("model=deq_transformer", "equilibrium.jacobian_probability", 2.0, "is between 0 and 1"),
    ("model=deq_transformer", "equilibrium.jacobian_growth_steps", 0, "is at least 1, or null"),
    ("model=deq_transformer", "equilibrium.phantom_steps", 0, "is at least 1"),
    ("model=deq_transformer", "equilibrium.forward.max_steps", 0, "is at least 1"),
    ("model=deq_transformer", "equilibrium.backward.memory", 0, "is at least 1"),
    ("model=deq_transformer", "equilibrium.backward.tolerance", -1e-3, "is at least 0"),
    ("model=gnmt", "n_layers", 1, "is at least 2"),
    ("model=convs2s", "max_positions", 0, "is at least 1"),
    ("model=rnn_attention", "attention", "sum", "is one of additive, general, dot"),
    ("model=rnn_attention", "encoder.n_layers", 0, "is at least 1"),
    ("model=translation_transformer", "d_inner", 0, "is at least 1"),
    ("embedding=learned", "d_embed", 0, "is at least 1"),
    ("embedding=learned", "init_range", -1.0, "is at least 0, or null"),
    ("embedding=adaptive", "div_value", 0.0, "is positive"),
    ("head=softmax", "vocab_chunk", 0, "is at least 1, or null"),
    ("head=softmax", "label_smoothing", 1.0, UNIT),
    ("head=hebbian", "floor", 1.5, "is between 0 and 1"),
    ("head=adaptive", "div_value", -4.0, "is positive"),
    ("optimizer=adam", "lr", -1.0, "is at least 0"),
    ("optimizer=adafactor", "lr", -0.1, "is at least 0, or null"),
    ("optimizer=adafactor", "eps1", 1e-40, "is at least 1.1754943508222875e-38"),
    ("optimizer=adafactor", "eps2", -1.0, "is at least 0"),
    ("optimizer=adafactor", "clip_threshold", 0.0, "is positive, or null"),
    ("optimizer=adafactor", "decay_rate", -0.8, "is positive"),
    ("optimizer=adafactor", "beta2", 1.0, "is above 0 and below 1, or null"),
    ("optimizer=adafactor", "beta1", 1.0, f"{UNIT}, or null"),
    ("optimizer=adafactor", "weight_decay", -1.0, "is at least 0"),
    ("optimizer=adafactor", "min_dim_factored", 0, "is at least 1"),
    ("optimizer=nt_asgd", "nonmonotone_interval", -1, "is at least 0, or null"),
    ("optimizer=rmsprop_tf", "lr", -1.0, "is at least 0"),
    ("optimizer=rmsprop_tf", "decay", 1.0, UNIT),
    ("optimizer=rmsprop_tf", "momentum", -0.1, UNIT),
    ("optimizer=rmsprop_tf", "eps", 0.0, "is positive"),
    ("schedule=inverse_sqrt", "warmup_steps", 0, "is at least 1"),
    ("schedule=cosine", "final", -0.1, "is at least 0"),
    ("schedule=epoch_decay", "flat_epochs", -1, "is at least 0"),
    ("schedule=plateau", "divide_by", 0, "is positive"),
    ("schedule=plateau", "patience", 0, "is at least 1"),
    ("task=copy", "train_size", 0, "is at least 1"),
    ("task=adding", "eval_batch_size", 0, "is at least 1"),
    ("task=ptb_word", "bptt", 0, "is at least 1"),
    ("task=multi30k_ende", "batch_tokens", 0, "is at least 1"),
    ("evaluation=beam", "beam_width", 0, "is at least 1"),
    ("evaluation=beam", "length_ratio", 1e30, "is between 0 and 1,000"),
    ("evaluation=cache", "weight", 1.0, UNIT),
    ("evaluation=dynamic", "eps", 0.0, "is positive"),
    ("evaluation=sliding", "context", -1, "is at least 0"),
]


@functools.cache
def node_of(choice: str) -> dict:
    return getattr(composed([choice]), choice.partition("=")[0])


@pytest.mark.parametrize(("choice", "setting", "value", "text"), REFUSED)
def test_what_is_out_of_range_is_refused_by_its_path(choice, setting, value, text):
    section, node = choice.partition("=")[0], copy.deepcopy(node_of(choice))
    check_node(section, node)
    *path, name = setting.split(".")
    holder = functools.reduce(dict.__getitem__, path, node)
    assert name in holder
    holder[name] = value
    with pytest.raises(ConfigError) as error:
        check_node(section, node)
    wrong = value[-1] if isinstance(value, list) else value
    assert str(error.value) == f"{section}.{setting} {text}, not {wrong!r}."


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ("{lr: -1}", "lr is at least 0, not -1"),
        ("{_target_: torch.optim.SGD, lr: -1}", "lr is at least 0, not -1"),
        ("{_target_: seqbench.optim.rmsprop.RMSpropTF, lr: null}", "lr must be a number, not None"),
        ("{_target_: seqbench.optim.rmsprop.RMSpropTF, decay: 1}", "decay is at least 0 and below 1, not 1"),
    ],
)
def test_settings_of_a_group_have_the_ranges_of_its_optimizer(settings, text):
    config = composed(["optimizer=adam", f"+optimizer.groups.recurrent={settings}"])
    with pytest.raises(ConfigError) as error:
        check(config)
    assert str(error.value) == f"optimizer.groups.recurrent.{text}."


@pytest.mark.parametrize("name", ["dropout_words", "dropout_input", "dropout_output"])
def test_the_networks_own_settings_have_ranges(name):
    config = composed([])
    assert name in asdict(config)["network"]
    setattr(config.network, name, 1.0)
    with pytest.raises(ConfigError, match=rf"^network\.{name} is at least 0 and below 1, not 1\.0\.$"):
        check(config)


@pytest.mark.parametrize(
    ("hint", "good", "bad", "text"),
    [
        (Count, 1, 0, "is at least 1, not 0"),
        (Count | None, None, 0, "is at least 1, or null, not 0"),
        (Annotated[float, Above(0)], 1e-300, 0.0, "is positive, not 0.0"),
        (Annotated[float, Above(2)], 2.1, 2, "is above 2, not 2"),
        (Annotated[float, Between(0, 1)], 1, 1.01, "is between 0 and 1, not 1.01"),
        (Annotated[float, Between(0, 1, without_low=True)], 1.0, 0, "is above 0 and at most 1, not 0"),
        (Annotated[int, AtLeast(1000)], 1000, 999, "is at least 1,000, not 999"),
        (Annotated[str, OneOf("pre", "post")], "pre", "pst", "is one of pre, post, not 'pst'"),
        (Count | list[Count], 1, 0, "is at least 1, not 0"),
        (Count | list[Count], [1, 2], [1, 0], "holds values each of which is at least 1, not 0"),
        (list[Count], [1, 2], [1, 0], "holds values each of which is at least 1, not 0"),
        (float, 1e308, float("nan"), "must be finite, not nan"),
        (tuple[float, float], [0.9, 0.99], [0.9, float("inf")], "must be finite, not [0.9, inf]"),
    ],
)
def test_the_wording_of_a_range(hint, good, bad, text):
    assert fault(good, hint) is None
    assert fault(bad, hint) == text
