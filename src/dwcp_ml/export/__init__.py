"""One ONNX file per model: graph, canonical bytes, signature, parity, native formats."""
