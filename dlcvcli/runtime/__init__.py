"""ONNX Runtime: sessions whose provider is checked, and the metadata of model files."""
