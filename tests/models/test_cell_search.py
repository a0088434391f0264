"""The cell search: a GRU written by hand, trees enumerated one by one, and how many candidates there are."""

import itertools
import math

import pytest
import torch
from torch import nn

from seqbench.checks.models import check_backbone
from seqbench.config.check import check
from seqbench.config.compose import composed
from seqbench.errors import ConfigError
from seqbench.models.cells.norm.layer_norm import LayerNorm
from seqbench.models.cells.norm.none import NoNorm
from seqbench.models.cells.structure.candidates import Scorer, Triples, margin_loss
from seqbench.models.cells.structure.tree import N_LEAVES, Tree, pairs
from seqbench.models.recurrent.cell_search import CellSearch

GRU_TRIPLES = (3, 3, 3, 2, 3, 3)  # reset, complement, kept, candidate, new, output
FUNCTIONS = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "1-": lambda v: 1 - v,
    "": lambda v: v,
    "relu": torch.relu,
}


class Forced(nn.Module):
    """Scores that put all weight on one candidate of each node, in the order in which the nodes are scored."""

    def __init__(self, ks):
        super().__init__()
        self.ks = itertools.cycle(ks)

    def forward(self, v_BNKH):
        scores_BNK = v_BNKH.new_zeros(v_BNKH.shape[:-1])
        for node in range(v_BNKH.shape[1]):
            scores_BNK[:, node, next(self.ks)] = 1e4
        return scores_BNK


def randomised(model, gain=0.5):
    """Weights and biases all of one size, drawn anew."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-gain, gain)
    return model


def forced_gru(hidden_size):
    torch.manual_seed(0)
    model = randomised(CellSearch(hidden_size, hidden_size, norm=NoNorm).double())
    triples = model.cell.triples
    with torch.no_grad():
        triples.left[:, 3] = triples.right[:, 3] = torch.eye(hidden_size)
        triples.bias[3] = 0
    model.cell.scorer = Forced(GRU_TRIPLES)
    return model.eval()


def test_forced_to_the_right_triples_it_is_a_gru_whose_reset_gate_acts_before_the_product():
    d = 5
    model, x_BTD = forced_gru(d), torch.randn(3, 9, d, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    left, right, bias = (value.detach() for value in model.cell.triples.parameters())
    h_BH, expected = torch.zeros(3, d, dtype=torch.float64), []
    for x_BD in x_BTD.unbind(1):
        z = torch.sigmoid(x_BD @ left[:, 0] + h_BH @ right[:, 0] + bias[0])
        r = torch.sigmoid(x_BD @ left[:, 1] + h_BH @ right[:, 1] + bias[1])
        candidate = torch.tanh(x_BD @ left[:, 2] + (r * h_BH) @ right[:, 2] + bias[2])
        h_BH = (1 - z) * candidate + z * h_BH
        expected.append(h_BH)
    y_BTD, state, aux = model(x_BTD)
    torch.testing.assert_close(y_BTD, torch.stack(expected, 1), rtol=0, atol=1e-6)
    assert aux is None and torch.equal(state, y_BTD[:, -1])
    (row, *_) = model.structure(x_BTD)
    gru = "[[1-[z + 0]3 * tanh[x + [r * h]3]2]3 + [z * h]3]3"
    assert [step.expression for step in row] == [gru] * 9
    assert row[0].choices == tuple(
        zip(
            ("reset", "complement", "kept", "candidate", "new", "output"),
            ("k3", "k3", "k3", "k2", "k3", "k3"),
            strict=True,
        )
    )


@pytest.mark.parametrize(
    ("node", "wrong"), [(node, k) for node in range(6) for k in range(4) if k != GRU_TRIPLES[node]]
)
def test_every_other_triple_is_another_cell(node, wrong):
    model, x_BTD = forced_gru(4), torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected_BTD = model(x_BTD)[0]
    model.cell.scorer = Forced([wrong if index == node else k for index, k in enumerate(GRU_TRIPLES)])
    assert (model(x_BTD)[0] - expected_BTD).abs().max() > 1e-3


def test_the_identity_triple_is_trained():
    triples = CellSearch(4, 4).cell.triples
    assert torch.equal(triples.left[:, 3], torch.eye(4)) and torch.equal(triples.right[:, 3], torch.eye(4))
    assert triples.left.requires_grad and not triples.bias.any()


@torch.no_grad()
def test_a_mixture_is_weighted_by_the_scores():
    torch.manual_seed(0)
    model = randomised(CellSearch(4, 4).double())
    v_BNKH = torch.randn(2, 1, 4, 4, dtype=torch.float64)
    scorer = model.cell.scorer
    (mixed_BH,), scores_BNK = model.cell._mixed(v_BNKH)
    for row in range(2):
        w_KH = model.cell.norm(v_BNKH[row, 0])
        scores = [float(scorer.outer.weight @ torch.relu(scorer.inner.weight @ w + scorer.inner.bias)) for w in w_KH]
        total = sum(map(math.exp, scores))
        expected = sum(math.exp(score) / total * w for score, w in zip(scores, w_KH, strict=True))
        assert scores_BNK[row, 0].tolist() == pytest.approx(scores)
        torch.testing.assert_close(mixed_BH[row], expected)


def test_the_margin_loss():
    scores = torch.tensor([[[3.0, 2.5, -1.0]], [[0.0, 5.0, 1.0]]])
    assert float(margin_loss(scores, margin=2.0)) == pytest.approx((1.5 / 2 + 0) / 2)


@pytest.mark.parametrize("search", ["merged", "tree"])
def test_aux_is_summed_over_nodes_and_averaged_over_rows_and_steps(search):
    torch.manual_seed(0)
    model = randomised(CellSearch(4, 4, search, margin=0.7, margin_weight=0.3).double())
    x_BTD = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    total, n_nodes = 0.0, 0
    for row in range(2):
        h = None
        for t in range(3):
            _, h, scores = model._run(x_BTD[row : row + 1, t : t + 1], h, keeps_scores=True)
            for values in (part[0, 0, node] for part in scores for node in range(part.shape[2])):
                second, best = sorted(values.tolist())[-2:]
                total += max(0.0, 0.7 - (best - second)) / 0.7
                n_nodes += 1
    assert n_nodes == 6 * {"merged": 6, "tree": 9}[search]
    assert model(x_BTD)[2].item() == pytest.approx(0.3 * total / 6)
    model.margin_weight = 0.0
    assert model(x_BTD)[2] is None


def small_tree(d=2, n_nodes=3):
    torch.manual_seed(3)
    tree = Tree(Triples(d), LayerNorm(d), Scorer(d, 5), n_nodes)
    return randomised(tree.double(), gain=1.0).requires_grad_(False)


def enumerated(tree, at_hand, node, n_open):
    """One row's candidates of a node, one after another: (normalised vector, allowed, what it is)."""
    triples, n_left = tree.triples, tree.n_nodes - node
    n_components_needed = 2 if n_left == n_open - 1 else 1 if n_left == n_open else 0
    for i, j in itertools.combinations(range(len(at_hand)), 2):
        for k, operation in itertools.product(range(4), "+*"):
            left, right = at_hand[i] @ triples.left[:, k], at_hand[j] @ triples.right[:, k]
            v = (left + right if operation == "+" else left * right) + triples.bias[k]
            for name, function in FUNCTIONS.items():
                result = function(v)
                deviation = result - result.mean()
                normal = deviation / (deviation.square().mean() + 1e-5).sqrt() * tree.norm.weight + tree.norm.bias
                allowed = (i >= N_LEAVES) + (j >= N_LEAVES) >= n_components_needed
                allowed = allowed and (node > 1 or k == node)
                allowed = allowed and (name in ("sigmoid", "tanh") or float(v.abs().max()) <= 1)
                yield normal, allowed, (i, j, k, operation, name)


def searched(tree, x, h):
    """The search of one row, one candidate at a time: the new h and the expression."""
    components = []
    for node in range(tree.n_nodes):
        at_hand = [x, h, torch.zeros_like(x), *(vector for vector, _ in components)]
        names = ["x", "h", "0", *(name for _, name in components)]
        found = [(v, what) for v, allowed, what in enumerated(tree, at_hand, node, len(components)) if allowed]
        scores = [float(tree.scorer(v)) for v, _ in found]
        total = sum(map(math.exp, scores))
        mixed = sum(math.exp(score) / total * v for score, (v, _) in zip(scores, found, strict=True))
        i, j, k, operation, function = found[max(range(len(scores)), key=scores.__getitem__)][1]
        made = (mixed, f"{function}[{names[i]} {operation} {names[j]}]{k}")
        if j < N_LEAVES:
            components.append(made)
        elif i < N_LEAVES:
            components[j - N_LEAVES] = made
        else:
            components[i - N_LEAVES] = made
            del components[j - N_LEAVES]
    ((h, expression),) = components
    return h, expression


@pytest.mark.parametrize("n_nodes", [1, 2, 3, 5, 9])
def test_trees_are_those_of_an_enumeration(n_nodes):
    tree, draw = small_tree(n_nodes=n_nodes), torch.Generator().manual_seed(4)
    x_BH, h_BH = (torch.randn(6, 2, dtype=torch.float64, generator=draw) for _ in range(2))
    y_BH, scores = tree.step(x_BH, h_BH)
    best_BN = torch.cat([part.argmax(-1) for part in scores], -1)
    expressions = set()
    for row in range(6):
        expected_H, expression = searched(tree, x_BH[row], h_BH[row])
        torch.testing.assert_close(y_BH[row], expected_H)
        chosen = tree.chosen(best_BN[row].tolist())
        assert chosen.expression == expression
        assert len(chosen.choices) == 3 * n_nodes
        expressions.add(expression)
    assert n_nodes < 3 or len(expressions) > 1


@pytest.mark.parametrize("node", range(9))
def test_the_number_of_candidates(node):
    """40 for each pair at hand, a quarter of them at the first two nodes; and the pairs that leave one component."""
    tree = Tree(Triples(2), LayerNorm(2, affine=False), Scorer(2, 5))
    n_left = 9 - node
    for n_open in range(0 if node == 0 else 1, tree.most_open(node) + 1):
        i_P, j_P = pairs(N_LEAVES + tree.most_open(node))
        allowed = tree.allowed(node, torch.tensor([n_open]), i_P, j_P)
        n_pairs = math.comb(3 + n_open, 2)
        if n_left == n_open:
            n_pairs -= math.comb(3, 2)
        if n_left == n_open - 1:
            n_pairs = math.comb(n_open, 2)
        n_triples = 1 if node < 2 else 4
        assert int(allowed.sum()) * 2 * 5 == n_pairs * n_triples * 2 * 5 > 0
        if node >= 2 and n_left > n_open:
            assert int(allowed.sum()) * 10 == {1: 240, 2: 400, 3: 600, 4: 840}[n_open]


def test_every_tree_ends_in_one_component():
    """Whatever is taken among what is allowed."""
    tree, draw = Tree(Triples(2), LayerNorm(2, affine=False), Scorer(2, 5)), torch.Generator().manual_seed(0)
    tree.scorer.forward = lambda v: torch.randn(v.shape[:-1], generator=draw, dtype=v.dtype)
    _, scores = tree.step(torch.randn(200, 2, generator=draw), torch.randn(200, 2, generator=draw))
    best_BN = torch.cat([part.argmax(-1) for part in scores], -1)
    expressions = {tree.chosen(best).expression for best in best_BN.tolist()}
    assert len(expressions) == 200
    assert all(expression.count("[") == 9 for expression in expressions)


@pytest.mark.parametrize("search", ["merged", "tree"])
def test_contract_with_a_norm(search):
    """In bfloat16 rounding may choose another tree, and a norm enlarges it where units differ little: test_contract.py,
    which asks for autocast, has the merged search without a norm."""
    check_backbone(lambda: CellSearch(6, hidden_size=5, search=search, d_score=5), 6)


def test_rows_have_trees_of_their_own():
    torch.manual_seed(0)
    model = randomised(CellSearch(6, 4, "tree").double())
    rows = model.structure(torch.randn(3, 5, 6, dtype=torch.float64))
    assert [len(row) for row in rows] == [5, 5, 5]
    assert len({step.expression for row in rows for step in row}) > 3


def test_without_a_norm_h_is_not_bounded():
    """Which is why there is one: twice the identity at every node takes h beyond any bound."""
    torch.manual_seed(0)
    largest = []
    for norm in (NoNorm, LayerNorm):
        model = CellSearch(4, 4, norm=norm).double()
        with torch.no_grad():
            model.cell.triples.left.mul_(20)
            model.cell.triples.right.mul_(20)
        x_BTD = torch.randn(1, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        largest.append(model(x_BTD)[0].abs().max().item())
    assert largest[0] > 1e6 and largest[1] <= 3**0.5


def test_a_search_that_there_is_not():
    with pytest.raises(ConfigError, match=r"model\.search is one of merged, tree, not 'forest'"):
        check(composed(["model=cell_search", "model.search=forest"]))
