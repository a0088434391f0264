"""The contract that every encoder-decoder keeps: what it says step by step is what it is trained on, padding changes
nothing, sentences do not mix. A new one is one more row of MODELS."""

import copy
import functools

import pytest
import torch

from seqbench.checks.encoder_decoders import check_encoder_decoder
from seqbench.contracts.inputs_outputs import Outputs
from seqbench.contracts.learner import count_parameters
from seqbench.contracts.pytree import tree_map, tree_zip
from seqbench.embeddings.learned import LearnedEmbedding
from seqbench.heads.softmax import Softmax
from seqbench.learners.seq2seq import PairBatch, PairInputs, Seq2Seq, build_seq2seq
from seqbench.models.attention.transformer import Transformer
from seqbench.models.cells.equilibrium.anderson import Anderson
from seqbench.models.cells.equilibrium.implicit import Equilibrium
from seqbench.models.convolutional.gated_cnn import GatedCNN
from seqbench.models.equilibrium.deq_transformer import DEQTransformer
from seqbench.models.recurrent.gru import GRU
from seqbench.models.recurrent.lstm import LSTM
from seqbench.models.translation.convs2s import ConvS2S
from seqbench.models.translation.gnmt import GNMT
from seqbench.models.translation.rnn_attention import RNNAttention
from seqbench.models.translation.translation_transformer import TranslationTransformer
from seqbench.models.unitary.kru import KRU
from seqbench.models.unitary.scornn import SCORNN

V, D = 13, 6
IO = PairInputs(n_tokens=V, n_source_tokens=V, shared_vocabulary=True)
SOLVER = functools.partial(Anderson, max_steps=60, tolerance=1e-13)
EXACT = {"equilibrium": functools.partial(Equilibrium, forward=SOLVER, backward=SOLVER)}


def led_by_input(model):
    """An input that outweighs what a layer does to z: then there is one fixed point."""
    with torch.no_grad():
        model.block.inject.weight *= 40
    return model


def composed(backbone, **settings):
    return lambda d_input: RNNAttention(d_input, backbone, backbone, **{"d_attention": 5, **settings})


MODELS = {
    "lstm": composed(lambda d_input: LSTM(d_input, 8, n_layers=2)),
    "gru-general": composed(lambda d_input: GRU(d_input, 8), attention="general", d_combined=7),
    "lstm-dot": composed(lambda d_input: LSTM(d_input, 8), attention="dot", bidirectional=False),
    "scornn": composed(lambda d_input: SCORNN(d_input, 8, n_negative=4, input_init_range=0.5)),
    "scornn-to-lstm": lambda d_input: RNNAttention(
        d_input,
        lambda d_input: SCORNN(d_input, 4, n_negative=2, input_init_range=0.5),
        lambda d_input: LSTM(d_input, 8),
        d_attention=5,
    ),
    "kru": composed(lambda d_input: KRU(d_input, 8, input_init_range=0.5, unitary_weight=0.1)),
    "gated-cnn": composed(lambda d_input: GatedCNN(d_input, [[8, 4], [6, 3]])),
    "transformer-xl": composed(
        lambda d_input: Transformer(d_input, 8, n_layers=2, n_heads=2, d_inner=6, span=20, dropout=0.0)
    ),
    "deq": composed(
        lambda d_input: led_by_input(DEQTransformer(d_input, 8, n_heads=2, d_inner=6, span=20, init_std=0.3, **EXACT))
    ),
    "lstm-to-gated-cnn": lambda d_input: RNNAttention(
        d_input, lambda d_input: LSTM(d_input, 4), lambda d_input: GatedCNN(d_input, [[8, 3]]), d_attention=5
    ),
    "transformer": lambda d_input: TranslationTransformer(
        d_input, d_input, n_heads=2, n_layers=2, d_inner=12, dropout=0.0
    ),
    "transformer-pre": lambda d_input: TranslationTransformer(
        d_input, d_input, n_heads=3, n_layers=2, d_inner=12, dropout=0.0, pre_norm=True
    ),
    "convs2s": lambda d_input: ConvS2S(
        d_input, [[8, 3], [8, 5], [6, 1]], [[8, 3], [6, 4]], d_hidden=7, dropout=0.0, max_positions=6
    ),
    "gnmt": lambda d_input: GNMT(d_input, 8, n_layers=4, dropout=0.0, init_range=0.5),
}


def network(name, d_embed=D, **changed) -> Seq2Seq:
    torch.manual_seed(0)
    embedding = lambda n_tokens, n_features: LearnedEmbedding(n_tokens, d_embed, 0.5)
    return build_seq2seq(IO, Outputs("classes", V), embedding, MODELS[name], Softmax, **changed).double().eval()


@pytest.fixture(params=MODELS)
def net(request):
    return network(request.param)


def batch(lengths=(5, 3, 4), n_target=9, padding=0) -> PairBatch:
    draw = torch.Generator().manual_seed(1)
    n_source = max(lengths) + padding
    source = torch.randint(4, V, (len(lengths), max(lengths)), generator=draw)
    source = torch.nn.functional.pad(source, (0, padding), value=7)
    valid_BS = torch.arange(n_source) < torch.tensor(lengths)[:, None]
    ids = torch.randint(4, V, (len(lengths), n_target + 1), generator=draw)
    ids[:, 0] = IO.bos
    valid_BT = torch.arange(n_target) < torch.tensor([n_target, n_target - 2, n_target - 1])[: len(lengths), None]
    return PairBatch(ids[:, :-1], ids[:, 1:], valid_BT, source=source, source_valid_BS=valid_BS)


def log_probs(net, given):
    y_BTD, _ = net.features(given)
    return net.head.log_probs(net._read_out(y_BTD.flatten(0, 1))).unflatten(0, y_BTD.shape[:2])


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)  # float64, a few hundred operations


def stepped(net, given):
    state, outputs = net.start(given.source, given.source_valid_BS), []
    for token_B in given.inputs.unbind(1):
        log_p_BV, state = net.step(token_B, state)
        outputs.append(log_p_BV)
    return torch.stack(outputs, 1), state


@pytest.mark.parametrize("name", MODELS)
def test_contract(name):
    check_encoder_decoder(lambda: MODELS[name](D), D)


def test_step_by_step_equals_teacher_forcing(net):
    given = batch()
    close(stepped(net, given)[0], log_probs(net, given))
    loss = -log_probs(net, given).gather(2, given.targets.unsqueeze(2)).squeeze(2)[given.valid_BT].sum()
    close(net(given)[0], loss)


def test_the_state_is_batch_first_and_can_be_reordered(net):
    given, order = batch(), torch.tensor([2, 0, 1])
    _, state = stepped(net, given)
    tree_map(lambda tensor: (tensor.shape[0] == 3) or pytest.fail(f"{tensor.shape}"), state)
    token_B = torch.tensor([5, 6, 7])
    expected, after = net.step(token_B, state)
    found, reordered = net.step(token_B[order], tree_map(lambda tensor: tensor[order], state))
    close(found, expected[order])
    tree_zip(lambda pair: close(pair[0], pair[1][order]), [reordered, after])


def test_padding_changes_nothing(net):
    given, padded = batch(), batch(padding=4)
    expected = log_probs(net, given)
    close(log_probs(net, padded), expected)
    close(stepped(net, padded)[0], expected)


def test_causal_and_the_source_matters(net):
    given, changed = batch(), batch()
    changed.inputs[:, 4:] = 3
    before, after = log_probs(net, given), log_probs(net, changed)
    close(before[:, :4], after[:, :4])
    assert (before[:, 4:] - after[:, 4:]).abs().max() > 1e-6
    changed = batch()
    changed.source[:, 0] = 3
    difference = (log_probs(net, changed) - before).abs().amax((1, 2))
    assert (difference > 1e-7).all()


@pytest.mark.parametrize(
    "net", [pytest.param(name, marks=[pytest.mark.slow] * (name == "deq")) for name in MODELS], indirect=True
)
def test_the_loss_falls(net):
    net, given = net.float().train(), batch()
    optimizer, losses = torch.optim.Adam(net.parameters(), lr=0.01), []
    for _ in range(60):
        optimizer.zero_grad()
        loss, _, aux = net(given)
        (loss / given.count() + (0 if aux is None else aux)).backward()
        optimizer.step()
        losses.append(float(loss.detach()) / given.count())
    assert losses[-1] < losses[0] - 0.5


@pytest.mark.parametrize("name", MODELS)
def test_autocast(name):
    """Within six times what rounding the weights to bfloat16, once, changes in float64: see test_contract.py."""
    net, given = network(name), batch()
    with torch.no_grad():
        expected = log_probs(net, given)
        noise = (log_probs(copy.deepcopy(net).bfloat16().double(), given) - expected).norm()
    net = net.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        whole = log_probs(net, given)
        stepwise, _ = stepped(net, given)
        loss = net(given)[0]
    assert noise < 0.01 * (expected - expected.mean(-1, keepdim=True)).norm()  # without what all words share, ln V
    for log_p_BTV in (whole, stepwise):
        assert (log_p_BTV.detach().double() - expected).norm() < 6 * noise
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


def test_one_embedding_for_all_is_counted_once():
    own = network("transformer")
    shared = network("transformer", shared_embedding=True, tied=True)
    assert count_parameters(own)["total"] - count_parameters(shared)["total"] == 2 * V * D
    assert shared.source_embedding.weight is shared.head.linear.weight


def test_group_rates_of_encoder_and_decoder():
    groups = network("scornn").parameter_groups()
    assert len(groups["recurrent"].parameters) == 3 and groups["recurrent"].lr_scale == 0.1
    mixed = network("scornn-to-lstm")
    found = {name: (len(group.parameters), group.lr_scale) for name, group in mixed.parameter_groups().items()}
    assert found == {"recurrent": (2, 0.1), "decoder_recurrent": (1, 1.0)}
    both = sum(parameter.numel() for group in mixed.parameter_groups().values() for parameter in group.parameters)
    assert count_parameters(mixed)["recurrent"] == both


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"d_embed": 8}, "embedding.d_embed is the model's width: 6, not 8"),
    ],
)
def test_mistakes(change, said, monkeypatch):
    monkeypatch.setitem(
        MODELS, "narrow", lambda d_input: TranslationTransformer(d_input, 6, n_heads=2, n_layers=1, d_inner=12)
    )
    with pytest.raises(ValueError, match=said):
        network("narrow", **change)
