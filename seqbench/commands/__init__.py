"""What each subcommand does; `seqbench.cli` dispatches here."""
