"""What is not installed with seqbench: a model, an optimizer, a task, a head and an evaluation of one's own."""
