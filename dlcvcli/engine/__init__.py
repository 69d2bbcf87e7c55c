"""The training engine: one step-based loop for every task, with exact resume."""
