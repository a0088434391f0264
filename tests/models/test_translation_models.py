"""The translation models against their equations, written out anew, and the published sizes."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seqbench.config.compose import composed
from seqbench.contracts.inputs_outputs import Outputs
from seqbench.contracts.learner import count_parameters
from seqbench.contracts.task import Task
from seqbench.engine.assemble import assemble_learner
from seqbench.learners.seq2seq import PairBatch, PairInputs
from seqbench.models.cells.attention.source import Attention, reversed_within
from seqbench.models.translation.convs2s import ConvS2S
from seqbench.models.translation.gnmt import GNMT
from seqbench.models.translation.translation_transformer import TranslationTransformer, positions

B, S, T, D = 2, 5, 4, 8
VALID = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


def copied(ours, theirs):
    """Our attention's weights in torch's."""
    theirs.in_proj_weight.data = torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]).detach()
    theirs.in_proj_bias.data = torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]).detach()
    theirs.out_proj.load_state_dict(ours.output.state_dict())


@pytest.mark.parametrize("pre", [False, True])
def test_transformer_is_torchs(pre):
    torch.manual_seed(0)
    ours = TranslationTransformer(D, D, n_heads=2, n_layers=2, d_inner=12, dropout=0.0, pre_norm=pre).double()
    for parameter in ours.parameters():
        nn.init.normal_(parameter, 0.0, 0.5)
    settings = {"nhead": 2, "dim_feedforward": 12, "dropout": 0.0, "batch_first": True, "norm_first": pre}
    x_BSD, y_BTD = draw(B, S, D), draw(B, T, D)
    memory = math.sqrt(D) * x_BSD + positions(0, S, D, x_BSD.device)
    for layer in ours.encoder:
        theirs = nn.TransformerEncoderLayer(D, **settings).double()
        copied(layer.to_self, theirs.self_attn)
        for name, one in zip(
            ("linear1", "linear2", "norm1", "norm2"), (layer.wide, layer.narrow, *layer.norms), strict=True
        ):
            getattr(theirs, name).load_state_dict(one.state_dict())
        memory = theirs(memory, src_key_padding_mask=~VALID)
    memory = ours.encoder_norm(memory)
    z = math.sqrt(D) * y_BTD + positions(0, T, D, x_BSD.device)
    for layer in ours.decoder:
        theirs = nn.TransformerDecoderLayer(D, **settings).double()
        copied(layer.to_self, theirs.self_attn)
        copied(layer.to_source, theirs.multihead_attn)
        parts = (layer.wide, layer.narrow, *layer.norms)
        for name, one in zip(("linear1", "linear2", "norm1", "norm2", "norm3"), parts, strict=True):
            getattr(theirs, name).load_state_dict(one.state_dict())
        causal = nn.Transformer.generate_square_subsequent_mask(T, dtype=torch.float64)
        z = theirs(z, memory, tgt_mask=causal, memory_key_padding_mask=~VALID)
    found, _, _ = ours.decode(y_BTD, ours.encode(x_BSD, VALID)[0])
    close(found, ours.decoder_norm(z))


def test_sinusoids_are_the_papers():
    found = positions(3, 2, 6, torch.device("cpu"))
    for row, place in enumerate((3, 4)):
        for i in range(3):
            angle = place / 10_000 ** (2 * i / 6)
            close(found[row, 2 * i : 2 * i + 2], torch.tensor([math.sin(angle), math.cos(angle)], dtype=torch.float64))


def test_attention_scores():
    torch.manual_seed(0)
    query, memory = draw(B, T, 3), draw(B, S, 3)
    for kind in ("additive", "general", "dot"):
        attention = Attention(3, 3, kind, 4).double()
        context, weight = attention(query, attention.remember(memory, VALID))
        for b, n in ((0, 5), (1, 3)):
            for t in range(T):
                scores = []
                for s in range(n):
                    q, k = query[b, t], memory[b, s]
                    if kind == "additive":
                        inner = attention.query.weight @ q + attention.query.bias + attention.key.weight @ k
                        scores.append(attention.score.weight[0] @ inner.tanh())
                    else:
                        scores.append(q @ (attention.key.weight @ k if kind == "general" else k))
                expected = torch.stack(scores).softmax(0)
                close(weight[b, t, :n], expected)
                close(context[b, t], expected @ memory[b, :n])


def test_reversed_within():
    x = torch.arange(10.0).view(2, 5, 1)
    assert reversed_within(x, VALID).squeeze(2).tolist() == [[4, 3, 2, 1, 0], [7, 6, 5, 8, 9]]


def test_convs2s_is_its_equations():
    torch.manual_seed(0)
    model = ConvS2S(D, [[6, 3], [4, 5]], [[6, 3], [6, 2]], d_hidden=5, dropout=0.0, max_positions=9).double()
    x_BSD, y_BTD = draw(B, S, D), draw(B, T, D)
    found, _, _ = model.decode(y_BTD, model.encode(x_BSD, VALID)[0])
    half = math.sqrt(0.5)
    for b, n in ((0, 5), (1, 3)):
        e_SD = x_BSD[b, :n] + model.positions[0].weight[:n]
        x = model.first[0](e_SD)
        for layer, kernel in ((model.encoder[0], 3), (model.encoder[1], 5)):
            wide = F.pad(x, (0, 0, kernel // 2, kernel // 2))
            windows = torch.stack([wide[i : i + kernel] for i in range(n)])  # (n, k, C)
            both = torch.einsum("nkc,ock->no", windows, layer.convolution.weight) + layer.convolution.bias
            channels = both.shape[1] // 2
            x = (both[:, :channels] * both[:, channels:].sigmoid() + layer.project(x)) * half
        z_SD = model.encoder_output(x)
        g_TD = y_BTD[b] + model.positions[1].weight[:T]
        h = model.first[1](g_TD)
        for layer, kernel, query, context in zip(model.decoder, (3, 2), model.queries, model.contexts, strict=True):
            wide = F.pad(h, (0, 0, kernel - 1, 0))
            windows = torch.stack([wide[i : i + kernel] for i in range(T)])
            both = torch.einsum("nkc,ock->no", windows, layer.convolution.weight) + layer.convolution.bias
            channels = both.shape[1] // 2
            out = both[:, :channels] * both[:, channels:].sigmoid()
            weights = ((query(out) + g_TD) * half @ z_SD.T).softmax(1)
            c = weights @ ((z_SD + e_SD) * half) * math.sqrt(n)
            h = ((context(c) + out) * half + layer.project(h)) * half
        close(found[b], model.output(h))


def test_convs2s_begins_with_fairseqs_scales():
    torch.manual_seed(0)
    model = ConvS2S(300, [[400, 3], [500, 1]], [[400, 3]], d_hidden=300, dropout=0.2)
    dropped = [model.first[0], model.first[1]]
    others = [model.encoder_output, model.queries[0], model.contexts[0], model.output, model.encoder[1].project]
    scaled = [layer.weight.var().item() * layer.weight[0].numel() for layer in (*dropped, *others)]
    assert scaled == pytest.approx([0.8] * 2 + [1.0] * 5, rel=0.05)
    gate = model.decoder[0].convolution.weight
    assert gate.var().item() * gate[0].numel() == pytest.approx(4 * 0.8, rel=0.05)


def test_convs2s_scales_the_encoders_gradient():
    """By 1 / (2 layers of the decoder), as the authors' code does."""
    torch.manual_seed(0)
    model = ConvS2S(D, [[6, 3]], [[6, 3], [6, 2]], d_hidden=5, dropout=0.0).double()
    memory, _ = model.encode(draw(B, S, D), VALID)
    bias = model.encoder_output.bias  # added to every key, and to every value over sqrt(2)
    (found,) = torch.autograd.grad(memory["keys"].sum() + memory["values"].sum(), bias)
    close(found, torch.full_like(found, B * S * (1 + math.sqrt(0.5)) / 4))


def test_gnmt_is_its_equations():
    torch.manual_seed(0)
    model = GNMT(D, 6, n_layers=4, d_attention=3, dropout=0.0, init_range=0.5).double()
    x_BSD, y_BTD = draw(B, S, D), draw(B, T, D)
    found, _, _ = model.decode(y_BTD, model.encode(x_BSD, VALID)[0])
    for b, n in ((0, 5), (1, 3)):
        x = x_BSD[b : b + 1, :n]
        ahead, back = model.encoder[0](x)[0], model.backward_layer(x.flip(1))[0].flip(1)
        h = model.encoder[1](torch.cat([ahead, back], 2))[0]
        for layer in list(model.encoder)[2:]:
            h = layer(h)[0] + h
        memory = model.attention.remember(h, torch.ones(1, n, dtype=torch.bool))
        bottom, contexts, state = [], [], None
        before = torch.zeros(1, 1, 6, dtype=torch.float64)
        for t in range(T):
            context, _ = model.attention(before, memory)
            before, state = model.bottom(torch.cat([y_BTD[b : b + 1, t : t + 1], context], 2), state)
            bottom.append(before)
            contexts.append(context)
        z, contexts = torch.cat(bottom, 1), torch.cat(contexts, 1)
        for index, layer in enumerate(model.upper):
            y = layer(torch.cat([z, contexts], 2))[0]
            z = y + z if index + 2 >= 3 else y  # the layer's number from the bottom
        close(found[b : b + 1], z)


def size_of(experiment, device="meta"):
    config, task = composed([f"experiment={experiment}"]), Task()
    n = config.task["vocabulary_size"]
    task.inputs = PairInputs(n_tokens=n, n_source_tokens=n, shared_vocabulary=True)
    task.outputs = Outputs("classes", n)
    with torch.device(device):
        network = assemble_learner(config, task)
    return network, count_parameters(network)["total"]


@pytest.mark.parametrize(("experiment", "published"), [("transformer_base", 65e6), ("gnmt", 278e6)])
def test_sizes_are_the_papers(experiment, published):
    assert abs(size_of(f"wmt14_ende/{experiment}")[1] / published - 1) < 0.01


def test_the_transformers_tensors():
    assert len(list(size_of("wmt14_ende/transformer_base")[0].parameters())) == 253


def test_convs2s_has_the_size_of_fairseqs_layers():
    """No size is published; this one is counted from fairseq's fconv_wmt_en_de, weight norm's lengths apart."""
    layers, d, n, hidden = [(512, 3)] * 9 + [(1024, 3)] * 4 + [(2048, 1)] * 2, 768, 40_000, 512
    linear = lambda before, after: before * after + after
    stack = linear(d, 512)
    before = 512
    for channels, kernel in layers:
        stack += kernel * before * 2 * channels + 2 * channels
        stack += linear(before, channels) if before != channels else 0
        before = channels
    attention = sum(linear(channels, d) + linear(d, channels) for channels, _ in layers)
    expected = 2 * stack + attention + linear(2048, d) + linear(2048, hidden) + linear(hidden, n) + 2 * (n + 1024) * d
    assert abs(size_of("wmt14_ende/convs2s")[1] / expected - 1) < 0.001


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["transformer_base", "convs2s", "gnmt"])
def test_a_step_at_the_published_size_learns(experiment):
    torch.manual_seed(0)
    network, _ = size_of(f"wmt14_ende/{experiment}", device="cpu")
    source, ids, valid = torch.randint(4, 30_000, (8, 25)), torch.randint(4, 30_000, (8, 31)), torch.ones(8, 30).bool()
    batch = PairBatch(ids[:, :-1], ids[:, 1:], valid, source=source, source_valid_BS=torch.ones(8, 25).bool())
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    before = network.eval()(batch)[0]
    network.train()(batch)[0].backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())
    optimizer.step()
    after = network.eval()(batch)[0]
    assert after < before < 25 * valid.sum()
