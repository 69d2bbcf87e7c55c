"""From a checkpoint to a self-describing ONNX file with a certificate."""
