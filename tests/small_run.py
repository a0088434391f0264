"""The smallest whole run that still has several steps, evaluations and batches; tests add what they are about."""

SMALL = [
    "task.delay=10",
    "task.train_size=40",
    "task.valid_size=20",
    "task.test_size=20",
    "model.hidden_size=8",
    "model.n_negative=4",
]
