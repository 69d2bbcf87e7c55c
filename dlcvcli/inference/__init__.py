"""Inference: a trained model behind one face, evaluation and prediction with it."""
