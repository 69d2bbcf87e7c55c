"""Tasks: one package each, the contract that they fulfil, and their table."""
