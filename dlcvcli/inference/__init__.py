"""Inference: running trained models, evaluation and prediction."""
