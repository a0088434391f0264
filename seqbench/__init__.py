"""seqbench: sequence models, optimizers and tasks composed into reproducible runs and tables."""

__version__ = "0.1.0"
