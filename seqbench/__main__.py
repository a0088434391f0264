"""`python -m seqbench`, for a checkout that is not installed."""

from seqbench.cli import main

main()
