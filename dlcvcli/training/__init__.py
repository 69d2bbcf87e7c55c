"""Training runs, from settings to results, for every task."""
