"""Passes of the strict ONNX backend."""
