"""ONNX Runtime: sessions whose provider is asserted, and what a model file says of itself."""
