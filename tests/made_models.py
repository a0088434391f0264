"""A small one of each model, by name: what a test of all of them goes through. A new model is one more row."""

import functools

import torch

from seqbench.models.attention.transformer import Transformer
from seqbench.models.attention.weight_tied_transformer import WeightTiedTransformer
from seqbench.models.cells.equilibrium.anderson import Anderson
from seqbench.models.cells.equilibrium.broyden import Broyden
from seqbench.models.cells.equilibrium.implicit import Equilibrium
from seqbench.models.cells.equilibrium.plain import Plain
from seqbench.models.cells.norm.assorted_time_norm import AssortedTimeNorm
from seqbench.models.cells.norm.batch_layer_norm import BatchLayerNorm
from seqbench.models.cells.norm.batch_norm import BatchNorm
from seqbench.models.cells.norm.group_norm import GroupNorm
from seqbench.models.cells.norm.layer_norm import LayerNorm
from seqbench.models.cells.norm.none import NoNorm
from seqbench.models.cells.norm.pooled_batch_norm import PooledBatchNorm
from seqbench.models.cells.norm.shift_batch_norm import ShiftBatchNorm
from seqbench.models.cells.quantizer.binary import Binary
from seqbench.models.cells.quantizer.linear import Linear
from seqbench.models.cells.quantizer.power_of_two import PowerOfTwo
from seqbench.models.cells.quantizer.real import Real
from seqbench.models.cells.quantizer.uniform import Uniform
from seqbench.models.convolutional.conv_arma import ConvARMA
from seqbench.models.convolutional.gated_cnn import GatedCNN
from seqbench.models.convolutional.lenet import LeNet
from seqbench.models.convolutional.tcn import TCN
from seqbench.models.convolutional.trellisnet import TrellisNet
from seqbench.models.equilibrium.deq_transformer import DEQTransformer
from seqbench.models.equilibrium.deq_trellisnet import DEQTrellisNet
from seqbench.models.other.mlp import MLP
from seqbench.models.other.quantized_mlp import QuantizedMLP
from seqbench.models.recurrent.arma import ARMA
from seqbench.models.recurrent.awd_lstm import AWDLSTM
from seqbench.models.recurrent.cell_search import CellSearch
from seqbench.models.recurrent.gru import GRU
from seqbench.models.recurrent.indrnn import IndRNN
from seqbench.models.recurrent.lstm import LSTM
from seqbench.models.recurrent.norm_gru import NormGRU
from seqbench.models.recurrent.norm_lstm import NormLSTM
from seqbench.models.recurrent.norm_rnn import NormRNN
from seqbench.models.recurrent.normed_layers import NormedLayers
from seqbench.models.recurrent.pruned_lstm import PrunedLSTM
from seqbench.models.recurrent.quantized_lstm import QuantizedLSTM
from seqbench.models.recurrent.quantized_rnn import QuantizedRNN
from seqbench.models.recurrent.rnn import RNN
from seqbench.models.unitary.full_urnn import FullURNN
from seqbench.models.unitary.kru import KRU
from seqbench.models.unitary.kru_lstm import KRULSTM
from seqbench.models.unitary.nc_gru import NCGRU
from seqbench.models.unitary.scornn import SCORNN
from seqbench.models.unitary.urnn import URNN
from seqbench.models.wrappers.bidirectional import Bidirectional
from seqbench.models.wrappers.state_regularized import StateRegularized

D = 6
NO_DROPOUT = {f"dropout_{place}": 0.0 for place in ("input", "hidden", "output", "recurrent")}
# a fixed point is known to the solver's tolerance, in float64
EXACT = {"max_steps": 200, "tolerance": 1e-13}
TRANSFORMER = {"d_model": 16, "n_heads": 2, "d_inner": 12, "span": 4, "init_std": 0.1}
BATCH = functools.partial(BatchNorm, n_steps=5)
BATCH_AND_LAYER = functools.partial(BatchLayerNorm, batch_size=3, n_steps=5)
WINDOW = functools.partial(AssortedTimeNorm, k=3)
TRELLIS = {"hidden_size": 8, "d_model": 5, "init_std": 0.3}


def exactly(forward=Anderson, backward=Anderson, **settings):
    ways = {"forward": forward, "backward": backward}
    return functools.partial(
        Equilibrium, **{way: functools.partial(cls, **EXACT, **settings) for way, cls in ways.items()}
    )


def one_step(norm):
    return functools.partial(norm, n_steps=1, gain=1.0)


def led_by_input(model):
    """An input that outweighs what a layer does to z: then there is one fixed point."""
    with torch.no_grad():
        model.block.inject.weight *= 12
    return model


MODELS = {
    "lstm": lambda: LSTM(D, hidden_size=8, n_layers=2, dropout=0.0, forget_bias=1.0),
    "lstm-orthogonal": lambda: LSTM(D, hidden_size=8, init="orthogonal"),
    "lstm-chrono": lambda: LSTM(D, hidden_size=8, chrono_steps=20),
    "lstm-widths": lambda: LSTM(D, hidden_size=[8, 5], n_layers=2),
    "bidirectional": lambda: Bidirectional(D, functools.partial(GRU, hidden_size=5)),
    "full_urnn": lambda: FullURNN(D, hidden_size=7),
    "gated_cnn": lambda: GatedCNN(D, [[8, 4], [6, 3]]),
    "gated_cnn-bottleneck": lambda: GatedCNN(D, [[8, 3], [4, 1, 0], [4, 5, 0], [8, 1, 3]], residual_scale=0.7),
    "lstm-reference": lambda: LSTM(D, hidden_size=8, n_layers=2, backend="reference"),
    "conv_arma": lambda: ConvARMA(D, [3, 2, 1], [[4, 3, 2], [3, 1, 1]], activation="tanh", differences=1),
    "gru": lambda: GRU(D, hidden_size=8, n_layers=2),
    "gru-reference": lambda: GRU(D, hidden_size=8, n_layers=2, backend="reference"),
    "arma": lambda: ARMA(D, p=2, q=3, units=1, activation="tanh", init_range=0.3),
    "arma-deep": lambda: ARMA(D, p=2, q=1, linear_units=0, units=2, n_layers=2, init_range=0.3),
    "awd_lstm": lambda: AWDLSTM(D, 8, 2, d_last=5, **NO_DROPOUT),
    "bn_lstm": lambda: NormLSTM(D, 8, BATCH),
    "bn_lstm-reference": lambda: NormLSTM(D, 8, BATCH, backend="reference"),
    "bn_lstm-population": lambda: NormLSTM(D, 8, BATCH).eval(),
    "bn_lstm-no-norm": lambda: NormLSTM(D, 8, NoNorm, init="orthogonal"),
    "ln_lstm": lambda: NormLSTM(D, 8, LayerNorm, biases=["sum"], init="orthogonal", trained_start=False),
    "ln_lstm-reference": lambda: NormLSTM(D, 8, LayerNorm, n_layers=2, backend="reference"),
    "atn_lstm": lambda: NormLSTM(D, 8, WINDOW, biases=["input", "hidden"], init="identities", forget_bias=None),
    "atn_lstm-reference": lambda: NormLSTM(D, 8, WINDOW, backend="reference"),
    "bln_lstm": lambda: NormLSTM(D, 8, BATCH_AND_LAYER, biases=["sum"], trained_start=False),
    "bln_lstm-reference": lambda: NormLSTM(D, 8, BATCH_AND_LAYER, backend="reference"),
    "norm_lstm": lambda: NormLSTM(D, 8, WINDOW, ["hidden", "sum", "cell"], n_layers=2, init="uniform"),
    "norm_lstm-pooled": lambda: NormLSTM(D, 8, PooledBatchNorm, ["input"]).eval(),
    "norm_lstm-cyclic": lambda: NormLSTM(D, 8, functools.partial(BATCH, cyclic=True), ["input"], n_layers=2),
    "norm_rnn": lambda: NormRNN(D, 8, WINDOW, ["input", "hidden", "sum"], n_layers=2),
    "bn_rnn": lambda: NormRNN(D, 8, BATCH, ["input"], init="identity"),
    "norm_gru": lambda: NormGRU(D, 8, WINDOW, n_layers=2),
    "norm_gru-batch_norm": lambda: NormGRU(D, 8, BATCH),
    "indrnn": lambda: IndRNN(D, hidden_size=8, n_layers=2, recurrent_max=0.9),
    "cell_search": lambda: CellSearch(D, hidden_size=8, norm=NoNorm, d_score=5),
    "pruned_lstm": lambda: PrunedLSTM(D, hidden_size=8, n_layers=2).eval(),
    "pruned_lstm-group_lasso": lambda: PrunedLSTM(D, hidden_size=8, n_layers=2, selection="group_lasso"),
    "pruned_lstm-l1": lambda: PrunedLSTM(D, hidden_size=8, selection="l1", backend="reference"),
    "kru": lambda: KRU(D, hidden_size=8, input_init_range=0.5, unitary_weight=0.1),
    "kru-real-tanh": lambda: KRU(D, 12, [2, 3, 2], complex=False, nonlinearity="tanh", input_init_range=0.5),
    "kru-reference": lambda: KRU(D, hidden_size=8, input_init_range=0.5, backend="reference"),
    "kru_lstm": lambda: KRULSTM(D, 12, [2, 3, 2]),
    "nc_gru": lambda: NCGRU(D, hidden_size=8, n_negative=3),
    "nc_gru-two": lambda: NCGRU(D, 8, n_negative=3, reset="after", orthogonal_reset=True),
    "nc_gru-exact": lambda: NCGRU(D, 9, n_negative=3, inverse="exact", reset="after", init="uniform"),
    "nc_gru-authors": lambda: NCGRU(D, 8, n_negative=3, inverse="authors", authors_lr=1e-3),
    "quantized_lstm": lambda: QuantizedLSTM(D, 8, Uniform, Uniform, Real, n_layers=2),
    "quantized_lstm-binary": lambda: QuantizedLSTM(D, 8, Binary, Binary, Real, init_range=1.0),
    "quantized_lstm-fixed": lambda: QuantizedLSTM(D, 8, PowerOfTwo, functools.partial(Linear, 6), Uniform),
    "quantized_mlp": lambda: QuantizedMLP(D, [7, 5], one_step(BatchNorm), Binary, Binary),
    "quantized_mlp-shift": lambda: QuantizedMLP(D, [7, 5], one_step(ShiftBatchNorm), Binary, Binary),
    "quantized_mlp-population": lambda: QuantizedMLP(D, [7, 5], one_step(BatchNorm), Uniform, Uniform).eval(),
    "quantized_mlp-real": lambda: QuantizedMLP(D, [7, 5], NoNorm, Real, Real, ends_real=True, init_range=0.3),
    "quantized_rnn": lambda: QuantizedRNN(D, 8, Uniform, Uniform, Uniform, n_layers=2),
    "rnn": lambda: RNN(D, hidden_size=8, n_layers=2),
    "lenet": lambda: LeNet(D, [3, 4], kernel=1, sizes=[5], image=[2, 3]),
    "mlp": lambda: MLP(D, [7, 5], "tanh"),
    "mlp-batch_norm": lambda: MLP(D, [7, 5], "tanh", PooledBatchNorm).eval(),
    "lenet-group_norm": lambda: LeNet(D, [4, 4], kernel=1, sizes=[6], image=[2, 3], norm=GroupNorm),
    "normed_layers": lambda: NormedLayers(D, [7, 4], LayerNorm, [3]),
    "normed_layers-batch_norm": lambda: NormedLayers(D, [7], functools.partial(BatchNorm, n_steps=5)),
    "scornn": lambda: SCORNN(D, hidden_size=9, n_negative=4, input_init_range=0.5),
    "scornn-reference": lambda: SCORNN(D, 9, n_negative=4, input_init_range=0.5, backend="reference"),
    "state_regularized": lambda: StateRegularized(D, functools.partial(GRU, hidden_size=8), 5, init_range=1.0),
    "state_regularized-lstm": lambda: StateRegularized(
        D, functools.partial(LSTM, hidden_size=8), 5, init_range=1.0, peepholes=True
    ),
    "state_regularized-u": lambda: StateRegularized(
        D, functools.partial(LSTM, hidden_size=8), 5, 2.0, init_range=1.0, reads="u"
    ),
    "tcn": lambda: TCN(D, [8, 8, 5], kernel=3),
    "transformer-post": lambda: Transformer(D, D, 2, n_heads=3, d_inner=9, span=4, dropout=0.0, init_std=0.3),
    "transformer-pre": lambda: Transformer(D, 8, 2, 2, d_inner=9, span=3, pre_norm=True, dropout=0.0, init_std=0.3),
    "transformer-no-norm": lambda: Transformer(D, D, 2, 3, d_inner=9, span=4, norm=NoNorm, dropout=0.0, init_std=0.3),
    "urnn": lambda: URNN(D, hidden_size=16, form="fft"),
    "urnn-dense": lambda: URNN(D, hidden_size=7, init="paper", conjugated=True),
    "urnn-reference": lambda: URNN(D, hidden_size=16, form="fft", backend="reference"),
    "weight_tied_transformer": lambda: led_by_input(WeightTiedTransformer(D, n_layers=3, **TRANSFORMER)),
    "trellisnet": lambda: TrellisNet(D, n_layers=3, dilation=2, **TRELLIS),
    "deq_transformer": lambda: led_by_input(DEQTransformer(D, **TRANSFORMER, equilibrium=exactly())),
    "deq_transformer-pre-norm": lambda: led_by_input(
        DEQTransformer(D, **TRANSFORMER, equilibrium=exactly(Plain), pre_norm=True, weight_norm=False)
    ),
    "deq_trellisnet": lambda: DEQTrellisNet(D, **TRELLIS, equilibrium=exactly(), dilation=2),
    "deq_trellisnet-broyden": lambda: DEQTrellisNet(D, **TRELLIS, equilibrium=exactly(Broyden, Broyden, memory=30)),
}
