"""What is not installed with seqbench: a model, an optimizer, a task, a head, an evaluation and an analysis."""
