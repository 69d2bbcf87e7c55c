"""dlcv: from a folder of images to trained models, exact numbers, honest figures and fast ONNX."""

__version__ = "0.1.0"
