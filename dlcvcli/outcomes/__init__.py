"""Results of runs over seeds, their comparison, and tables and figures of it."""
