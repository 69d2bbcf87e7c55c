"""A training run from its settings to its results: data, task, engine, snapshots, figures."""
