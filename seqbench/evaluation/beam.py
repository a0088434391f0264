"""Translation by beam search, scored by sacreBLEU (penalties: Wu et al. 2016, arXiv 1609.08144).

Of a sentence's `beam_width` hypotheses each is continued by every token; the best continuations live on, and those
among them that end in </s> are set aside with the score (Wu et al. 2016, arXiv 1609.08144)

    s(Y) = log P(Y | X) / lp(Y) + cp(Y),    lp(Y) = ((5 + |Y|) / 6)^alpha, or |Y|^alpha        </s> counts
    cp(Y) = beta sum_i log min(sum_j p_ij, 1)        p_ij: attention of target position j to source position i

Sentences of a batch do not influence each other: each stops by itself.

Shapes: B sentences, K hypotheses of each, V tokens, L tokens of a hypothesis, S source positions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import torch
from torch import Tensor

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Evaluation, Findings
from seqbench.contracts.learner import Learner
from seqbench.contracts.pytree import State, tree_map
from seqbench.contracts.ranges import Between, Count, NotNegative
from seqbench.contracts.task import Sums, Task
from seqbench.evaluation.bleu import scores, signatures, statistics
from seqbench.evaluation.protocols import Sentences, require
from seqbench.learners.seq2seq import PairBatch, Seq2Seq

FORMS = ("gnmt", "power")
_SPARSE = 0.75  # share of unfinished sentences below which the finished ones are taken out of the batch


class Beam(Evaluation):
    """`length_penalty` is alpha in the `length_form` gnmt or power, `coverage_penalty` beta. A translation has at most
    `length_ratio` times its source's pieces and `length_extra` more. A sentence is done once `beam_width` hypotheses
    have ended (`stop_early`), or once no other can become better. Each batch's nll is that of plain evaluation."""

    category = "beam"
    splits = ("valid", "test")  # whose sentences are kept as text
    context = "the source, and what it has said itself"
    memory = "none"

    def __init__(
        self,
        beam_width: Count,
        length_penalty: NotNegative = 0.6,
        length_form: str = "gnmt",
        coverage_penalty: NotNegative = 0.0,
        length_ratio: Annotated[float, Between(0, 1000)] = 1.0,
        length_extra: Count = 50,
        stop_early: bool = True,
        batch_size: Count = 64,
    ):
        if beam_width < 1 or batch_size < 1 or length_extra < 1:
            raise ValueError("beam_width, batch_size and length_extra are at least 1")
        if length_form not in FORMS:
            raise ValueError(f"length_form is one of {', '.join(FORMS)}, not {length_form!r}")
        if length_penalty < 0 or coverage_penalty < 0:
            raise ValueError("length_penalty and coverage_penalty are at least 0")
        if not 0 <= length_ratio <= 1000:
            raise ValueError(f"length_ratio is at least 0 and at most 1,000, not {length_ratio}")
        self.beam_width, self.batch_size, self.stop_early = beam_width, batch_size, stop_early
        self.length_penalty, self.length_form, self.coverage_penalty = length_penalty, length_form, coverage_penalty
        self.length_ratio, self.length_extra = length_ratio, length_extra

    @torch.no_grad()
    def __call__(self, task: Task, learner: Learner, batches: Iterable[Batch]) -> Findings:
        text = require(task, Sentences, "beam", "translation")
        assert isinstance(learner, Seq2Seq)
        translations: dict[int, str] = {}  # by the number of the pair
        nll, n_targets = 0.0, 0
        for batch in batches:
            assert isinstance(batch, PairBatch) and batch.rows_B is not None
            loss_sum, _, _ = learner(batch)
            nll, n_targets = nll + loss_sum.double(), n_targets + batch.count()
            for part in torch.arange(batch.size, device=batch.source.device).split(self.batch_size):
                hypotheses = self.search(learner, batch.source[part], batch.source_valid_BS[part])
                best = [ended[0][0] if ended else [] for ended in hypotheses]  # none: not one number was finite
                translations |= dict(zip(batch.rows_B[part].tolist(), text.detokenize(best), strict=True))
        references = text.sentences(translations, "target")
        counts = statistics(list(translations.values()), references, text.tokenized)
        sums: Sums = {"nll": (float(nll), n_targets), **counts}
        return Findings(sums, {"signatures": signatures(text.tokenized)}, {"translations": translations})

    def metrics(self, task: Task, sums: Sums) -> dict[str, float]:
        """The task's, of the references' pieces, and the scores of the translations."""
        text = require(task, Sentences, "beam", "translation")
        return task.metrics({"nll": sums["nll"]}) | scores(sums, text.tokenized)

    def search(self, network: Seq2Seq, source_BS: Tensor, valid_BS: Tensor) -> list[list[tuple[list[int], float]]]:
        """Each sentence's hypotheses that have ended, best first, at most `beam_width`: ids without </s>, and score."""
        limit_B = (self.length_ratio * valid_BS.sum(1)).long() + self.length_extra
        live = _Live(network, source_BS, valid_BS, self.beam_width, limit_B)
        found: list[list[tuple[list[int], float]]] = [[] for _ in source_BS]
        while len(live.sentence_B):
            ended_BK = live.advance(self._scores)
            best_B = live.score_BK[:, 0]
            kept_B = torch.where(live.done_BK[:, -1].isinf(), -torch.inf, live.done_BK[:, -1])
            hopeful_B = best_B / self._length(live.limit_B) > kept_B  # log P falls, and no penalty is below this
            if self.stop_early:
                hopeful_B = hopeful_B & (ended_BK < self.beam_width)
            live.open_B &= hopeful_B & best_B.isfinite()
            if live.open_B.float().mean() < _SPARSE:
                for sentence, hypotheses in live.take_closed():
                    found[sentence] = hypotheses
        return found

    def _length(self, length: Tensor | int) -> Tensor:
        length = torch.as_tensor(length, dtype=torch.float64)
        return ((5 + length) / 6 if self.length_form == "gnmt" else length) ** self.length_penalty

    def _scores(self, log_p_BK: Tensor, length: int, coverage_BKS: Tensor, valid_BS: Tensor) -> Tensor:
        score_BK = log_p_BK / self._length(length).to(log_p_BK.device)
        if self.coverage_penalty:
            log_BKS = coverage_BKS.double().clamp(1e-9, 1.0).log()
            score_BK = score_BK + self.coverage_penalty * log_BKS.masked_fill(~valid_BS[:, None], 0.0).sum(-1)
        return score_BK


class _Live:
    """The hypotheses of the sentences that are still translated, K each, and the best that have ended."""

    def __init__(self, network: Seq2Seq, source_BS: Tensor, valid_BS: Tensor, width: int, limit_B: Tensor):
        n_sentences, device = len(source_BS), source_BS.device
        self.network, self.width, self.tokens = network, width, network.inputs
        self.sentence_B = torch.arange(n_sentences, device=device)
        self.valid_BS, self.limit_B = valid_BS, limit_B
        self.open_B = torch.ones(n_sentences, dtype=torch.bool, device=device)
        self.state: State = tree_map(
            lambda tensor: tensor.repeat_interleave(width, 0), network.start(source_BS, valid_BS)
        )
        self.ids_BKL = torch.full((n_sentences, width, 1), self.tokens.bos, device=device)
        self.score_BK = torch.full((n_sentences, width), -torch.inf, dtype=torch.float64, device=device)
        self.score_BK[:, 0] = 0.0  # at first the hypotheses are all the same: one stands for all
        self.done_BK = torch.full_like(self.score_BK, -torch.inf)
        self.done_ids_BKL = self.ids_BKL.clone()
        self.n_ended_B = torch.zeros(n_sentences, dtype=torch.long, device=device)

    def advance(self, scores) -> Tensor:
        """One token more; how many hypotheses of each sentence have ended so far (B,)."""
        width, length = self.width, self.ids_BKL.shape[2]
        log_p_NV, self.state = self.network.step(self.ids_BKL[:, :, -1].flatten(), self.state)
        top_BJ, origin_BJ, token_BJ = self._best(log_p_NV, length)
        ids_BJL = torch.cat([_rows(self.ids_BKL, origin_BJ), token_BJ.unsqueeze(2)], 2)
        ends_BJ = (token_BJ == self.tokens.eos) & top_BJ.isfinite() & self.open_B[:, None]
        ends_BJ[:, width:] = False  # a hypothesis ends where its end is among the best
        coverage_BKS = self.state["target"]["coverage"].unflatten(0, (-1, width))
        ended_BJ = scores(top_BJ, length, _rows(coverage_BKS, origin_BJ), self.valid_BS)
        self._set_aside(ended_BJ.masked_fill(~ends_BJ, -torch.inf), ids_BJL)
        self.n_ended_B += ends_BJ.sum(1)
        # at most `width` of twice as many end, so enough go on
        going_BJ = top_BJ.masked_fill(token_BJ == self.tokens.eos, -torch.inf)
        self.score_BK, which_BK = going_BJ.sort(dim=1, descending=True, stable=True)
        self.score_BK, which_BK = self.score_BK[:, :width], which_BK[:, :width]
        self.ids_BKL = _rows(ids_BJL, which_BK)
        first_B1 = torch.arange(len(which_BK), device=which_BK.device)[:, None] * width
        order_N = (first_B1 + origin_BJ.gather(1, which_BK)).flatten()
        target = tree_map(lambda tensor: tensor.index_select(0, order_N), self.state["target"])
        self.state = {"source": self.state["source"], "target": target}  # the source is that of all of a sentence's
        return self.n_ended_B

    def take_closed(self) -> list[tuple[int, list[tuple[list[int], float]]]]:
        """Takes out the sentences that are done: (number, hypotheses best first) of each."""
        closed = []
        for place in (~self.open_B).nonzero().flatten().tolist():
            ids, done = self.done_ids_BKL[place].tolist(), self.done_BK[place].tolist()
            ended = [(one, score) for one, score in zip(ids, done, strict=True) if score > -torch.inf]
            sentences = [(ids[1 : ids.index(self.tokens.eos)], score) for ids, score in ended]
            closed.append((int(self.sentence_B[place]), sentences))
        kept_B = self.open_B.nonzero().flatten()
        kept_N = (kept_B[:, None] * self.width + torch.arange(self.width, device=kept_B.device)).flatten()
        self.state = tree_map(lambda tensor: tensor.index_select(0, kept_N), self.state)
        self.sentence_B, self.valid_BS, self.limit_B = (
            self.sentence_B[kept_B],
            self.valid_BS[kept_B],
            self.limit_B[kept_B],
        )
        self.open_B, self.n_ended_B = self.open_B[kept_B], self.n_ended_B[kept_B]
        self.ids_BKL, self.done_ids_BKL = self.ids_BKL[kept_B], self.done_ids_BKL[kept_B]
        self.score_BK, self.done_BK = self.score_BK[kept_B], self.done_BK[kept_B]
        return closed

    def _best(self, log_p_NV: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor]:
        """Each sentence's 2 K best continuations, no <pad>, no <s>, and at the limit none but </s>: log-probability,
        hypothesis and token, (B, 2 K) each. They are among the 2 K best of each hypothesis."""
        log_p_NV[:, self.tokens.pad] = log_p_NV[:, self.tokens.bos] = -torch.inf
        n_best = min(2 * self.width, log_p_NV.shape[1])
        top_Nj, token_Nj = log_p_NV.topk(n_best)
        end_B = self.limit_B == length
        if end_B.any():
            last_N = end_B.repeat_interleave(self.width)
            top_Nj[last_N], token_Nj[last_N] = -torch.inf, self.tokens.eos
            top_Nj[last_N, 0] = log_p_NV[last_N, self.tokens.eos]
        total_BM = (self.score_BK.unsqueeze(2) + top_Nj.unflatten(0, (-1, self.width))).flatten(1)
        top_BJ, place_BJ = total_BM.sort(dim=1, descending=True, stable=True)
        top_BJ, place_BJ = top_BJ[:, : 2 * self.width], place_BJ[:, : 2 * self.width]
        return top_BJ, place_BJ // n_best, token_Nj.reshape(total_BM.shape).gather(1, place_BJ)

    def _set_aside(self, ended_BJ: Tensor, ids_BJL: Tensor) -> None:
        """Keeps the best that have ended, of those before and these."""
        before_BKL = torch.nn.functional.pad(self.done_ids_BKL, (0, ids_BJL.shape[2] - self.done_ids_BKL.shape[2]))
        both_BM, all_ids_BML = torch.cat([self.done_BK, ended_BJ], 1), torch.cat([before_BKL, ids_BJL], 1)
        ranked_BM, which_BM = both_BM.sort(dim=1, descending=True, stable=True)
        self.done_BK = ranked_BM[:, : self.width]
        self.done_ids_BKL = _rows(all_ids_BML, which_BM[:, : self.width])


def _rows(x_BKL: Tensor, index_BJ: Tensor) -> Tensor:
    """(B, J, L): row index[b, j] of each x[b]."""
    return x_BKL.gather(1, index_BJ.unsqueeze(2).expand(-1, -1, x_BKL.shape[2]))
