"""Few-shot learning with prototypical networks: everything that only this task needs."""
