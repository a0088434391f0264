"""Optimizers that look inside the learner: two processes, which are threads here, do what one does."""

import threading

import pytest
import torch

from seqbench.contracts.batch import Batch
from seqbench.contracts.optimizer import StepFacts
from seqbench.contracts.peers import Alone
from seqbench.contracts.task import Sampling
from seqbench.embeddings.learned import LearnedEmbedding
from seqbench.heads.softmax import Softmax
from seqbench.learners.network import Network
from seqbench.models.recurrent.lstm import LSTM
from seqbench.optim.dp_sgd import DPSGD
from seqbench.optim.ekfac import EKFAC

N, STEPS, SEED = 7, 3, 4096


class Pair:
    """The peers of two threads."""

    def __init__(self):
        self.barrier, self.parts = threading.Barrier(2, timeout=60), {}

    def sum(self, tensor):
        self.parts[threading.get_ident()] = tensor
        self.barrier.wait()
        first, second = (part for _, part in sorted(self.parts.items()))
        self.barrier.wait()
        return first + second


def network():
    torch.manual_seed(0)
    return Network(LearnedEmbedding(6, 4, None), LSTM(4, 5), Softmax(5, 3), pool="last").double()


def batches():
    draw = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        yield Batch(torch.randint(6, (N, 4), generator=draw), torch.randint(3, (N,), generator=draw))


def ekfac(network, peers):
    settings = {"basis_every": 2, "scaling_decay": 0.5, "damping": 0.01}
    return EKFAC(network.parameters(), network, peers, lr=0.1, **settings)


def dp_sgd(network, peers):
    pytest.importorskip("dp_accounting", reason="dp-accounting is not installed (pip install 'seqbench[privacy]')")
    return DPSGD(network.parameters(), network, peers, Sampling(600, N), lr=0.1, clip=0.5, noise=0.7)


def train(network, optimizer, rows=slice(None), reduce=lambda gradient: gradient):
    """As the loop does: the loss of this process's rows over all processes' targets."""
    for step, batch in enumerate(batches()):
        network.train()
        optimizer.begin(StepFacts(step, [], N, 1 / N, SEED * step))
        optimizer.zero_grad()
        (network(batch.map(lambda tensor: tensor[rows]))[0] / N).backward()
        for weight in network.parameters():
            weight.grad = reduce(weight.grad)
        optimizer.step()


@pytest.mark.parametrize("make", [ekfac, dp_sgd])
@pytest.mark.parametrize("split", [3, 0], ids=["of unequal shares", "one without a row"])
def test_one_process_equals_two(make, split):
    alone = network()
    train(alone, make(alone, Alone()))
    gradients, factors = Pair(), Pair()
    networks = [network(), network()]

    def work(rank):
        optimizer = make(networks[rank], factors)
        reduces = getattr(type(optimizer), "reduces_gradients", False)
        rows = slice(0, split) if rank == 0 else slice(split, N)
        train(networks[rank], optimizer, rows, *([] if reduces else [gradients.sum]))

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for weight, *others in zip(alone.parameters(), *(one.parameters() for one in networks), strict=True):
        for other in others:
            torch.testing.assert_close(other, weight, rtol=1e-8, atol=1e-10)
