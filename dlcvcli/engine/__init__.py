"""The engine: one step-based loop for every task, exact resume, nothing lost."""
