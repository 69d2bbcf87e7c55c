"""Export of checkpoints to self-describing ONNX files with a certificate."""
