"""A user's mistakes: each an exact sentence and exit code 2, with nothing lost or left."""

import pytest
import torch
from said import left, one_sentence, run_id

HEADS = "adaptive, direct, direct_bits, focal, hebbian, mixture, sigmoid, softmax, squared_error, squared_hinge"
COMMAND_LINE = [
    # the nearest name is one of what is chosen, not of the defaults
    ("train model=transformer model.n_head=2", "model.n_head is not a setting (did you mean model.n_heads?)."),
    ("train -m model=lstm,gru model.n_layer=3", "model.n_layer is not a setting (did you mean model.n_layers?)."),
    ("show head=adaptive head.cutofs=[3]", "head.cutofs is not a setting (did you mean head.cutoffs?)."),
    ("train model=lstm model.n_negative=3", "model.n_negative is not a setting of what is chosen here."),
    # a plus adds to what is pluggable, not to the engine's settings
    ("train +foo=1", "foo is not a setting (did you mean force?)."),
    ("train ++train.epochs=3", "train.epochs is not a setting (did you mean train.max_epochs?)."),
    ("show +network.tide=true", "network.tide is not a setting (did you mean network.tied?)."),
    (
        "train optimizer.groups.recurrent.lr=1e-4",
        "optimizer.groups.recurrent is not there yet; a plus adds it: +optimizer.groups.recurrent.<setting>=<value>.",
    ),
    (
        "show experiment=adding_t750/kru optimizer.groups.recurrent.weight_decay=0.1",
        "optimizer.groups.recurrent.weight_decay is not there yet; a plus adds it: "
        "+optimizer.groups.recurrent.weight_decay=<value>.",
    ),
    (
        "show experiment=adding_t750/kru optimizer.groups.recurent.lr=0.1",
        "optimizer.groups.recurent is not there yet; a plus adds it: +optimizer.groups.recurent.<setting>=<value> "
        "(did you mean optimizer.groups.recurrent?).",
    ),
    (
        "show optimizer=adam +optimizer.groups.recurrent.params=5",
        "optimizer.groups.recurrent.params is not an argument of Adam.",
    ),
    ("show head=5", f"head=5 does not exist; there are {HEADS}."),
    (
        "train head=null",
        f"head=null does not exist; there are {HEADS}.",
    ),
    ("show =3", "'=3' cannot be read as a setting; settings are written key=value."),
    ("show --config-dir nowhere model=lstm", "--config-dir nowhere is not a folder."),
    ("train train.stop_below=nan", "train.stop_below must be finite, not nan."),
    ("train train=3", "train holds settings: train.<setting>=<value>."),
    ("show --nope x", "--nope is not an option of seqbench show; it takes -cd/--config-dir."),
    ("train optimizer=adam optimizer.lr=abc", "optimizer.lr must be a number, not 'abc'."),
    ("train optimizer=sgd optimizer.lr=nan", "optimizer.lr must be finite, not nan."),
    ("train optimizer=sgd optimizer.lr=-1", "optimizer.lr is at least 0, not -1."),
    ("train optimizer=adam optimizer.betas=[]", "optimizer.betas must be a list of 2 numbers, not []."),
    ("train schedule=plateau schedule.divide_by=0", "schedule.divide_by is positive, not 0."),
    ("train schedule=cosine schedule.warmup_steps=-1", "schedule.warmup_steps is at least 0, not -1."),
    ("train head=adaptive head.cutoffs=[[0,1]]", "head.cutoffs must be a list of integers, not [[0, 1]]."),
    ("train model=kru model.factor_sizes=[a]", "model.factor_sizes must be a list of integers or null, not ['a']."),
    ("train model=convs2s model.encoder_layers=[1]", "model.encoder_layers must be a list of lists, not [1]."),
    (
        "train model=deq_transformer model.equilibrium.forward=broyden",
        "model.equilibrium.forward needs a _target_ and its arguments: solver@model.equilibrium.forward=<a solver>.",
    ),
    (
        "train model=deq_transformer model.equilibrium.forward.max_steps=0",
        "model.equilibrium.forward.max_steps is at least 1, not 0.",
    ),
    (
        "train model=deq_transformer model.forward_steps=50",
        "model.forward_steps is not a setting (did you mean model.equilibrium.forward.max_steps?).",
    ),
    (
        "train model=transformer norm@model.norm=batch",
        "norm=batch does not exist; did you mean batch_norm?",
    ),
    ("train model=rnn_attention model.d_attention=-1", "model.d_attention is at least 1, not -1."),
    ("train train.threads=1000000000000", "train.threads is at most 4,096, not 1000000000000."),
    (
        "train model=lstm model.dropout=0.5",
        "model: dropout=0.5 applies between layers and there is only one; use network.dropout_output.",
    ),
    ("train model=gru model.init=glorot model.init_range=1", "model: init_range=1 is for init=uniform, not glorot."),
    ("trian", "There is no command 'trian'; did you mean train?"),
    ("train model=scorn", "model=scorn does not exist; did you mean scornn?"),
    ("train modle=scornn", "modle is not a setting (did you mean model?)."),
    (
        "train experiment=copy_t1000/scorn",
        "experiment=copy_t1000/scorn does not exist; did you mean copy_t1000/scornn?",
    ),
    ("train train.max_stepz=3", "train.max_stepz is not a setting (did you mean train.max_steps?)."),
    ("train model.hiden_size=3", "model.hiden_size is not a setting (did you mean model.hidden_size?)."),
    (
        "train +model.hiden_size=3",
        "model.hiden_size is not an argument of SCORNN (did you mean model.hidden_size?).",
    ),
    ("train train.max_steps=abc", "train.max_steps must be an integer, not 'abc'."),
    ("train model.hidden_size=abc", "model.hidden_size must be an integer, not 'abc'."),
    ("train train.max_steps=-1", "train.max_steps must be positive, not -1."),
    (
        "train train.max_epochs=1",
        "train.max_steps=1000 and train.max_epochs=1 are both given: set one of them to null.",
    ),
    ("train train.max_steps=null", "Give one of train.max_steps and train.max_epochs."),
    ("train -m model=lstm,scornn model.n_layers=1", "model.n_layers is not a setting of what is chosen here."),
    ("train train.precision=fp8", "train.precision is one of fp32, bf16, fp16, not 'fp8' (did you mean fp32?)."),
    ("train model._target_=os.system", "model._target_ must lie in seqbench.models, not 'os.system'."),
    ("train model.n_negative=999", "model: n_negative is between 0 and hidden_size=190, not 999."),
    ("train task.variant=wrong", "task: task.variant is one of urnn, exprnn, tcn, s4, not 'wrong'."),
    (
        "train +optimizer.groups.recurent.lr=0.1",
        "optimizer.groups.recurent names no parameter group of this network; it has: recurrent.",
    ),
    ("train train.max_steps", "'train.max_steps' cannot be read as a setting; settings are written key=value."),
    ("train model=gru,lstm", "model=gru,lstm gives several values; -m runs each of them."),
    ("train model=[gru,lstm]", "model takes one file at a time; model=<one>,<two> after -m runs each of them."),
    ("train -m model=gru,lstmm", "model=lstmm does not exist; did you mean lstm?"),
    ("eval run=abc", "No run in outputs begins with 'abc'; there is none."),
    (
        "eval model=gru",
        "eval takes run, evaluation, split, output_dir, results_dir, data_dir, source, train.device, train.threads; "
        "model belongs to the run.",
    ),
    ("train network.tied=true", "network.tied=true needs an embedding to share, and this task's inputs have none."),
    (
        "train task=copy embedding=learned network.tied=true model=gru",
        "head: tied weights need the model's width, 128, to be embedding.d_embed, 200.",
    ),
    (
        "train task=adding embedding=learned network.tied=true head=squared_error",
        "embedding: LearnedEmbedding embeds tokens, and this task's inputs are real numbers.",
    ),
    (
        "train embedding=learned network.tied=true head=squared_error",
        "network.tied=true: SquaredError cannot share an embedding's weights.",
    ),
    ("train seed=20261121", "seed is at least 0 and below 1,048,576, not 20261121."),
    ("train task=adding head=softmax", "Softmax is a head for classes, and this task's outputs are real numbers."),
    ("train head=squared_error", "SquaredError is a head for real numbers, and this task's outputs are classes."),
    ("train model=lstm model.n_layers=0", "model.n_layers is at least 1, not 0."),
    ("train task.eval_batch_size=0", "task.eval_batch_size is at least 1, not 0."),
    ("train model=lstm model.dropout=1.5", "model.dropout is at least 0 and below 1, not 1.5."),
    ("train model=gru model.init_range=-1", "model.init_range is at least 0, or null, not -1."),
    ("train network.dropout_output=1", "network.dropout_output is at least 0 and below 1, not 1.0."),
    ("train model=tcn model.channels=8", "model.channels must be a list of integers, not 8."),
    ("train optimizer=adam optimizer.betas=1", "optimizer.betas must be a list of 2 numbers, not 1."),
    (
        "train optimizer.groups=3",
        "optimizer.groups holds settings by a group's name, as +optimizer.groups.recurrent.lr=, not 3.",
    ),
    (
        "train +optimizer.groups.recurrent=3",
        "optimizer.groups.recurrent holds settings, as +optimizer.groups.recurrent.lr=, not 3.",
    ),
    (
        "train network.dropout_words=0.1",
        "network.dropout_words and dropout_input act on an embedding, and this task's inputs have none.",
    ),
    (
        "train evaluation=cache",
        "evaluation=cache is for a finished run: seqbench eval run=<id> evaluation=cache.",
    ),
    (
        "train evaluation=frequency",
        "evaluation=frequency is for a finished run: seqbench eval run=<id> evaluation=frequency.",
    ),
    ("train evaluation=beam", "evaluation=beam is for a finished run: seqbench eval run=<id> evaluation=beam."),
    ("train run=abc", "No run in outputs begins with 'abc'; there is none."),
    (
        "train run=abc seed=1",
        "train run=<id> takes run, output_dir, results_dir, data_dir, source, train.device, train.threads, "
        "train.nproc; seed belongs to the run.",
    ),
    ("eval run=abc evaluation=dynamic,cache", "evaluation=dynamic,cache gives several values; this command takes one."),
    (
        "train embedding.init_range=0.1",
        "embedding.init_range is not a setting (did you mean head.init_range?).",
    ),
    (
        "train embedding=learned embedding.div_value=2",
        "embedding.div_value is not a setting (did you mean embedding.d_embed?).",
    ),
    (
        "train head=adaptive head.cutoffs=[2] head.tied_projections=true",
        "head: tied_projections needs network.tied=true and embedding=adaptive.",
    ),
    ("train head=adaptive", "head: cutoffs must rise and be below the number of words, 9, not [2000, 8000]."),
    ("train head.vocab_chunk=3 head.target_chunk=3", "head: one of vocab_chunk and target_chunk is null."),
    ("train head.vocab_chunk=0", "head.vocab_chunk is at least 1, or null, not 0."),
    ("show run=abc", "No run in outputs begins with 'abc'; there is none."),
    ("tables", "There is no results/tables.yaml; name the folder of tables.yaml and runs/ as results_dir=."),
    ("prepare task=ptb_wrd", "task=ptb_wrd does not exist; did you mean ptb_word?"),
    ("train output_dir=/dev/null/x train.max_steps=1", "Cannot write /dev/null/x: Not a directory."),
    ("train results_dir=/dev/null/x train.max_steps=1", "Cannot write /dev/null/x: Not a directory."),
    (
        "train task=ptb_word data_dir=/dev/null/x",
        "ptb_word cannot be prepared in /dev/null/x: Not a directory; name a folder that can be written and has room "
        "as data_dir=<folder>, and the folder with the raw files as source=<folder>.",
    ),
    (
        "train task=ptb_word data_dir=data source=nowhere",
        "source=nowhere does not exist; name a folder that holds ptb.train.txt, ptb.valid.txt and ptb.test.txt.",
    ),
]


@pytest.mark.parametrize(("line", "sentence"), COMMAND_LINE, ids=[line for line, _ in COMMAND_LINE])
def test_command_line(seqbench, tmp_path, line, sentence):
    code, _, said = seqbench(*line.split())
    if "{run_id}" in sentence:
        sentence = sentence.format(run_id=run_id(seqbench, "train.max_steps=1"))
    assert (code, one_sentence(said)) == (2, sentence)
    assert left(tmp_path) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_no_gpu(seqbench, tmp_path):
    code, _, said = seqbench("train", "train.device=cuda")
    assert (code, one_sentence(said)) == (2, "train.device=cuda, but torch sees no GPU here.")
    assert left(tmp_path) == []


FILES = [
    (
        "model/mine.yaml",
        "_target_: seqbench.models.recurrent.gru.GRU\nhiden_size: 3\n",
        "model=mine",
        "model.hiden_size is not an argument of GRU (did you mean model.hidden_size?).",
    ),
    (
        "model/mine.yaml",
        "_target_: seqbench.models.recurrent.gru.GRUU\n",
        "model=mine",
        "model._target_ names seqbench.models.recurrent.gru.GRUU, and seqbench.models.recurrent.gru has no class GRUU.",
    ),
    (
        "experiment/mine.yaml",
        "# @package _global_\ntrain:\n  max_stepz: 3\n",
        "experiment=mine",
        "train.max_stepz is not a setting (did you mean train.max_steps?).",
    ),
    (
        "experiment/mine.yaml",
        "# @package _global_\ntrain:\n  max_steps: many\n",
        "experiment=mine",
        "train.max_steps must be an integer, not 'many'.",
    ),
    (
        "model/mine.yaml",
        "_target_: [1,\n",
        "model=mine",
        "{path}, line 2, is not valid YAML: expected the node content, but found '<stream end>'.",
    ),
]


@pytest.mark.parametrize(("name", "content", "chosen", "sentence"), FILES)
def test_a_users_own_yaml(seqbench, tmp_path, name, content, chosen, sentence):
    path = tmp_path / "mine" / name
    path.parent.mkdir(parents=True)
    path.write_text(content)
    code, _, said = seqbench("train", "--config-dir", "mine", chosen)
    assert (code, one_sentence(said)) == (2, sentence.format(path=path))
    assert left(tmp_path) == [path]
