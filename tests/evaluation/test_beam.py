"""Beam search: equal to trying everything on small cases, the same for one sentence and for many, and quicker so."""

import itertools
import math
import time

import pytest
import torch
from torch import nn

from seqbench.embeddings.learned import LearnedEmbedding
from seqbench.errors import UserError
from seqbench.evaluation.beam import Beam
from seqbench.heads.softmax import Softmax
from seqbench.learners.seq2seq import PairInputs, Seq2Seq
from seqbench.models.recurrent.gru import GRU
from seqbench.models.translation.rnn_attention import RNNAttention
from seqbench.models.translation.translation_transformer import TranslationTransformer

PAD, BOS, EOS = 0, 1, 2
SETTINGS = {
    "plain": {"length_penalty": 0.0},
    "gnmt": {"length_penalty": 0.6},
    "average": {"length_penalty": 1.0, "length_form": "power"},
    "coverage": {"length_penalty": 0.2, "coverage_penalty": 0.4},
}
PRUNED = {**SETTINGS, "long": {"length_penalty": 3.0}}  # a long one may yet win, though all are less likely


def network(n_tokens, kind="gru", d=8) -> Seq2Seq:
    torch.manual_seed(3)
    io = PairInputs(n_tokens=n_tokens, n_source_tokens=n_tokens, shared_vocabulary=True)
    tables = [LearnedEmbedding(n_tokens, d, None) for _ in range(2)]
    if kind == "gru":
        backbone = RNNAttention(d, lambda d_input: GRU(d_input, 6), lambda d_input: GRU(d_input, 6), d_attention=4)
    else:
        backbone = TranslationTransformer(d, d, n_heads=2, n_layers=2, d_inner=4 * d, dropout=0.0)
    return Seq2Seq(*tables, backbone, Softmax(backbone.d_output, n_tokens, init_range=2.0), io).double().eval()


def sources(lengths, n_tokens):
    draw = torch.Generator().manual_seed(5)
    valid_BS = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    source_BS = torch.randint(3, n_tokens, valid_BS.shape, generator=draw).masked_fill(~valid_BS, PAD)
    source_BS[torch.arange(len(lengths)), torch.tensor(lengths) - 1] = EOS
    return source_BS, valid_BS


def tried(net, source_B, limit, beam, alpha, form, beta):
    """Every sequence of at most `limit` tokens with </s>, scored one by one; best first."""
    found = []
    valid = torch.ones(1, len(source_B), dtype=torch.bool)
    n_tokens = net.inputs.n_tokens
    for length in range(1, limit + 1):
        for ids in itertools.product(range(3, n_tokens), repeat=length - 1):
            state, log_p = net.start(source_B[None], valid), 0.0
            for before, token in zip((BOS, *ids), (*ids, EOS), strict=True):
                log_p_1V, state = net.step(torch.tensor([before]), state)
                log_p += float(log_p_1V[0, token])
            lp = ((5 + length) / 6) ** alpha if form == "gnmt" else length**alpha
            attention = state["target"]["coverage"][0].clamp(max=1.0)
            found.append((log_p / lp + beta * float(attention.log().sum()), list(ids)))
    return sorted(found, reverse=True)[:beam]


@pytest.mark.parametrize("kind", ["gru", "transformer"])
@pytest.mark.parametrize("name", SETTINGS)
def test_equals_trying_everything(name, kind):
    net, settings = network(6, kind), SETTINGS[name]
    source_BS, valid_BS = sources([4, 2], 6)
    # 3 tokens and </s>, at most 4 long: 1 + 3 + 9 + 27 sequences, all of which fit into the beam
    beam = Beam(40, length_ratio=0.0, length_extra=4, stop_early=False, **settings)
    with torch.no_grad():
        found = beam.search(net, source_BS, valid_BS)
        for row, length in enumerate([4, 2]):
            alpha, form = settings["length_penalty"], settings.get("length_form", "gnmt")
            best = tried(net, source_BS[row, :length], 4, 40, alpha, form, settings.get("coverage_penalty", 0.0))
            assert len(found[row]) == 40
            for (ids, score), (expected_score, expected) in zip(found[row], best, strict=True):
                assert ids == expected and math.isclose(score, expected_score, rel_tol=1e-9)


def pruned(net, source_B, limit, width, early, alpha, form, beta):
    """Beam search of one sentence, a hypothesis at a time. It stops once `width` have ended, or, unless `early`, never
    before the limit."""
    live, done = [(0.0, [BOS], net.start(source_B[None], torch.ones(1, len(source_B), dtype=torch.bool)))], []
    for length in range(1, limit + 1):
        grown = []
        for log_p, ids, before in live:
            log_p_1V, state = net.step(torch.tensor([ids[-1]]), before)
            tokens = [EOS] if length == limit else range(EOS, net.inputs.n_tokens)
            grown += [(log_p + float(log_p_1V[0, token]), [*ids, token], state) for token in tokens]
        grown.sort(key=lambda one: -one[0])
        lp = ((5 + length) / 6) ** alpha if form == "gnmt" else length**alpha
        for log_p, ids, state in grown[:width]:
            if ids[-1] == EOS:
                seen = state["target"]["coverage"][0].clamp(1e-9, 1.0).log().sum()
                done.append((log_p / lp + beta * float(seen), ids[1:-1]))
        live = [one for one in grown[: 2 * width] if one[1][-1] != EOS][:width]
        if early and len(done) >= width:
            break
    return sorted(done, key=lambda one: -one[0])[:width]


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("name", PRUNED)
@pytest.mark.parametrize("width", [2, 4])
def test_prunes_and_stops_as_one_hypothesis_at_a_time_does(name, width, early):
    net, settings, lengths = network(9), PRUNED[name], [5, 2, 7]
    source_BS, valid_BS = sources(lengths, 9)
    alpha, form = settings["length_penalty"], settings.get("length_form", "gnmt")
    beam = Beam(width, length_extra=4, stop_early=early, **settings)
    with torch.no_grad():
        for seed in range(4):
            torch.manual_seed(seed)
            for parameter in net.parameters():
                nn.init.normal_(parameter, 0.0, 0.6)
            for row, found in enumerate(beam.search(net, source_BS, valid_BS)):
                n, beta = lengths[row], settings.get("coverage_penalty", 0.0)
                expected = pruned(net, source_BS[row, :n], n + 4, width, early, alpha, form, beta)
                assert [ids for ids, _ in found] == [ids for _, ids in expected]
                assert [score for _, score in found] == pytest.approx([score for score, _ in expected])


def test_width_one_is_greedy():
    net = network(9)
    source_BS, valid_BS = sources([5], 9)
    ids, state, token = [], net.start(source_BS, valid_BS), torch.tensor([BOS])
    with torch.no_grad():
        for _ in range(30):
            log_p_1V, state = net.step(token, state)
            log_p_1V[:, [PAD, BOS]] = -torch.inf
            token = log_p_1V.argmax(1)
            if int(token) == EOS:
                break
            ids.append(int(token))
        (hypotheses,) = Beam(1, length_penalty=0.0, length_ratio=0.0, length_extra=31).search(net, source_BS, valid_BS)
    assert len(hypotheses) == 1
    assert hypotheses[0][0] == ids


@pytest.mark.parametrize("stop_early", [True, False])
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("kind", ["gru", "transformer"])
def test_a_sentence_is_translated_alike_alone_and_among_others(name, kind, stop_early):
    net = network(12, kind)
    lengths = [7, 1, 3, 9, 2, 5, 5, 8]
    source_BS, valid_BS = sources(lengths, 12)
    beam = Beam(4, length_extra=6, stop_early=stop_early, **SETTINGS[name])
    with torch.no_grad():
        together = beam.search(net, source_BS, valid_BS)
        for row, length in enumerate(lengths):
            (alone,) = beam.search(net, source_BS[row : row + 1, :length], valid_BS[row : row + 1, :length])
            assert [ids for ids, _ in alone] == [ids for ids, _ in together[row]]
            assert [score for _, score in alone] == pytest.approx([score for _, score in together[row]])


def test_limits_and_forbidden_tokens():
    net = network(8)
    with torch.no_grad():
        net.head.linear.bias[EOS] = -50.0  # never ends by itself
        net.head.linear.bias[PAD] = net.head.linear.bias[BOS] = 50.0
    source_BS, valid_BS = sources([6, 3], 8)
    found = Beam(3, length_ratio=0.5, length_extra=2).search(net, source_BS, valid_BS)
    assert [{len(ids) for ids, _ in one} for one in found] == [{4}, {2}]  # 3 + 2 and 1 + 2, </s> counted
    assert all(token > EOS for one in found for ids, _ in one for token in ids)
    assert [len(one) for one in found] == [3, 3]


def test_the_length_penalty_prefers_longer_translations():
    net = network(8)
    source_BS, valid_BS = sources([6] * 4, 8)
    with torch.no_grad():
        net.head.linear.bias[EOS] += 1.0
    totals = []
    for alpha in (0.0, 2.0):
        found = Beam(5, length_penalty=alpha, stop_early=False).search(net, source_BS, valid_BS)
        totals.append(sum(len(one[0][0]) for one in found))
    assert totals[0] < 10 < 40 < totals[1]


def test_batches_are_three_times_as_fast_as_sentences():
    """In processor time, which other processes leave alone: 64 times fewer steps, of small matrices, and what is done
    for each sentence is little beside them; 25 times as fast where it was written."""
    torch.set_num_threads(1)
    net = network(200, "transformer", d=32).float()
    source_BS, valid_BS = sources([8] * 64, 200)
    beam = Beam(5, length_ratio=0.0, length_extra=12)
    with torch.no_grad():
        seconds = []
        for size in (1, 64):
            start = time.process_time()
            found = [
                one
                for rows in torch.arange(64).split(size)
                for one in beam.search(net, source_BS[rows], valid_BS[rows])
            ]
            seconds.append(time.process_time() - start)
            assert len(found) == 64
    assert seconds[0] > 3 * seconds[1]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"beam_width": 0}, "beam_width, batch_size and length_extra are at least 1"),
        ({"length_form": "mean"}, "length_form is one of gnmt, power, not 'mean'"),
        ({"length_penalty": -1.0}, "length_penalty and coverage_penalty are at least 0"),
        ({"length_ratio": 1e30}, r"length_ratio is at least 0 and at most 1,000, not 1e\+30"),
    ],
)
def test_mistakes(settings, said):
    with pytest.raises(ValueError, match=said):
        Beam(**{"beam_width": 4, **settings})


def test_only_translations_are_translated():
    class Words:
        version = {"name": "words"}

    with pytest.raises(UserError, match="evaluation=beam is for translation, not for the task words"):
        Beam(2)(Words(), network(6), [])
